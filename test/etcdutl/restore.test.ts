/**
 * `etcdutl snapshot restore` of every recorded snapshot leaves what Go's left: the same rows in every bucket, the same
 * `.snap` file, the same log; and it refuses what Go's refused, in the same words, leaving nothing behind.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hashKeyValues } from "../../src/cli/etcdutl/hash-kv.ts";
import { inTransaction } from "../../src/cli/etcdutl/database.ts";
import { BoltDb } from "../../src/storage/bbolt/db.ts";
import { checkDatabase } from "../../src/storage/bbolt/check.ts";
import { fixtureText, removeDirectory, temporaryDirectory } from "../support/fixture.ts";
import { bucketFacts, filesOf, logFacts, platform, sha256OfFile } from "./offline.ts";
import { comparableLog, run } from "./run.ts";

interface RestoredMember {
  readonly name: string;
  readonly argv: readonly string[];
  readonly stderr: string;
  readonly offline: {
    readonly files: readonly string[];
    readonly wal?: {
      readonly segments: readonly { readonly name: string; readonly size: number; readonly data_end: number }[];
      readonly last_index: number;
      readonly hard_state: { readonly term: string; readonly vote: string; readonly commit: string };
      readonly metadata: { readonly node_id: string; readonly cluster_id: string };
      readonly snapshot_records: readonly { readonly index: string; readonly term: string }[];
    };
    readonly snap: readonly {
      readonly name: string;
      readonly sha256: string;
      readonly index: string;
      readonly term: string;
      readonly conf_state: { readonly voters: readonly string[] };
    }[];
    readonly db: { readonly size: number; readonly buckets: Record<string, { keys: number; sha256: string }> };
  };
  readonly shows: {
    readonly hashkv: readonly { revision: number; hash?: number; compact_revision?: string }[];
  };
}

interface Expected {
  readonly restores: readonly { readonly variant: string; readonly members: readonly RestoredMember[] }[];
  readonly errors?: { readonly results: readonly Refusal[] };
}

interface Refusal {
  readonly argv: readonly string[];
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

const snapshots = readdirSync(join(import.meta.dirname, "../fixtures/snapshots"));
const expectedOf = (name: string): Expected => JSON.parse(fixtureText(`snapshots/${name}/expected.json`)) as Expected;

let work: string;
beforeEach(() => {
  work = temporaryDirectory();
});
afterEach(() => removeDirectory(work));

function unpack(name: string, target: string): Uint8Array {
  const path = join(import.meta.dirname, "../fixtures/snapshots", name, "snapshot.db.gz");
  const bytes = gunzipSync(readFileSync(path));
  writeFileSync(target, bytes);
  return bytes;
}

describe.each(snapshots)("%s", (name) => {
  test.each(expectedOf(name).restores.map((restore) => [restore.variant, restore] as const))(
    "restored as %s",
    async (variant, { members }) => {
      // Recorded with the snapshot in the current directory, once without its digest.
      const fileName = variant === "raw-db" ? "raw.db" : "snapshot.db";
      const file = join(work, fileName);
      const bytes = unpack(name, file);
      if (variant === "raw-db") writeFileSync(file, bytes.subarray(0, -32));
      for (const { argv, stderr, offline, shows } of members) {
        const args = argv.map((argument) => (argument === fileName ? file : argument.replace("${WORK}", work)));
        const result = await run(args);
        expect({
          ...result,
          stderr: comparableLog(result.stderr, work).replaceAll(`\${WORK}/${fileName}`, fileName),
        }).toEqual({
          exit: 0,
          stdout: "",
          stderr: comparableLog(stderr, work),
        });

        const dataDir = args[args.indexOf("--data-dir") + 1];
        const walDir = args.includes("--wal-dir") ? args[args.indexOf("--wal-dir") + 1] : join(dataDir, "member/wal");
        expect(filesOf(dataDir, args.includes("--wal-dir") ? walDir : undefined)).toEqual(offline.files);
        expect(sha256OfFile(join(dataDir, "member/snap", offline.snap[0].name))).toBe(offline.snap[0].sha256);
        const { snap, wal } = offline;
        if (wal !== undefined) {
          const { index, term } = wal.snapshot_records[1];
          const { vote } = wal.hard_state;
          expect(logFacts(dataDir, walDir)).toEqual({
            ids: [wal.metadata.node_id, wal.metadata.cluster_id],
            hardState: { term: Number(wal.hard_state.term), vote, commit: Number(wal.hard_state.commit) },
            entries: wal.last_index,
            snapshots: [{ index: Number(index), term: Number(term) }],
            snap: { index: Number(snap[0].index), term: Number(snap[0].term), voters: snap[0].conf_state.voters },
          });
          expect(statSync(join(walDir, wal.segments[0].name)).size).toBe(wal.segments[0].size);
        }

        const database = join(dataDir, "member/snap/db");
        expect(bucketFacts(database)).toEqual(offline.db.buckets);
        // A defragmented file has no free page for the new rows: it grows, by no more than Go's does.
        expect(statSync(database).size).toBeLessThanOrEqual(offline.db.size);
        expect(statSync(database).mode & 0o777).toBe(0o600);
        expectHashes(database, shows.hashkv);
      }
    },
  );
});

function expectHashes(database: string, recorded: RestoredMember["shows"]["hashkv"]): void {
  const db = BoltDb.open(platform.disk, database, { readOnly: true });
  expect(checkDatabase(db)).toEqual([]);
  inTransaction(db, (tx) => {
    for (const { revision, hash, compact_revision: compactRevision } of recorded) {
      if (hash === undefined) expect(() => hashKeyValues(tx, revision)).toThrow(/compacted|future/);
      else expect(hashKeyValues(tx, revision)).toMatchObject({ hash, compactRevision: Number(compactRevision) });
    }
  });
  db.close();
}

/** Refusals that are another matter here, with the reason; the words expected of us. */
const ownWords: Readonly<Record<string, RegExp>> = {
  // 3.6 counts keys, not rows.
  "snapshot status raw.db -w json": /"totalKey":195,/,
  "snapshot status flipped.db -w json": /"totalKey":195,/,
  // Go opens it for writing by mistake.
  "snapshot status empty.db": /^Error: empty.db, offset 0: invalid database/,
  "snapshot status text.db": /invalid database/,
  // Not a required flag any more in 3.6.
  "snapshot restore": /^Error: snapshot restore requires exactly one argument\n$/,
};

test("restores that cannot be done are refused in Go's words, and leave nothing behind", async () => {
  const good = unpack("plain", join(work, "good.db"));
  const flip = (offset: number): Uint8Array => {
    const bytes = new Uint8Array(good);
    bytes[offset] ^= 1;
    return bytes;
  };
  const inputs: Record<string, Uint8Array> = {
    "flipped.db": flip(5000),
    "badsum.db": flip(good.length - 1),
    "raw.db": good.subarray(0, -32),
    "cut.db": good.subarray(0, -100),
    "empty.db": new Uint8Array(0),
    "text.db": Buffer.from("this is no database\n".repeat(500)),
  };
  for (const [name, bytes] of Object.entries(inputs)) writeFileSync(join(work, name), bytes);
  mkdirSync(join(work, "full"));
  writeFileSync(join(work, "full/x"), "");
  mkdirSync(join(work, "emptydir"));
  const before = readdirSync(work);
  // The recording names files in the current directory, as a relative path.
  const previous = process.cwd();
  process.chdir(work);
  try {
    for (const { argv, exit, stderr, stdout } of expectedOf("plain").errors!.results) {
      const line = argv.join(" ");
      const result = await run(argv);
      const own = ownWords[line];
      if (own !== undefined) expect(result.stdout + result.stderr, line).toMatch(own);
      else if (line.includes("unknown-flag")) expect(result.stderr, line).toContain("Error: unknown flag");
      else
        expect({ line, ...result, stderr: comparableLog(result.stderr, work) }).toEqual({
          line,
          exit,
          stdout,
          stderr: comparableLog(stderr, work),
        });
      if (exit !== 0) expect(readdirSync(work), line).toEqual(before);
    }
  } finally {
    process.chdir(previous);
  }
  expect(readdirSync(join(work, "full"))).toEqual(["x"]);
});

test("a damaged file that has no digest is not restored", async () => {
  const bytes = unpack("plain", join(work, "good.db")).subarray(0, -32);
  bytes.fill(0xff, 5 * 4096, 6 * 4096);
  writeFileSync(join(work, "bad.db"), bytes);
  const result = await run([
    "snapshot",
    "restore",
    join(work, "bad.db"),
    `--data-dir=${work}/data`,
    "--skip-hash-check",
  ]);
  expect(result.exit).toBe(1);
  expect(existsSync(join(work, "data"))).toBe(false);
});

test("an empty directory that is there already, such as a mounted volume, is used and keeps its place", async () => {
  unpack("with-auth", join(work, "good.db"));
  const dataDir = join(work, "volume");
  mkdirSync(dataDir);
  chmodSync(dataDir, 0o750);
  const inode = statSync(dataDir).ino;
  expect((await run(["snapshot", "restore", join(work, "good.db"), `--data-dir=${dataDir}`])).exit).toBe(0);
  expect(statSync(dataDir).ino).toBe(inode);
  expect(statSync(dataDir).mode & 0o777).toBe(0o750);
  expect(readdirSync(dataDir)).toEqual(["member"]);
});

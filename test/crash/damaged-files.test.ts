/**
 * Files cut short or with flipped bytes, as a failing disk or a careless hand leaves them: the start recovers where that
 * is safe, as etcd does, and otherwise refuses with the file, the place in it and what to do. It never serves half.
 */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Member } from "../../src/server/member.ts";
import { readLog } from "../../src/storage/wal/log-reader.ts";
import { dumpSha256, put, startReadyMember, testPlatform } from "../support/member.ts";
import { removeFolder, temporaryFolder } from "../support/process.ts";

const folder = temporaryFolder();
const sound = join(folder, "sound");
const puts = 60;
let all = "";
let copies = 0;

beforeAll(async () => {
  const member = await startReadyMember({ dataDir: sound, snapshotCount: 25 });
  for (let number = 0; number < puts; number++) await put(member, `key-${number % 9}`, `value-${number}`.repeat(50));
  all = pairs(member);
  await member.stop();
});
afterAll(() => removeFolder(folder));

function pairs(member: Member): string {
  return dumpSha256(member, 0).sha256;
}

/** The files of one directory. */
interface Files {
  readonly dataDir: string;
  readonly db: string;
  /** Newest first. */
  readonly snapshots: readonly string[];
  readonly wal: string;
  /** Bytes of the log that are records. */
  readonly walEnd: number;
}

function copyOfSound(): Files {
  const dataDir = join(folder, `copy-${copies++}`);
  cpSync(sound, dataDir, { recursive: true });
  const snapDir = join(dataDir, "member/snap");
  const walDir = join(dataDir, "member/wal");
  const names = readdirSync(walDir).filter((name) => name.endsWith(".wal"));
  expect(names.length).toBe(1);
  const wal = join(walDir, names[0]);
  const snapshots = readdirSync(snapDir)
    .filter((name) => name.endsWith(".snap"))
    .toSorted();
  const bytes = readFileSync(wal);
  let walEnd = bytes.length;
  while (bytes[walEnd - 1] === 0) walEnd--;
  return {
    dataDir,
    db: join(snapDir, "db"),
    snapshots: snapshots.reverse().map((name) => join(snapDir, name)),
    wal,
    walEnd,
  };
}

function flip(path: string, position: number): void {
  const bytes = readFileSync(path);
  bytes[position] ^= 0x40;
  writeFileSync(path, bytes);
}

interface Damage {
  readonly what: string;
  readonly damage: (files: Files) => void;
  /** What the start says when it refuses; undefined: it recovers and has everything. "some": it has a part, which no client was told. */
  readonly refusal?: (files: Files) => RegExp[];
}

const pageSize = 4096;
const advice = /restore|replace|remove/;

const table: Damage[] = [
  { what: "nothing at all", damage: () => undefined },
  { what: "log: zeros behind the records cut off", damage: ({ wal, walEnd }) => truncateSync(wal, walEnd + 8) },
  {
    what: "log: a byte flipped in the last record",
    damage: ({ wal, walEnd }) => flip(wal, walEnd - 2),
    refusal: ({ wal }) => [new RegExp(wal), advice],
  },
  {
    what: "log: the file is gone",
    damage: ({ wal }) => rmSync(wal),
    refusal: ({ dataDir }) => [new RegExp(`no log in ${dataDir}/member/wal`), advice],
  },
  {
    what: "log: cut off far before what the database has applied",
    damage: ({ wal, walEnd }) => truncateSync(wal, Math.floor(walEnd / 3)),
    refusal: ({ dataDir }) => [new RegExp(dataDir), advice],
  },
  {
    what: "database: cut short",
    damage: ({ db }) => truncateSync(db, pageSize * 3),
    refusal: ({ db }) => [new RegExp(db), /it was cut short/, advice],
  },
  { what: "database: one of the two meta pages damaged", damage: ({ db }) => flip(db, newestMeta(db) + 40) },
  {
    what: "database: both meta pages damaged",
    damage: ({ db }) => {
      flip(db, 40);
      flip(db, pageSize + 40);
    },
    refusal: ({ db }) => [new RegExp(db), /offset 0/, /both meta pages are damaged/, advice],
  },
  {
    what: "database: the header of the root page damaged",
    damage: ({ db }) => flip(db, rootPage(db) * pageSize),
    refusal: ({ db }) => [new RegExp(db), /page \d+/, /offset \d+/, advice],
  },
  {
    what: "database: it is gone, and the log begins behind a snapshot",
    damage: ({ db }) => rmSync(db),
    refusal: ({ db }) => [new RegExp(db), /missing/, advice],
  },
  { what: "snapshot: a byte flipped in the newest", damage: ({ snapshots }) => flip(snapshots[0], 20) },
  { what: "snapshot: the newest cut short", damage: ({ snapshots }) => truncateSync(snapshots[0], 10) },
  { what: "snapshot: the newest empty", damage: ({ snapshots }) => truncateSync(snapshots[0], 0) },
  {
    what: "snapshot: all gone, the log complete",
    damage: ({ snapshots }) => snapshots.forEach((path) => rmSync(path)),
  },
];

/** bbolt: page header of 16 bytes, then magic, version, page size, flags, root (page, sequence), freelist, high water, txid. */
function metaTxid(db: string, page: number): bigint {
  return readFileSync(db).readBigUInt64LE(page * pageSize + 64);
}

function newestMeta(db: string): number {
  return metaTxid(db, 0) > metaTxid(db, 1) ? 0 : pageSize;
}

function rootPage(db: string): number {
  return Number(readFileSync(db).readBigUInt64LE(newestMeta(db) + 32));
}

test.each(table)("$what", async ({ damage, refusal }) => {
  const files = copyOfSound();
  damage(files);
  const before = directoryState(files.dataDir);
  const starting = startReadyMember({ dataDir: files.dataDir, snapshotCount: 25 });
  if (refusal === undefined) {
    const member = await starting;
    expect(pairs(member)).toBe(all);
    await put(member, "after", "it");
    await member.stop();
    const again = await startReadyMember({ dataDir: files.dataDir });
    await again.stop();
    return;
  }
  const error: unknown = await starting.then(
    async (member) => {
      await member.stop();
      return undefined;
    },
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(Error);
  for (const pattern of refusal(files)) expect((error as Error).message).toMatch(pattern);
  // What may still be of use to somebody is as it was; a log that was cut short before it is looked into has a copy.
  const kept = directoryState(files.dataDir).map((line) => line.replace(".wal.broken", ".wal"));
  for (const line of before) expect(kept).toContain(line);
});

/**
 * A flipped length can look like a write that a crash has torn, after which nothing can follow: there the log ends, as in
 * etcd, and the start is refused when the database has applied more than is left.
 */
test("log: wherever a bit is flipped it is refused with the place and what to do, or looks torn there", () => {
  const files = copyOfSound();
  const { disk, log } = testPlatform([]);
  const directory = dirname(files.wal);
  const from = { index: 0, term: 0 };
  const whole = readLog(disk, directory, from).contents.entries.length;
  const bytes = readFileSync(files.wal).subarray(0, files.walEnd + 64);
  const outcomes = { refused: 0, torn: 0, harmless: 0 };
  for (let position = 0; position < bytes.length; position += 37) {
    const damaged = Buffer.from(bytes);
    damaged[position] ^= 1 << (position % 8);
    writeFileSync(files.wal, damaged);
    try {
      const { contents, tail } = readLog(disk, directory, from, log);
      if (tail.ending === "torn") outcomes.torn++;
      else {
        expect(contents.entries.length, `flipped at ${position}`).toBe(whole);
        outcomes.harmless++;
      }
    } catch (error) {
      for (const pattern of [new RegExp(files.wal), /offset \d+/, advice]) {
        expect((error as Error).message, `flipped at ${position}`).toMatch(pattern);
      }
      outcomes.refused++;
    }
  }
  expect(outcomes.refused).toBeGreaterThan(10 * (outcomes.torn + outcomes.harmless));
});

/** Names and sizes of the files of a member that hold data. */
function directoryState(dataDir: string): string[] {
  return readdirSync(dataDir, { recursive: true })
    .map((name) => String(name))
    .filter((name) => /\.(wal|wal\.broken|snap)$|\/db$/.test(name))
    .toSorted()
    .map((name) => `${name} ${statSync(join(dataDir, name)).size}`);
}

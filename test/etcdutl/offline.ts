/** What files say without a server, in the form in which the fixtures record it of Go's. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { BoltDb } from "../../src/storage/bbolt/db.ts";
import { readSnapshotFile } from "../../src/storage/snap/snap-files.ts";
import { readLog, readValidSnapshots } from "../../src/storage/wal/log-reader.ts";
import { Metadata } from "../../src/wire/gen/etcdserverpb/etcdserver.ts";

export const platform = createNodePlatform({ log: createStderrLogger("fatal") });
const { disk } = platform;

/** Rows by bucket: how many, and the SHA-256 over length and bytes of every key and value. */
export function bucketFacts(path: string): Record<string, { keys: number; sha256: string }> {
  const db = BoltDb.open(disk, path, { readOnly: true });
  const tx = db.begin(false);
  const facts: Record<string, { keys: number; sha256: string }> = {};
  const names = tx.cursor();
  for (let more = names.first(); more; more = names.next()) {
    const hash = createHash("sha256");
    const length = Buffer.alloc(4);
    const cursor = tx.bucket(names.key)!.cursor();
    let keys = 0;
    for (let row = cursor.first(); row; row = cursor.next()) {
      for (const bytes of [cursor.key, cursor.value]) {
        length.writeUInt32BE(bytes.length);
        hash.update(length).update(bytes);
      }
      keys++;
    }
    facts[Buffer.from(names.key).toString()] = { keys, sha256: hash.digest("hex") };
  }
  tx.rollback();
  db.close();
  return facts;
}

/** Files below a data directory, sorted; those of a WAL elsewhere are marked as the fixtures do. */
export function filesOf(dataDir: string, walDir?: string): string[] {
  const inside = readdirSync(dataDir, { recursive: true })
    .map(String)
    .filter((name) => statSync(join(dataDir, name)).isFile())
    .sort();
  return walDir === undefined ? inside : [...inside, ...readdirSync(walDir).map((name) => `(wal-dir) ${name}`)];
}

/** Of the log of a restored member: everything that its records say. */
export function logFacts(dataDir: string, walDir: string): object {
  const snapshots = readValidSnapshots(disk, walDir);
  const { contents } = readLog(disk, walDir, { index: 0, term: 0 });
  const { NodeID, ClusterID } = Metadata.decode(contents.metadata);
  const [name] = readdirSync(join(dataDir, "member/snap")).filter((each) => each.endsWith(".snap"));
  const { index, term, confState } = readSnapshotFile(disk, join(dataDir, "member/snap", name)).metadata;
  return {
    ids: [String(NodeID), String(ClusterID)],
    hardState: { ...contents.hardState, vote: String(contents.hardState.vote) },
    entries: contents.entries.length,
    // That of index 0 is not a valid snapshot to start from, and always there.
    snapshots: snapshots.filter((each) => each.index > 0).map((each) => ({ index: each.index, term: each.term })),
    snap: { index, term, voters: confState.voters.map(String) },
  };
}

export function sha256OfFile(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Nothing, or files that are no member. */
export function holdsMember(dataDir: string): boolean {
  return existsSync(join(dataDir, "member"));
}

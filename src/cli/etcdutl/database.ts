/** Reading a database file that no member has open: its buckets, its rows, its storage version. */
import { BoltDb } from "../../storage/bbolt/db.ts";
import type { Tx } from "../../storage/bbolt/tx.ts";
import { buckets, type Bucket } from "../../storage/backend/bucket.ts";
import { decodeRowKey } from "../../storage/backend/row-key.ts";
import { metaKeys } from "../../storage/backend/schema.ts";
import { NodeDisk } from "../../platform/node/disk.ts";
import { CommandFailure, ExitCode, messageOf } from "../shared/failure.ts";
import type { Terminal } from "../shared/terminal.ts";
import { ToolLogger } from "../shared/tool-logger.ts";

/** Opens for reading, hands the database to `read`, and closes. @throws {CommandFailure} with the reason. */
export function readDatabase<Value>(path: string, terminal: Terminal, read: (db: BoltDb) => Value): Value {
  const disk = new NodeDisk(new ToolLogger(terminal.error, { caller: "etcdutl/database.ts" }));
  if (!disk.exists(path)) throw new CommandFailure(ExitCode.Error, `stat ${path}: no such file or directory`);
  try {
    const db = BoltDb.open(disk, path, { readOnly: true });
    try {
      return read(db);
    } finally {
      db.close();
    }
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure(ExitCode.Error, messageOf(error), { cause: error });
  }
}

/** Reads one committed state. */
export function inTransaction<Value>(db: BoltDb, read: (tx: Tx) => Value): Value {
  const tx = db.begin(false);
  try {
    return read(tx);
  } finally {
    tx.rollback();
  }
}

/** Every pair of a bucket, in order; nothing when there is no such bucket. Keys and values are views of the file's pages. */
export function* pairsOf(tx: Tx, { bytes }: Bucket): Generator<[key: Uint8Array, value: Uint8Array]> {
  const bucket = tx.bucket(bytes);
  if (bucket === undefined) return;
  const cursor = bucket.cursor();
  for (let found = cursor.first(); found; found = cursor.next()) yield [cursor.key, cursor.value];
}

/** Names of the buckets, in order. */
export function bucketNames(tx: Tx): Uint8Array[] {
  const names: Uint8Array[] = [];
  const cursor = tx.cursor();
  for (let found = cursor.first(); found; found = cursor.next()) names.push(new Uint8Array(cursor.key));
  return names;
}

/** Such as `3.6.0`; empty before 3.6. */
export function storageVersion(tx: Tx): string {
  const value = metaValue(tx, metaKeys.storageVersion);
  return value === undefined ? "" : Buffer.from(value).toString("latin1");
}

/** Main revision of the last compaction that was ordered, whether done or not; -1 when there was none. */
export function compactRevision(tx: Tx): number {
  const marks = [metaKeys.scheduledCompactRevision, metaKeys.finishedCompactRevision].map((key) => {
    const value = metaValue(tx, key);
    return value === undefined ? -1 : decodeRowKey(value).main;
  });
  return Math.max(...marks);
}

function metaValue(tx: Tx, key: Uint8Array): Uint8Array | undefined {
  return tx.bucket(buckets.meta.bytes)?.get(key);
}

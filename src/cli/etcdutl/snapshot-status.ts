/** What `etcdutl snapshot status` says of a file. */
import { updateCrc32c } from "../../base/crc32c.ts";
import { checkDatabase } from "../../storage/bbolt/check.ts";
import type { BoltDb } from "../../storage/bbolt/db.ts";
import type { Tx } from "../../storage/bbolt/tx.ts";
import { buckets } from "../../storage/backend/bucket.ts";
import { decodeRowKey } from "../../storage/backend/row-key.ts";
import { decodeKeyValue } from "../../wire/hot/key-value.ts";
import { CommandFailure, ExitCode } from "../shared/failure.ts";
import { bucketNames, inTransaction, storageVersion } from "./database.ts";

export interface SnapshotStatus {
  /** CRC-32C over the name and all pairs of every bucket, in order. */
  readonly hash: number;
  /** Of the newest row. */
  readonly revision: number;
  /** Keys whose newest row is not a tombstone. */
  readonly totalKey: number;
  /** Bytes of the database, without what stands behind it in the file. */
  readonly totalSize: number;
  /** Empty before 3.6. */
  readonly version: string;
}

/** @throws {CommandFailure} when the file is damaged. */
export function snapshotStatus(db: BoltDb): SnapshotStatus {
  const faults = checkDatabase(db);
  if (faults.length > 0) {
    const head = `snapshot file integrity check failed. ${faults.length} errors found.`;
    throw new CommandFailure(ExitCode.Error, [head, ...faults].join("\n"));
  }
  return inTransaction(db, statusOf);
}

function statusOf(tx: Tx): SnapshotStatus {
  let hash = 0;
  let revision = 0;
  const living = new Set<string>();
  for (const name of bucketNames(tx)) {
    hash = updateCrc32c(hash, name);
    const isKeyBucket = Buffer.from(name).toString("latin1") === buckets.key.name;
    const cursor = tx.bucket(name)?.cursor();
    for (let found = cursor?.first() === true; found; found = cursor?.next() === true) {
      const { key, value } = cursor!;
      hash = updateCrc32c(updateCrc32c(hash, key), value);
      if (!isKeyBucket) continue;
      const row = decodeRowKey(key);
      revision = row.main;
      const text = Buffer.from(decodeKeyValue(value).key).toString("latin1");
      if (row.tombstone) living.delete(text);
      else living.add(text);
    }
  }
  return { hash, revision, totalKey: living.size, totalSize: tx.size, version: storageVersion(tx) };
}

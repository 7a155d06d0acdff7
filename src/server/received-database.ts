/**
 * A look at a database that a peer sent, before it may replace ours: its meta pages, that the file is as long as they say,
 * and that it holds what the snapshot's index promises. Of the pages in between only those on the way to the index are read.
 */
import { CorruptionError } from "../base/corruption.ts";
import type { Disk } from "../platform/disk.ts";
import { readConsistentIndex } from "../storage/backend/schema.ts";
import { BoltDb } from "../storage/bbolt/db.ts";

/** @throws {CorruptionError} when it cannot be used. @throws {DiskError} */
export function checkReceivedDatabase(disk: Disk, path: string, index: number): void {
  const db = BoltDb.open(disk, path, { readOnly: true });
  try {
    const tx = db.begin(false);
    const held = readConsistentIndex({ get: (bucket, key) => tx.bucket(bucket.bytes)?.get(key) });
    tx.rollback();
    if (held < index)
      throw new CorruptionError({ path }, `holds index ${held}, and the snapshot that came with it ${index}`);
  } finally {
    db.close();
  }
}

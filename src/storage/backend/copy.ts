/** Copies of a whole database: the dense file of a defragmentation, and the image that a snapshot sends. */
import { assert } from "../../base/assert.ts";
import type { Bucket as TreeBucket } from "../bbolt/bucket.ts";
import type { Cursor } from "../bbolt/cursor.ts";
import type { BoltDb } from "../bbolt/db.ts";
import { encodeMetaPage } from "../bbolt/format.ts";
import type { Pace } from "../bbolt/tx.ts";
import type { Bucket, PairVisitor, RowPosition } from "./bucket.ts";
import { LayeredReader } from "./layered-reader.ts";
import { sequentialFill } from "./merge.ts";
import { TreeReader } from "./tree-reader.ts";

/** A consistent image of the database file, as `Maintenance.Snapshot` sends it. */
export interface SnapshotImage {
  /** A multiple of the page size. */
  readonly size: number;
  /** Fills `target` from `position`; returns the count, short only at the end. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** A pair of a bucket other than `key`, as the image has it. A view. */
  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined;
  /** Visits up to `limit` (0 = all) pairs of `[start, end)` of a bucket other than `key`, as the image has them. */
  range(bucket: Bucket, start: Uint8Array, end: Uint8Array | undefined, limit: number, visit: PairVisitor): void;
  /** The newest row; its main revision is the revision of the image. Undefined when there never was one. */
  lastRow(): RowPosition | undefined;
  /** Releases the pinned pages. Idempotent. */
  close(): void;
}

/**
 * The file as one transaction sees it. Both metas point to the same tree, the second with the txid before; free pages are
 * copied as they are. Memory: two pages.
 */
export function snapshotImage(db: BoltDb): SnapshotImage {
  const tx = db.begin(false);
  const { meta } = tx;
  const head = new Uint8Array(meta.pageSize * 2);
  head.set(encodeMetaPage(meta, 0));
  head.set(encodeMetaPage({ ...meta, txid: meta.txid - 1 }, 1), meta.pageSize);
  const size = meta.highWater * meta.pageSize;
  const reader = new LayeredReader([], new TreeReader(tx));
  let open = true;
  return {
    size,
    get: (bucket, key) => reader.get(bucket, key),
    range: (bucket, start, end, limit, visit) => reader.range(bucket, start, end, limit, visit),
    lastRow: () => reader.lastRow(),
    async read(target, position) {
      assert(open, "snapshot: the image is closed");
      const count = Math.min(target.length, size - position);
      if (count <= 0) return 0;
      if (position < head.length) {
        const part = head.subarray(position, Math.min(head.length, position + count));
        target.set(part);
        return part.length;
      }
      return db.readRaw(target.subarray(0, count), position);
    },
    close() {
      if (open) tx.rollback();
      open = false;
    },
  };
}

/** Rows between two commits of the copy, as in etcd: bounds what is in memory. */
const rowsPerCommit = 10_000;
const bytesPerCommit = 32 << 20;
const rowsPerAppend = 256;
const bytesPerAppend = 128 << 10;
/** Written at most before it is synced: one sync of all at the end would make those of the log wait. */
const bytesPerSync = 32 << 20;

/**
 * Copies all buckets of `from` into the empty database `to`, in order and densely.
 *
 * @param syncs - whether it is synced on the way; the end is the caller's in any case.
 */
export async function copyDatabase(from: BoltDb, to: BoltDb, pace: Pace, syncs: boolean): Promise<void> {
  const source = from.begin(false);
  try {
    const names: Uint8Array[] = [];
    const cursor = source.cursor();
    for (let more = cursor.first(); more; more = cursor.next()) names.push(cursor.key);
    for (const name of names) {
      const bucket = source.bucket(name);
      assert(bucket !== undefined, "defragment: the root bucket holds only buckets");
      await copyBucket(bucket, to, { name, pace, syncs });
    }
  } finally {
    source.rollback();
  }
}

async function copyBucket(
  source: TreeBucket,
  to: BoltDb,
  { name, pace, syncs }: { readonly name: Uint8Array; readonly pace: Pace; readonly syncs: boolean },
): Promise<void> {
  const cursor = source.cursor();
  cursor.first();
  let unsynced = 0;
  do {
    const tx = to.begin(true);
    try {
      unsynced += await copyRows(source, cursor, tx.root.createBucket(name), pace);
      await tx.commit(pace);
    } finally {
      // Without effect after the commit.
      tx.rollback();
    }
    if (syncs && unsynced >= bytesPerSync) {
      await to.sync();
      unsynced = 0;
    }
  } while (cursor.valid);
}

/** Copies as much as goes into one transaction. @returns the bytes of it. */
async function copyRows(source: TreeBucket, cursor: Cursor, target: TreeBucket, pace: Pace): Promise<number> {
  target.sequence = source.sequence;
  target.fillPercent = sequentialFill;
  let keys: Uint8Array[] = [];
  let values: Uint8Array[] = [];
  const appender = target.appender({
    keySize: (index) => keys[index].length,
    writeKey: (index, bytes, offset) => bytes.set(keys[index], offset),
    value: (index) => values[index],
  });
  let bytes = 0;
  let appended = 0;
  for (let rows = 0; cursor.valid && rows < rowsPerCommit && bytes < bytesPerCommit; rows++) {
    assert(!cursor.isBucket, "defragment: etcd's buckets hold no buckets");
    keys.push(cursor.key);
    values.push(cursor.value);
    bytes += cursor.value.length;
    cursor.next();
    if (keys.length < rowsPerAppend && bytes - appended < bytesPerAppend) continue;
    appender.append(0, keys.length);
    appended = bytes;
    keys = [];
    values = [];
    if (pace.due()) await pace.turn();
  }
  appender.append(0, keys.length);
  return bytes;
}

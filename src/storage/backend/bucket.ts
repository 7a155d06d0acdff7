/** The buckets of etcd's database, and the two shapes of readers over them. See etcd server/storage/schema/bucket.go. */
import { assert } from "../../base/assert.ts";

/** A bucket of the root bucket. Compared by identity: the only ones there are stand in {@link buckets}. */
export interface Bucket {
  /** Position in {@link allBuckets}. */
  readonly index: number;
  readonly name: string;
  readonly bytes: Uint8Array;
}

function bucket(index: number, name: string): Bucket {
  return { index, name, bytes: new Uint8Array(Buffer.from(name, "latin1")) };
}

/** Every bucket of a 3.6 database, in the byte order of their names (the order in which they lie in the file). */
export const buckets = {
  alarm: bucket(0, "alarm"),
  auth: bucket(1, "auth"),
  authRoles: bucket(2, "authRoles"),
  authUsers: bucket(3, "authUsers"),
  cluster: bucket(4, "cluster"),
  /** Rows of the store, one a revision. Written and read through the row methods only. */
  key: bucket(5, "key"),
  lease: bucket(6, "lease"),
  members: bucket(7, "members"),
  membersRemoved: bucket(8, "members_removed"),
  meta: bucket(9, "meta"),
} as const;

export const allBuckets: readonly Bucket[] = Object.values(buckets);
for (const [index, { index: declared }] of allBuckets.entries()) assert(index === declared, "buckets are out of order");

/** A place between rows: rows order by `main`, then `sub`. */
export interface RowPosition {
  readonly main: number;
  readonly sub: number;
}

/**
 * Sees one row of the `key` bucket. `value` is the stored `KeyValue` message: a view, valid as long as it is referenced,
 * which pins the 4 KiB page (or up to 1 MiB of a scan) that it lies in: copy what is kept. Return false to stop.
 */
export type RowVisitor = (main: number, sub: number, tombstone: boolean, value: Uint8Array) => boolean;

/** Sees one pair of a bucket; views as in {@link RowVisitor}. Return false to stop. */
export type PairVisitor = (key: Uint8Array, value: Uint8Array) => boolean;

/** What can be read of a database: as it is now (the backend itself) or as it was (a pinned view). */
export interface BackendReader {
  /**
   * The value of one row, or undefined. `tombstone` undefined accepts either kind.
   *
   * @returns a view: nobody writes to it; it pins the page it lies in, so copy what is kept.
   */
  getRow(main: number, sub: number, tombstone?: boolean): Uint8Array | undefined;
  /**
   * Visits the rows of `[from, to)` in order; `to` undefined = to the end. The visitor must not write to the backend.
   *
   * @param isTransient - the visitor keeps no view: a long scan may then use the same memory again and again.
   */
  scanRows(from: RowPosition, to: RowPosition | undefined, visit: RowVisitor, isTransient?: boolean): void;
  /** The position of the newest row, or undefined when there is none. */
  lastRow(): RowPosition | undefined;
  /** A pair of a bucket other than `key`. A view. */
  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined;
  /** Visits up to `limit` (0 = all) pairs of `[start, end)` of a bucket other than `key`; `end` undefined = to its end. */
  range(bucket: Bucket, start: Uint8Array, end: Uint8Array | undefined, limit: number, visit: PairVisitor): void;
}

/** A state held fast: later writes, commits and a defragmentation do not change what it shows. */
export interface PinnedView extends BackendReader {
  /** Lets pages be reused. Idempotent; the view must not be read afterwards. While held, the file can only grow. */
  release(): void;
}

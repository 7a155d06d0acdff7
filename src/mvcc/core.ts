/** What the parts of the store share. One instance a store; nobody outside src/mvcc sees it. */
import { CorruptionError } from "../base/corruption.ts";
import type { FailpointSlots } from "../base/failpoints.ts";
import { EtcdError } from "../wire/errors.ts";
import type { Change } from "./change.ts";
import type { KeyIndex } from "./index/key-index.ts";
import { KeyRanges } from "./index/key-ranges.ts";
import { RevisionList } from "./index/revision-list.ts";
import type { LeaseBook } from "./lease-book.ts";
import type { RowStore } from "./row-store.ts";
import { PairEncoder, PairReader } from "./stored-pair.ts";
import type { BackendReader } from "../storage/backend/bucket.ts";

/** Plain numbers that only grow (unless named otherwise), for metrics. */
export interface StoreCounters {
  /** Reads of a range, compares and previous pairs included, as etcd counts them. */
  ranges: number;
  puts: number;
  deletes: number;
  /** Write transactions with more than one operation. */
  txns: number;
  /** Key and value bytes of all puts. */
  putBytes: number;
  /** Rows removed by compactions. */
  compactedRows: number;
  /** Unix time of the end of the last compaction; 0 when none. Written by the server: the store has no clock. */
  lastCompactionSeconds: number;
}

export interface CoreParts {
  readonly rows: RowStore;
  readonly index: KeyIndex;
  readonly leases: LeaseBook;
  readonly failpoints: FailpointSlots;
  /** Those of the core before. */
  readonly counters?: StoreCounters;
}

export class Core {
  readonly rows: RowStore;
  readonly index: KeyIndex;
  readonly ranges: KeyRanges;
  readonly leases: LeaseBook;
  readonly failpoints: FailpointSlots;
  currentRevision = 1;
  compactRevision = -1;
  onCommit: ((main: number, changes: readonly Change[]) => void) | undefined = undefined;
  onWork: (() => void) | undefined = undefined;
  onCompacted: ((revision: number) => void) | undefined = undefined;
  readonly counters: StoreCounters;
  /** Revisions that sliced readers of the index (cursors, hashes) still need: no compaction above starts meanwhile. */
  readonly indexReaders: number[] = [];
  /** Scratch of synchronous code; never held over a call that may use it. */
  readonly pairs = new PairEncoder();
  readonly pair = new PairReader();
  readonly list = new RevisionList();

  constructor(parts: CoreParts) {
    const { rows, index, leases, failpoints, counters = newCounters() } = parts;
    this.counters = counters;
    this.failpoints = failpoints;
    this.rows = rows;
    this.index = index;
    this.ranges = new KeyRanges(index);
    this.leases = leases;
  }

  /**
   * The revision a read at `requested` sees; 0 or less means `current`.
   *
   * @throws {EtcdError} `futureRevision`, `compacted`.
   */
  readableRevision(requested: number, current: number): number {
    if (requested > current) throw new EtcdError("futureRevision");
    const revision = requested <= 0 ? current : requested;
    if (revision < this.compactRevision) throw new EtcdError("compacted");
    return revision;
  }

  /** Starts a commit. When one fails the backend stops the member (`onFatal`), and `whenDurable` is never called. */
  commit(whenDurable?: () => void): void {
    this.rows.commit().then(
      () => whenDurable?.(),
      () => undefined,
    );
  }

  addIndexReader(revision: number): void {
    this.indexReaders.push(revision);
  }

  removeIndexReader(revision: number): void {
    this.indexReaders.splice(this.indexReaders.indexOf(revision), 1);
    this.onWork?.();
  }
}

function newCounters(): StoreCounters {
  return { ranges: 0, puts: 0, deletes: 0, txns: 0, putBytes: 0, compactedRows: 0, lastCompactionSeconds: 0 };
}

/** The row of a put that the index knows. @throws {CorruptionError} when it is missing. */
export function requireRow(reader: BackendReader, main: number, sub: number): Uint8Array {
  const row = reader.getRow(main, sub, false);
  if (row === undefined) {
    throw new CorruptionError({ path: "bucket key" }, `revision ${main}.${sub} is in the index and has no row`);
  }
  return row;
}

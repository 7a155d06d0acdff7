/**
 * The multi-version key-value store: a key index in memory over rows of the backend's `key` bucket.
 *
 * A revision is `main.sub`: main counts write transactions that changed something (the first one gets 2), sub the
 * changes inside one. The row of a revision is the encoded `KeyValue`; the index knows for each key its revisions, so
 * that a read is an index lookup and one row lookup, and a count needs no row at all.
 *
 * Pure: no clock, no timers. Long work (compaction, hashes, big ranges) comes as step functions that the server calls in slices.
 *
 * Source of the rules: etcd server/storage/mvcc/{kvstore,kvstore_txn,kvstore_compaction,hash}.go and
 * server/etcdserver/txn/txn.go, release 3.6.
 */
import type { Backend } from "../storage/backend/backend.ts";
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from "../wire/hot/kv.ts";
import type { Change, Revision } from "./change.ts";
import type { HashJob } from "./hash.ts";
import type { LeaseBook } from "./lease-book.ts";
import type { RangeCursor } from "./range-cursor.ts";
import type { WriteTxn } from "./write-txn.ts";

export interface StoreOptions {
  /** Rows per batch of a compaction; a backend commit follows each. Default 1000 (`--compaction-batch-limit`). */
  readonly compactionBatchRows?: number;
  /** Told of things an operator should know; the store goes on. */
  readonly warn?: (message: string, fields: Record<string, unknown>) => void;
}

/** What `revision` an answer carries in its header, and the answer. */
export interface Answer<Response> {
  readonly revision: number;
  readonly response: Response;
}

/** What to do after a step of background work. */
export type StepResult =
  /** Nothing left to do (or it waits for an open reader): wait for `onWork`. */
  | "idle"
  /** A slice is done: call again in a later turn of the loop. */
  | "more"
  /** A batch is done and its commit requested: call again after the pause between batches (`--compaction-sleep-interval`). */
  | "pause";

export declare class Store {
  /**
   * Builds the index from the rows of the backend, attaches keys to leases, and queues the compaction that was not
   * finished (see {@link stepCompaction}).
   *
   * @param leases - the lessor; absent means that no lease is known.
   */
  static open(backend: Backend, leases?: LeaseBook, options?: StoreOptions): Store;

  /** Main revision of the newest change; 1 in a new store. */
  readonly currentRevision: number;
  /** Oldest revision still readable; -1 when never compacted. */
  readonly compactRevision: number;
  /** Keys that exist now. */
  readonly keyCount: number;

  /**
   * Called at the end of a write transaction that changed something, after `currentRevision` has moved.
   * `changes` are in execution order, all of one `main`. Set by the watch hub. Must not write to the store.
   */
  onCommit: ((main: number, changes: readonly Change[]) => void) | undefined;
  /** Called when {@link stepCompaction} has something to do again. Set by the server. */
  onWork: (() => void) | undefined;

  /**
   * Answers a range request at `request.revision` (0: now).
   *
   * @returns `kvs` are views of stored bytes, to be used before the loop turns.
   * @throws {EtcdError} `compacted`, `futureRevision`, `invalidSortOption`; the store is unchanged.
   */
  range(request: RangeRequest): Answer<RangeResponse>;

  /** As {@link range}, but gives up with undefined when the pairs would exceed `maxBytes`: then use {@link rangeCursor}. */
  rangeWithin(request: RangeRequest, maxBytes: number): Answer<RangeResponse> | undefined;

  /**
   * A big range in slices: pins the state of now, measures, then yields chunks. The caller must `close()` it.
   *
   * @throws {EtcdError} as {@link range}.
   */
  rangeCursor(request: RangeRequest): RangeCursor;

  /** Stored bytes of `key` as of `revision`: what prev_kv of an event at `revision + 1` shows. undefined when absent or compacted. */
  keyValueAt(key: Uint8Array, revision: number): Uint8Array | undefined;

  /** Opens the one write transaction; `end()` it before anything else uses the store. */
  beginWrite(): WriteTxn;

  /** @throws {EtcdError} `leaseNotFound`, `keyNotFound`; nothing is written. */
  applyPut(request: PutRequest): Answer<PutResponse>;
  applyDeleteRange(request: DeleteRangeRequest): Answer<DeleteRangeResponse>;
  /**
   * Executes a transaction from the log.
   *
   * @param isProposer - whether a local client waits for the answer. Without one the top-level ranges are skipped, as etcd
   *   3.5 and 3.6 do; with one, a top-level range that fails makes the answer an error but never suppresses the writes,
   *   so that all members write the same (compat: apply.md 3.4).
   * @throws {EtcdError} `compacted`, `futureRevision`, `keyNotFound`, `leaseNotFound`. Nothing is written unless the
   *   failing operation is a top-level range.
   */
  applyTxn(request: TxnRequest, isProposer: boolean): Answer<TxnResponse>;
  /** The checks of {@link applyTxn}, top-level ranges included, against the state of now; to refuse before proposing. */
  checkTxn(request: TxnRequest): void;
  /** A transaction of top-level ranges only, served without the log. @throws as {@link applyTxn}. */
  readTxn(request: TxnRequest): Answer<TxnResponse>;

  /**
   * Makes revisions below `revision` unreadable at once and queues the deletion of their rows.
   *
   * @param whenDone - called when the rows are gone and that is durable.
   * @throws {EtcdError} `compacted`, `futureRevision`.
   */
  compact(revision: number, whenDone?: () => void): void;
  /** Does a slice of queued compactions: at most `maxUnits` keys or rows looked at. */
  stepCompaction(maxUnits: number): StepResult;

  /**
   * HashKV at `revision` (0: now), in slices.
   *
   * @throws {EtcdError} `compacted`, `futureRevision`.
   */
  hashKv(revision: number): HashJob;
  /** Hashes remembered from the last 10 compactions, oldest revision first. */
  readonly compactionHashes: readonly KeyValueHash[];

  /**
   * Visits the changes from `from` on, below main revision `end`, in order; stops when `visit` returns false or
   * `maxRows` rows were looked at.
   *
   * @returns where to go on, or undefined when `end` is reached.
   * @throws {EtcdError} `compacted` when `from.main` is below the compact revision.
   */
  eventsSince(from: Revision, end: number, maxRows: number, visit: (change: Change) => boolean): Revision | undefined;
}

export interface KeyValueHash {
  readonly hash: number;
  readonly revision: number;
  readonly compactRevision: number;
}

/**
 * The multi-version key-value store: a key index in memory over rows of the backend's `key` bucket.
 *
 * A revision is `main.sub`: main counts write transactions that changed something (the first one gets 2), sub the
 * changes inside one. The row of a revision is the encoded `KeyValue`; the index knows for each key its revisions, so
 * that a read is an index lookup and one row lookup, and a count needs no row at all.
 *
 * Pure: no clock, no timers. Long work (compaction, hashes, big ranges) comes as step functions that the server calls in
 * slices. This file is the face; the work is in the files named by the imports.
 *
 * Source of the rules: etcd server/storage/mvcc/kvstore.go and server/etcdserver/txn/txn.go, release 3.6.
 */
import type {
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
} from "../wire/hot/types.ts";
import { type FailpointSlots, failpointsOff } from "../base/failpoints.ts";
import { runAtOnce, type Steps } from "../base/steps.ts";
import type { BackendReader } from "../storage/backend/bucket.ts";
import type { Change, Revision } from "./change.ts";
import { Compaction, type StepResult } from "./compaction.ts";
import { Core, type StoreCounters } from "./core.ts";
import { CompactionHashes, HashJob, type KeyValueHash } from "./hash.ts";
import { eventsSince } from "./history.ts";
import type { HashSeed } from "./index/key-hash.ts";
import { KeyIndex } from "./index/key-index.ts";
import { noLeases, type LeaseBook } from "./lease-book.ts";
import { RangeCursor } from "./range-cursor.ts";
import { executeRange } from "./range.ts";
import { restore } from "./restore.ts";
import type { RowStore } from "./row-store.ts";
import { applyDeleteRange, applyPut, applyTxn, checkTxn, currentRow, readTxn, type Answer } from "./txn.ts";
import { WriteTxn } from "./write-txn.ts";

export interface StoreOptions {
  /** Rows per batch of a compaction; a backend commit follows each. Default 1000 (`--compaction-batch-limit`). */
  readonly compactionBatchRows?: number;
  /** Secret numbers for the hash of keys, from the platform's randomness. Default: fixed, for tests and tools. */
  readonly hashSeed?: HashSeed;
  /** Told of things an operator should know; the store goes on. */
  readonly warn?: (message: string, fields: Record<string, unknown>) => void;
  readonly failpoints?: FailpointSlots;
}

const defaultCompactionBatchRows = 1000;
/** Rows of a snapshot read between two yields: two milliseconds or so. */
const rowsPerStep = 2_000;

/** A state that was read beside the one in use. */
export interface PreparedStore {
  readonly core: Core;
  /** Revision of a compaction to run again, or 0. */
  readonly unfinished: number;
}

export class Store {
  readonly #options: StoreOptions;
  #core: Core;
  #write: WriteTxn;
  #hashes = new CompactionHashes();
  #compaction: Compaction;

  private constructor(core: Core, options: StoreOptions) {
    this.#options = options;
    this.#core = core;
    this.#write = new WriteTxn(core);
    this.#compaction = new Compaction(core, this.#hashes, options.compactionBatchRows ?? defaultCompactionBatchRows);
  }

  /**
   * Builds the index from the rows of the backend, attaches keys to leases, and queues the compaction that was not
   * finished (see {@link stepCompaction}).
   *
   * @param leases - the lessor; absent means that no lease is known.
   * @throws {CorruptionError} when a row cannot be read.
   */
  static open(rows: RowStore, leases: LeaseBook = noLeases, options: StoreOptions = {}): Store {
    const { hashSeed, failpoints = failpointsOff } = options;
    const store = new Store(new Core({ rows, index: new KeyIndex(hashSeed), leases, failpoints }), options);
    store.#bind(runAtOnce(store.#restore(store.#core, rows, leases, Infinity)));
    return store;
  }

  /**
   * Reads the database of a snapshot, which is not in use yet, in steps: nothing of it shows before {@link adopt}.
   *
   * @param rows - that database. It is the one behind the store's own `RowStore` when the result is adopted.
   * @param leases - its leases, to attach keys to; what the lessor becomes in the turn of {@link adopt}.
   * @throws {CorruptionError} from a step, when a row cannot be read.
   */
  *prepare(rows: BackendReader, leases: Pick<LeaseBook, "attach">): Steps<PreparedStore> {
    const { rows: own, leases: book, failpoints, counters } = this.#core;
    const index = new KeyIndex(this.#options.hashSeed);
    const core = new Core({ rows: own, index, leases: book, failpoints, counters });
    const unfinished = yield* this.#restore(core, rows, leases, rowsPerStep);
    return { core, unfinished };
  }

  /**
   * Goes on with what was prepared: the database was replaced by that one, and the lessor has its leases. Cursors and
   * hashes that are open go on over the state they began with; compactions under way are given up, and those that the new
   * database has begun are queued. Nothing is said to `onCommit`.
   */
  adopt({ core, unfinished }: PreparedStore): void {
    const before = this.#core;
    core.onCommit = before.onCommit;
    core.onWork = before.onWork;
    core.onCompacted = before.onCompacted;
    const abandoned = this.#compaction;
    this.#core = core;
    this.#write = new WriteTxn(core);
    this.#hashes = new CompactionHashes();
    const batchRows = this.#options.compactionBatchRows ?? defaultCompactionBatchRows;
    this.#compaction = new Compaction(core, this.#hashes, batchRows);
    this.#bind(unfinished);
    abandoned.abandon();
  }

  #restore(core: Core, rows: BackendReader, leases: Pick<LeaseBook, "attach">, perStep: number): Steps<number> {
    const warn = this.#options.warn ?? (() => undefined);
    return restore(core, { rows, leases, rowsPerStep: perStep, warn });
  }

  /** Lets leases find their keys, and goes on with a compaction that was not finished. */
  #bind(unfinished: number): void {
    const core = this.#core;
    core.leases.bind({
      keyOf: (item) => core.index.key(item),
      deleteKeys: (keys, alongside) => this.#deleteKeys(keys, alongside),
    });
    if (unfinished > 0) this.compact(unfinished);
  }

  /** Main revision of the newest change; 1 in a new store. */
  get currentRevision(): number {
    return this.#core.currentRevision;
  }

  /** Oldest revision still readable; -1 when never compacted. */
  get compactRevision(): number {
    return this.#core.compactRevision;
  }

  /** Keys that exist now. */
  get keyCount(): number {
    return this.#core.index.liveCount;
  }

  /** Memory of the key index in bytes. */
  get indexBytes(): number {
    return this.#core.index.allocatedBytes;
  }

  /**
   * Called at the end of a write transaction that changed something, after `currentRevision` has moved; `changes` are in
   * execution order, all of one main revision. Set by the watch hub. Must not write to the store.
   */
  set onCommit(callback: ((main: number, changes: readonly Change[]) => void) | undefined) {
    this.#core.onCommit = callback;
  }

  /** Called when {@link stepCompaction} has something to do (again). Set by the server. */
  set onWork(callback: (() => void) | undefined) {
    this.#core.onWork = callback;
  }

  /** Called when a compaction has finished, resumed ones included. Set by the server. */
  set onCompacted(callback: ((revision: number) => void) | undefined) {
    this.#core.onCompacted = callback;
  }

  get counters(): StoreCounters {
    return this.#core.counters;
  }

  /**
   * Answers a range request at `request.revision` (0: now). Sort options are validated by the API, not here.
   *
   * @returns `kvs` are views of stored bytes: use them before the loop turns.
   * @throws {EtcdError} `compacted`, `futureRevision`.
   */
  range(request: RangeRequest): Answer<RangeResponse> {
    const { currentRevision } = this.#core;
    return { revision: currentRevision, response: executeRange(this.#core, request, currentRevision, Infinity)! };
  }

  /** As {@link range}, but gives up with undefined when the rows exceed `bytesMax`: then use {@link rangeCursor}. */
  rangeWithin(request: RangeRequest, bytesMax: number): Answer<RangeResponse> | undefined {
    const { currentRevision } = this.#core;
    const response = executeRange(this.#core, request, currentRevision, bytesMax);
    return response === undefined ? undefined : { revision: currentRevision, response };
  }

  /**
   * A big range in slices: pins the state of now, measures, then yields chunks. The caller must `close()` it.
   *
   * @throws {EtcdError} as {@link range}.
   */
  rangeCursor(request: RangeRequest): RangeCursor {
    return new RangeCursor(this.#core, request);
  }

  /**
   * The stored pair of `key` as of `revision`: what prev_kv of an event at `revision + 1` shows. A view; undefined when
   * there is none or it is compacted.
   */
  keyValueAt(key: Uint8Array, revision: number): Uint8Array | undefined {
    if (revision < this.#core.compactRevision || revision <= 0) return undefined;
    return currentRow(this.#core, key, revision);
  }

  /** Opens the one write transaction; `end()` it before anything else uses the store. */
  beginWrite(): WriteTxn {
    return this.#write.begin();
  }

  /** @throws {EtcdError} `leaseNotFound`, `keyNotFound`; nothing is written. */
  applyPut(request: PutRequest): Answer<PutResponse> {
    return applyPut(this.#core, this.#write, request);
  }

  applyDeleteRange(request: DeleteRangeRequest): Answer<DeleteRangeResponse> {
    return applyDeleteRange(this.#core, this.#write, request);
  }

  /**
   * Executes a transaction from the log.
   *
   * @param isProposer - whether a local client waits for the answer. Without one the top-level ranges are skipped, as etcd
   *   3.5 and 3.6 do. With one, a top-level range that fails makes the answer an error but never suppresses the writes,
   *   so that all members write the same; call {@link checkTxn} before proposing to refuse such a transaction whole.
   * @throws {EtcdError} `compacted`, `futureRevision`, `keyNotFound`, `leaseNotFound`.
   */
  applyTxn(request: TxnRequest, isProposer: boolean): Answer<TxnResponse> {
    return applyTxn(this.#core, this.#write, request, isProposer);
  }

  /** The checks of {@link applyTxn}, top-level ranges included, against the state of now. @throws {EtcdError} as there. */
  checkTxn(request: TxnRequest): void {
    checkTxn(this.#core, this.#write, request);
  }

  /** A transaction of top-level ranges only, served without the log. @throws {EtcdError} `compacted`, `futureRevision`. */
  readTxn(request: TxnRequest): Answer<TxnResponse> {
    return readTxn(this.#core, this.#write, request);
  }

  /**
   * Makes revisions below `revision` unreadable at once, makes that durable, and queues the deletion of their rows.
   *
   * @param whenDone - called when the rows are gone and that is durable.
   * @throws {EtcdError} `compacted`, `futureRevision`.
   */
  compact(revision: number, whenDone?: () => void): void {
    this.#compaction.order(revision, whenDone);
  }

  /** Does a slice of the queued compactions: looks at about `maxUnits` keys or rows. */
  stepCompaction(maxUnits: number): StepResult {
    return this.#compaction.step(maxUnits);
  }

  /** True while the next slice looks at keys in memory, false when it looks at rows of the database. */
  get isCompactingIndex(): boolean {
    return this.#compaction.isInIndex;
  }

  /** Compactions ordered and not finished. */
  get pendingCompactions(): number {
    return this.#compaction.pendingCount;
  }

  /**
   * HashKV at `revision` (0: now), in slices. For the revision of one of the last 10 compactions it is the hash
   * remembered from then.
   *
   * @throws {EtcdError} `compacted`, `futureRevision`.
   */
  hashKv(revision: number): HashJob {
    return new HashJob(this.#core, revision, this.#hashes.find(revision));
  }

  /** Hashes remembered from the last 10 compactions, oldest revision first. */
  get compactionHashes(): readonly KeyValueHash[] {
    return this.#hashes.all;
  }

  /**
   * Visits the changes from `from` on, below main revision `end`, in order; stops after the change for which `visit`
   * returns false, or after `maxRows` rows.
   *
   * @returns where to go on, or undefined when `end` is reached.
   * @throws {EtcdError} `compacted` when `from.main` is below the compact revision.
   */
  eventsSince(from: Revision, end: number, maxRows: number, visit: (change: Change) => boolean): Revision | undefined {
    return eventsSince(this.#core, from, end, maxRows, visit);
  }

  #deleteKeys(keys: readonly Uint8Array[], alongside: () => void): void {
    const write = this.#write.begin();
    const single = new Uint8Array(0);
    for (const key of keys) write.deleteRange(key, single);
    alongside();
    write.end();
  }
}

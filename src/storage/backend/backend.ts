/**
 * The database of a member: etcd's buckets on a bbolt file, with writes collected in memory and committed in batches.
 *
 *     write ──► current stage ──(100 ms or 10,000 writes)──► closed stages ──merge in slices──► tree ──► fdatasync, meta, fdatasync
 *     read  ──► current stage ─► closed stages ─► tree at its last commit
 *
 * Nothing here waits: a commit runs beside new writes, and what it writes stays readable from memory until it is durable.
 * Losing the stages in a crash is fine: the log has the entries, and `consistent_index`, written by the pre-commit hook
 * into the very batch that holds its effects, says from where to apply them again.
 *
 * See etcd server/storage/backend.
 */
import { assert } from "../../base/assert.ts";
import { CorruptionError } from "../../base/corruption.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { humanSize } from "../../base/human-size.ts";
import { type Failpoint, type FailpointSlots, failpointsOff } from "../../base/failpoints.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import { type Disk, DiskError } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import { BucketError } from "../bbolt/bucket.ts";
import { BoltDb, type BoltOptions, DatabaseLockedError } from "../bbolt/db.ts";
import {
  allBuckets,
  buckets,
  type BackendReader,
  type Bucket,
  type PairVisitor,
  type PinnedView,
  type RowPosition,
  type RowVisitor,
} from "./bucket.ts";
import { runInTurns } from "../../platform/turns.ts";
import { BackendMetrics } from "./backend-metrics.ts";
import { copyDatabase, snapshotImage, type SnapshotImage } from "./copy.ts";
import { Layer, LayeredReader } from "./layered-reader.ts";
import { LoopPace } from "./loop-pace.ts";
import { mergeStage } from "./merge.ts";
import { Stage } from "./stage.ts";
import { TreeReader } from "./tree-reader.ts";

export type { SnapshotImage } from "./copy.ts";

export interface BackendOptions {
  /** A commit starts at latest this long after a write. Default 100. */
  readonly batchIntervalMs?: number;
  /** A commit starts (in the next turn) when so many operations wait. Default 10,000. */
  readonly batchLimit?: number;
  /** Most bytes of database pages kept in memory. Default 64 MiB. */
  readonly pageCacheBytes?: number;
  /** From so many buffered bytes on, `overloaded` is true. Default 64 MiB. */
  readonly bufferBytesMax?: number;
  /** `--unsafe-no-fsync`. */
  readonly noSync?: boolean;
  /** Opens without lock, writing nothing: for tools. */
  readonly readOnly?: boolean;
  /** A write or sync failed: what was not durable may never be. The process must stop. */
  readonly onFatal?: (error: Error) => void;
  readonly failpoints?: FailpointSlots;
}

const batchIntervalMsDefault = 100;
const batchLimitDefault = 10_000;
const bufferBytesMaxDefault = 64 << 20;
/** Closed stages that wait before a commit is called for: every read looks into each. */
const sealedStagesMax = 8;
const lockRetryMs = 50;
const lockHintMs = 10_000;
/** etcd maps 10 GiB at once; with bbolt's growth rule that decides how the file grows. */
const initialMmapSize = 10 * 2 ** 30;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Backend implements BackendReader {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #path: string;
  readonly #options: BackendOptions;
  readonly #failpoints: FailpointSlots;
  readonly #batchLimit: number;
  readonly #bufferBytesMax: number;
  readonly #ticker: Timer | undefined;
  #db: BoltDb;
  readonly metrics = new BackendMetrics();
  #tree: TreeReader;
  #current = new Stage();
  /** Closed because a pinned view reads them, not yet being committed. Newest first. */
  #sealed: Stage[] = [];
  /** Being committed. Newest first. */
  #committing: Stage[] = [];
  /** All of the above, over the tree. Rebuilt whenever the list of stages changes. */
  #reader: LayeredReader;
  #hook: () => void = () => undefined;
  /** The commit that runs; resolves (never rejects) when it has ended. */
  #running: Promise<void> | undefined;
  #waiters: Waiter[] = [];
  #drainWaiters: Waiter[] = [];
  #commitScheduled = false;
  /** A defragmentation copies the file: commits wait. */
  #defragmenting = false;
  /** The last defragmentation asked for; never rejects. */
  #defragmentation: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  #closed = false;
  #pins = 0;
  #commits = 0;

  private constructor(disk: Disk, clock: Clock, log: Logger, path: string, options: BackendOptions, db: BoltDb) {
    this.#disk = disk;
    this.#clock = clock;
    this.#log = log;
    this.#path = path;
    this.#options = options;
    this.#failpoints = options.failpoints ?? failpointsOff;
    this.#batchLimit = options.batchLimit ?? batchLimitDefault;
    this.#bufferBytesMax = options.bufferBytesMax ?? bufferBytesMaxDefault;
    this.#db = db;
    this.#tree = new TreeReader(db.peek());
    this.#reader = this.#newReader();
    if (options.readOnly !== true) {
      this.#ticker = clock.setTicker(() => this.#tick(), options.batchIntervalMs ?? batchIntervalMsDefault);
    }
  }

  /**
   * Opens or creates `path`, with all buckets of a 3.6 database. Waits for ever while another process holds its lock, as etcd does.
   *
   * @throws {CorruptionError} the file is damaged. @throws {DiskError}
   */
  static async open(
    disk: Disk,
    clock: Clock,
    log: Logger,
    path: string,
    options: BackendOptions = {},
  ): Promise<Backend> {
    const db = await openWaiting(disk, clock, log, path, boltOptions(options, initialMmapSize));
    if (options.readOnly !== true) await createBuckets(db);
    return new Backend(disk, clock, log, path, options, db);
  }

  /** Adds one row. `value` belongs to the backend from now on. Rows normally come in ascending order (fast path). */
  putRow(main: number, sub: number, tombstone: boolean, value: Uint8Array): void {
    let stage = this.#current;
    if (stage.appends(main, sub, tombstone)) stage.appendRow(main, sub, tombstone, value);
    else {
      stage = this.#changeable();
      stage.setRow(main, sub, tombstone, value);
    }
    if (stage.operations >= this.#batchLimit) this.#scheduleCommit();
  }

  deleteRow(main: number, sub: number, tombstone: boolean): void {
    const stage = this.#changeable();
    stage.deleteRow(main, sub, tombstone);
    if (stage.operations >= this.#batchLimit) this.#scheduleCommit();
  }

  /** `key` and `value` belong to the backend from now on. */
  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    this.#setPair(bucket, key, value);
  }

  delete(bucket: Bucket, key: Uint8Array): void {
    this.#setPair(bucket, key, undefined);
  }

  getRow(main: number, sub: number, tombstone?: boolean): Uint8Array | undefined {
    return this.#reader.getRow(main, sub, tombstone);
  }

  scanRows(from: RowPosition, to: RowPosition | undefined, visit: RowVisitor, isTransient = false): void {
    this.#reader.scanRows(from, to, visit, isTransient);
  }

  lastRow(): RowPosition | undefined {
    return this.#reader.lastRow();
  }

  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return this.#reader.get(bucket, key);
  }

  range(bucket: Bucket, start: Uint8Array, end: Uint8Array | undefined, limit: number, visit: PairVisitor): void {
    this.#reader.range(bucket, start, end, limit, visit);
  }

  /**
   * Called right before a batch is closed, in a turn of its own or inside `commit()`: never between the writes of one
   * synchronous piece of work. It writes consistent_index, term and confState with `put`.
   */
  setPreCommitHook(hook: () => void): void {
    this.#hook = hook;
  }

  /**
   * Resolves when everything written so far is durable, together with what the pre-commit hook adds. Nothing to write =
   * resolves without a commit. Call it between entries, not in the middle of one: the hook may run inside this call.
   */
  commit(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#running === undefined && !this.#defragmenting) {
      this.#runHook();
      if (!this.#hasWrites()) return Promise.resolve();
    }
    const durable = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
    if (this.#running === undefined && !this.#defragmenting) this.#startCommit();
    return durable;
  }

  /** Exactly the state now, buffered writes included. Cheap (no copy). Release it. */
  pin(): PinnedView {
    const layers: Layer[] = [];
    if (this.#current.operations > 0) {
      this.#current.pinned = true;
      layers.push(new Layer(this.#current, this.#current.puts.length));
    }
    for (const stage of this.#closedStages()) layers.push(new Layer(stage));
    const tx = this.#db.begin(false);
    this.#pins++;
    return new BackendView(layers, new TreeReader(tx), () => {
      this.#pins--;
      tx.rollback();
    });
  }

  /** Bytes of the database (high water mark), as etcd's `dbSize`. */
  get size(): number {
    return this.#db.meta.highWater * this.#db.meta.pageSize;
  }

  /** `size` without free pages, as etcd's `dbSizeInUse`. */
  get sizeInUse(): number {
    return this.size - this.#db.freePages * this.#db.meta.pageSize;
  }

  get isDefragmenting(): boolean {
    return this.#defragmenting;
  }

  /** Pinned views, snapshots and other open readers. */
  get openReaders(): number {
    return this.#pins;
  }

  /** Commits done since the start. */
  get commits(): number {
    return this.#commits;
  }

  /** Bytes written and not yet durable. */
  get bufferedBytes(): number {
    let bytes = this.#current.bytes;
    for (const stage of this.#sealed) bytes += stage.bytes;
    for (const stage of this.#committing) bytes += stage.bytes;
    return bytes;
  }

  /** Bytes that may be written before it is overloaded; below 0 when it is by more. */
  get room(): number {
    return this.#bufferBytesMax - this.bufferedBytes;
  }

  /** The disk does not follow: stop accepting proposals until `drained`. */
  get overloaded(): boolean {
    return this.bufferedBytes >= this.#bufferBytesMax;
  }

  /** Resolves when no longer overloaded. */
  drained(): Promise<void> {
    if (!this.overloaded) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#drainWaiters.push({ resolve, reject });
    });
  }

  /**
   * CRC-32C over all buckets after a commit, without the pairs that `ignore` names (etcd's `Hash`): for each bucket its
   * name, then every key and value. Sliced.
   */
  async hash(ignore: (bucket: string, key: Uint8Array) => boolean): Promise<number> {
    await this.commit();
    const tx = this.#db.begin(false);
    this.#pins++;
    const pace = new LoopPace(this.#clock);
    try {
      let hash = 0;
      const names = tx.cursor();
      for (let more = names.first(); more; more = names.next()) {
        const name = Buffer.from(names.key).toString("latin1");
        hash = updateCrc32c(hash, names.key);
        const rows = tx.bucket(names.key)?.cursor();
        let count = 0;
        for (let row = rows?.first() === true; row && rows !== undefined; row = rows.next()) {
          const { key } = rows;
          if (ignore(name, key)) continue;
          hash = updateCrc32c(hash, key);
          hash = updateCrc32c(hash, rows.value);
          if (++count % 64 === 0 && pace.due()) await pace.turn();
        }
      }
      return hash;
    } finally {
      this.#pins--;
      tx.rollback();
    }
  }

  /** Commits, then pins the file for copying. Writes go on meanwhile. */
  async snapshot(): Promise<SnapshotImage> {
    await this.commit();
    const image = snapshotImage(this.#db);
    this.#pins++;
    let open = true;
    return {
      size: image.size,
      read: (target, position) => image.read(target, position),
      get: (bucket, key) => image.get(bucket, key),
      range: (bucket, start, end, limit, visit) => image.range(bucket, start, end, limit, visit),
      lastRow: () => image.lastRow(),
      close: () => {
        if (open) this.#pins--;
        open = false;
        image.close();
      },
    };
  }

  /** Copies everything into a new, dense file and takes it into use. Writes go on into the buffer meanwhile. */
  defragment(): Promise<void> {
    // One after the other: two clients may ask at once.
    const done = this.#defragmentation.then(() => this.#defragmentNow());
    this.#defragmentation = done.catch(() => undefined);
    return done;
  }

  /**
   * Takes another database file (one that a leader sent) into use: it is renamed into the place of the present one, and
   * what was written and not committed is dropped, as the new file holds later effects. Nobody may write meanwhile.
   *
   * The present file is read meanwhile, and nothing of it is committed any more.
   *
   * @param prepare - reads what the new file holds, before it is in use.
   * @param replaced - runs in the very turn in which reads begin to see the new file.
   * @throws {CorruptionError} by rejection when the file is not a database, and whatever `prepare` throws; the present one
   *   stays in use then.
   */
  async replaceBy<T>(
    path: string,
    prepare: (reader: BackendReader) => Promise<T>,
    replaced: (prepared: T) => void,
  ): Promise<void> {
    await this.#defragmentation;
    while (this.#running !== undefined) await this.#running;
    this.#defragmenting = true;
    try {
      const options = boltOptions(this.#options, 0);
      const next = await runInTurns(this.#clock, BoltDb.openInSteps(this.#disk, path, options));
      await createBuckets(next);
      let prepared: T;
      try {
        prepared = await prepare(new LayeredReader([], new TreeReader(next.peek())));
        this.#disk.rename(path, this.#path);
        await this.#disk.syncDirectory(directoryOf(this.#path));
      } catch (error) {
        next.close();
        throw error;
      }
      const old = this.#db;
      this.#db = next;
      this.#tree = new TreeReader(next.peek());
      this.#current = new Stage();
      this.#sealed = [];
      this.#reader = this.#newReader();
      old.retire();
      replaced(prepared);
    } finally {
      this.#defragmenting = false;
      this.#continue();
    }
  }

  async #defragmentNow(): Promise<void> {
    do await this.commit();
    while (this.#running !== undefined || this.#defragmenting);
    this.#defragmenting = true;
    const started = this.#clock.monotonic();
    const { size, sizeInUse } = this;
    this.#log.info("defragmenting", {
      path: this.#path,
      "current-db-size-bytes": size,
      "current-db-size": humanSize(size),
      "current-db-size-in-use-bytes": sizeInUse,
      "current-db-size-in-use": humanSize(sizeInUse),
    });
    try {
      const copied = await this.#copyFile();
      const old = this.#db;
      this.#db = copied;
      this.#tree = new TreeReader(copied.peek());
      this.#reader = this.#newReader();
      // Views pinned before still read the old file; it goes when the last of them is released.
      old.retire();
    } finally {
      this.#defragmenting = false;
      this.#continue();
    }
    const seconds = (this.#clock.monotonic() - started) / 1000;
    this.metrics.defragmentSeconds.observe(seconds);
    this.#log.info("finished defragmenting directory", {
      path: this.#path,
      "current-db-size-bytes-diff": this.size - size,
      "current-db-size-bytes": this.size,
      "current-db-size": humanSize(this.size),
      "current-db-size-in-use-bytes-diff": this.sizeInUse - sizeInUse,
      "current-db-size-in-use-bytes": this.sizeInUse,
      "current-db-size-in-use": humanSize(this.sizeInUse),
      took: `${seconds.toFixed(3)}s`,
    });
  }

  /** Commits what is buffered and closes the file (once pinned views are released). */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#ticker?.cancel();
    try {
      if (this.#failure === undefined && this.#options.readOnly !== true) await this.commit();
    } finally {
      this.#db.close();
    }
  }

  #setPair(bucket: Bucket, key: Uint8Array, value: Uint8Array | undefined): void {
    assert(bucket !== buckets.key, "backend: rows are written by their revision");
    const stage = this.#changeable();
    stage.setPair(bucket, key, value);
    if (stage.operations >= this.#batchLimit) this.#scheduleCommit();
  }

  /** The current stage; a new one when a pinned view must not see a change of it. */
  #changeable(): Stage {
    assert(this.#options.readOnly !== true, "backend: opened for reading only");
    if (!this.#current.pinned) return this.#current;
    this.#sealed.unshift(this.#current);
    this.#current = new Stage();
    this.#reader = this.#newReader();
    if (this.#sealed.length >= sealedStagesMax) this.#scheduleCommit();
    return this.#current;
  }

  #closedStages(): Stage[] {
    return [...this.#sealed, ...this.#committing];
  }

  #newReader(): LayeredReader {
    const stages = [this.#current, ...this.#closedStages()];
    return new LayeredReader(
      stages.map((stage) => new Layer(stage)),
      this.#tree,
    );
  }

  #hasWrites(): boolean {
    return this.#current.operations > 0 || this.#sealed.length > 0;
  }

  #tick(): void {
    if (this.#hasWrites()) this.#startWithHook();
  }

  /** In a turn of its own: the caller may be in the middle of an entry, whose effects belong into one batch. */
  #scheduleCommit(): void {
    if (this.#commitScheduled) return;
    this.#commitScheduled = true;
    this.#clock.nextTurn(() => {
      this.#commitScheduled = false;
      this.#startWithHook();
    });
  }

  #startWithHook(): void {
    if (this.#running !== undefined || this.#defragmenting || this.#failure !== undefined || this.#closed) return;
    this.#runHook();
    this.#startCommit();
  }

  #runHook(): void {
    this.#failpoints.commitBeforePreCommitHook?.hit();
    this.#hook();
    this.#failpoints.commitAfterPreCommitHook?.hit();
  }

  /** Closes the batch, and merges it beside new writes. */
  #startCommit(): void {
    assert(this.#running === undefined, "backend: one commit at a time");
    this.#committing = this.#current.operations > 0 ? [this.#current, ...this.#sealed] : this.#sealed;
    this.#sealed = [];
    this.#current = new Stage();
    this.#reader = this.#newReader();
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#running = this.#commitStages().then(
      () => this.#committed(waiters),
      (error: unknown) => this.#fail(error instanceof Error ? error : new Error(String(error)), waiters),
    );
  }

  async #commitStages(): Promise<void> {
    const started = this.#clock.monotonic();
    const pace = new LoopPace(this.#clock);
    // Let the turn that closed the batch end first.
    await pace.turn();
    const { beforeStartDBTxn, afterStartDBTxn } = this.#failpoints;
    if (beforeStartDBTxn !== undefined) await beforeStartDBTxn.pass();
    const tx = this.#db.begin(true);
    if (afterStartDBTxn !== undefined) await afterStartDBTxn.pass();
    for (const stage of this.#committing.toReversed()) await mergeStage(tx, stage, pace);
    const merged = this.#clock.monotonic();
    const { beforeCommit, afterCommit } = this.#failpoints;
    if (beforeCommit !== undefined) await beforeCommit.pass();
    await tx.commit(pace);
    if (afterCommit !== undefined) await afterCommit.pass();
    const ended = this.#clock.monotonic();
    this.metrics.mergeSeconds.observe((merged - started) / 1000);
    this.metrics.writeSeconds.observe((ended - merged) / 1000);
    this.metrics.commitSeconds.observe((ended - started) / 1000);
  }

  #committed(waiters: readonly Waiter[]): void {
    this.#commits++;
    this.#running = undefined;
    this.#committing = [];
    this.#tree = new TreeReader(this.#db.peek());
    this.#reader = this.#newReader();
    for (const { resolve } of waiters) resolve();
    this.#continue();
  }

  /** After a commit or a defragmentation: what waited for it goes on. */
  #continue(): void {
    if (!this.overloaded) {
      for (const { resolve } of this.#drainWaiters) resolve();
      this.#drainWaiters = [];
    }
    const called = this.#waiters.length > 0;
    if (!called && this.#current.operations < this.#batchLimit && this.#sealed.length < sealedStagesMax) return;
    this.#runHook();
    if (this.#hasWrites()) this.#startCommit();
    else {
      for (const { resolve } of this.#waiters) resolve();
      this.#waiters = [];
    }
  }

  #fail(error: Error, waiters: readonly Waiter[]): void {
    this.#failure = error;
    this.#running = undefined;
    for (const { reject } of [...waiters, ...this.#waiters, ...this.#drainWaiters]) reject(error);
    this.#waiters = [];
    this.#drainWaiters = [];
    this.#log.error("failed to commit tx", { path: this.#path, error });
    this.#options.onFatal?.(error);
  }

  /** @returns the dense copy, which has taken the place of the file (and its lock). */
  async #copyFile(): Promise<BoltDb> {
    const { defragOpenFileError, defragBeforeCopy, defragdbFail, defragBeforeRename } = this.#failpoints;
    const temporary = this.#temporaryPath();
    await failAt(defragOpenFileError, temporary);
    // Nothing needs to be durable before the copy is whole.
    const copy = BoltDb.open(this.#disk, temporary, { ...boltOptions(this.#options, 0), noSync: true });
    try {
      await failAt(defragBeforeCopy, temporary);
      await failAt(defragdbFail, temporary);
      await copyDatabase(this.#db, copy, new LoopPace(this.#clock), this.#options.noSync !== true);
      if (this.#options.noSync !== true) await copy.startSyncing();
      await failAt(defragBeforeRename, temporary);
    } catch (error) {
      copy.close();
      this.#disk.remove(temporary);
      throw error;
    }
    this.#disk.rename(temporary, this.#path);
    await this.#disk.syncDirectory(directoryOf(this.#path));
    return copy;
  }

  /** `db.tmp.N`; what an interrupted defragmentation left is removed at boot. */
  #temporaryPath(): string {
    for (let number = 0; ; number++) {
      const path = `${this.#path}.tmp.${number}`;
      if (!this.#disk.exists(path)) return path;
    }
  }
}

/** A pinned view: a reader over a fixed list of stages and a held transaction. */
class BackendView extends LayeredReader implements PinnedView {
  readonly #onRelease: () => void;
  #released = false;

  constructor(layers: readonly Layer[], tree: TreeReader, onRelease: () => void) {
    super(layers, tree);
    this.#onRelease = onRelease;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#onRelease();
  }
}

/** An injected failure of a step, which the text names. */
async function failAt(point: Failpoint | undefined, path: string): Promise<void> {
  const text = await point?.pass();
  if (text !== undefined) throw new DiskError("EIO", path, text);
}

function boltOptions(options: BackendOptions, mmapSize: number): BoltOptions {
  return {
    initialMmapSize: mmapSize,
    readOnly: options.readOnly === true,
    noSync: options.noSync === true,
    ...(options.pageCacheBytes === undefined ? {} : { pageCacheBytes: options.pageCacheBytes }),
  };
}

async function openWaiting(disk: Disk, clock: Clock, log: Logger, path: string, options: BoltOptions): Promise<BoltDb> {
  const started = clock.monotonic();
  let hinted = false;
  for (;;) {
    try {
      return BoltDb.open(disk, path, options);
    } catch (error) {
      if (!(error instanceof DatabaseLockedError)) throw error;
    }
    const tookMs = clock.monotonic() - started;
    if (!hinted && tookMs >= lockHintMs) {
      hinted = true;
      log.info("db file is flocked by another process, or taking too long", { path, took: `${tookMs / 1000}s` });
    }
    await new Promise<void>((resolve) => void clock.setTimer(resolve, lockRetryMs));
  }
}

async function createBuckets(db: BoltDb): Promise<void> {
  try {
    const tx = db.begin(true);
    if (allBuckets.every(({ bytes }) => tx.bucket(bytes) !== undefined)) {
      tx.rollback();
      return;
    }
    for (const { bytes } of allBuckets) tx.root.createBucket(bytes);
    await tx.commit();
  } catch (cause) {
    db.close();
    if (!(cause instanceof BucketError)) throw cause;
    throw new CorruptionError({ path: db.path }, "a bucket of etcd's is an ordinary pair", undefined, { cause });
  }
}

function directoryOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, Math.max(slash, 1));
}

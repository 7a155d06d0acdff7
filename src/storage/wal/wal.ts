/**
 * The write-ahead log: what raft must not forget, in etcd's format (see record.ts and segment.ts).
 *
 * Saving never blocks the loop. A save is encoded at once behind the others that wait; one write and one fdatasync are
 * under way at a time, and the next begins as soon as that is done, with everything that came meanwhile:
 *
 * ```text
 * save ─► [records][records][records] ─► write ─► fdatasync ─► callbacks, in order of the saves
 *          the batch being filled          the batch in flight (the other buffer)
 * ```
 *
 * Both in one trip, where the disk offers it; the loop would have to come round between them otherwise.
 *
 * Segments are sparse files; zeros are written a little ahead of the records, together with them, because a sync is
 * faster when the blocks are there already (docs/decisions/0002-wal-preallocation.md).
 *
 * Durability: a callback without error means that the records, and all before them, survive a crash. A save that need
 * not be synced (only the commit index moved) waits for the records before it, and is itself written with the next.
 * A failed write or sync is final: every waiter and every later save gets the error, because after a failed fdatasync
 * nobody knows what is on the disk.
 *
 * Source: etcd server/storage/wal/wal.go. The order of a cut differs in one thing: the new segment may hold records
 * behind its head before it has its name; nothing in it is acknowledged before that.
 */
import { dirname, join } from "node:path";
import { assert } from "../../base/assert.ts";
import { CorruptionError } from "../../base/corruption.ts";
import { formatDuration } from "../../base/duration.ts";
import { type FailpointSlots, failpointsOff } from "../../base/failpoints.ts";
import type { Clock } from "../../platform/clock.ts";
import { type Disk, DiskError, type DiskFile } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import { type Entry, type HardState, NONE } from "../../wire/raft/types.ts";
import { isUnchanged, type LogContents, type LogTail, type ReadLog, readLog } from "./log-reader.ts";
import { CORRUPT_ADVICE } from "./record-reader.ts";
import { RecordEncoder } from "./record-encoder.ts";
import { RecordType } from "./record.ts";
import { repairTornTail } from "./repair.ts";
import { listSegments, SEGMENT_SIZE, type SegmentName, segmentName, walExists } from "./segment.ts";
import { encodeWalSnapshot, type WalSnapshot } from "./wal-snapshot.ts";

/** etcd warns about a sync that takes longer. */
const SLOW_SYNC_MS = 1000;
/** Zeros written ahead of the records at a time. */
const ZEROS_SIZE = 512 << 10;
const zeros = new Uint8Array(ZEROS_SIZE);
/** Batch buffers begin at this size, and go back to it after a batch larger than the second number. */
const BUFFER_SIZE = 256 << 10;
const BUFFER_KEPT_SIZE = 8 << 20;

export interface WalOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Skip every sync (`--unsafe-no-fsync`). */
  readonly noSync?: boolean;
  /** Length at which a segment is full; {@link SEGMENT_SIZE} outside of tests. */
  readonly segmentSize?: number;
  readonly observer?: WalObserver;
  readonly failpoints?: FailpointSlots;
}

/** For metrics. Called after the fact, cheaply. */
export interface WalObserver {
  /** A write that took `durationMs`, without the sync behind it. */
  wrote(durationMs: number): void;
  /** A sync that took `durationMs`. */
  synced(durationMs: number): void;
  /** Bytes given to the disk, without the zeros. */
  written(bytes: number): void;
}

export interface OpenedWal extends LogContents {
  readonly wal: Wal;
}

type Done = (error?: Error) => void;

/** Records that go to the disk in one write. */
interface Batch {
  bytes: Uint8Array;
  length: number;
  waiters: Done[];
  /** Holds something that somebody waits for, or the head of a segment. */
  mustSync: boolean;
  /** The segment these bytes begin; undefined when they follow what is there. */
  begins: SegmentName | undefined;
  /** They fill the segment: it is cut to their end before the sync. */
  isLast: boolean;
}

export class Wal {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #options: WalOptions;
  readonly #segmentSize: number;
  readonly #metadata: Uint8Array;
  readonly #encoder: RecordEncoder;
  /** Segments that must not be purged, oldest first; the last one is the one being filled. */
  #held: SegmentName[];
  /** Holds the lock on the directory. */
  readonly #lock: DiskFile;

  /** The file being written and where the next batch goes. */
  #file: DiskFile;
  #offset: number;
  /** Zeros reach to here. */
  #zeroedTo: number;
  /** Offset that the records encoded so far will reach in their segment. */
  #encodedOffset: number;
  #lastIndex: number;
  #hardState: HardState = { term: 0, vote: NONE, commit: 0 };

  #filling: Batch;
  /** Batches that are complete because their segment is; nearly always empty. */
  #sealed: Batch[] = [];
  #spareBuffer: Uint8Array | undefined;
  #isFlushing = false;
  #isScheduled = false;
  #failure: Error | undefined;
  #isClosed = false;
  #idle: (() => void)[] = [];

  /** Use {@link Wal.create} or {@link Wal.open}. */
  private constructor(disk: Disk, directory: string, metadata: Uint8Array, options: WalOptions, tail: Tail) {
    this.#disk = disk;
    this.#directory = directory;
    this.#metadata = metadata;
    this.#options = options;
    this.#segmentSize = options.segmentSize ?? SEGMENT_SIZE;
    this.#encoder = new RecordEncoder(new Uint8Array(BUFFER_SIZE), tail.crc);
    this.#filling = emptyBatch();
    this.#lock = tail.lock;
    this.#file = tail.file;
    this.#held = [...tail.segments];
    this.#offset = tail.offset;
    this.#zeroedTo = tail.offset;
    this.#encodedOffset = tail.offset;
    this.#lastIndex = tail.lastIndex;
  }

  /**
   * Creates a log with its first records: checksum 0, `metadata`, the snapshot of index 0. It appears as a whole: the
   * directory is built under the name `<directory>.tmp` and renamed. Durable on return.
   *
   * @param metadata - repeated at the head of every segment; kept.
   * @throws {DiskError} `EEXIST` when there is a log already.
   */
  static async create(disk: Disk, directory: string, metadata: Uint8Array, options: WalOptions): Promise<Wal> {
    if (walExists(disk, directory)) throw new DiskError("EEXIST", directory, `${directory}: a log is there already`);
    const temporary = `${directory}.tmp`;
    if (disk.exists(temporary)) disk.remove(temporary, { recursive: true });
    disk.makeDirectory(temporary);
    const lock = lockDirectory(disk, temporary);
    const first = segmentName(0, 0);
    let file = disk.open(join(temporary, first.name), "createNew");
    try {
      file.truncate(options.segmentSize ?? SEGMENT_SIZE);
      const encoder = new RecordEncoder(new Uint8Array(1024), 0);
      encoder.addCrc();
      encoder.add(RecordType.Metadata, metadata);
      encoder.add(RecordType.Snapshot, encodeWalSnapshot({ index: 0, term: 0 }));
      await file.write(encoder.buffer.subarray(0, encoder.length), 0);
      await file.datasync();
      await disk.syncDirectory(temporary);
      if (disk.exists(directory)) disk.remove(directory, { recursive: true });
      disk.rename(temporary, directory);
      await disk.syncDirectory(dirname(directory));
      // Under its present name, which is what errors tell.
      file.close();
      file = disk.open(join(directory, first.name), "write");
      const { crc, length: offset } = encoder;
      return new Wal(disk, directory, metadata, options, { lock, file, segments: [first], offset, crc, lastIndex: 0 });
    } catch (error) {
      file.close();
      lock.close();
      throw error;
    }
  }

  /**
   * Opens the log for writing and reads everything behind the snapshot `from`, which must be recorded in it. A tail
   * that a crash tore is cut off first (the old segment is kept as `.broken`), and stale bytes behind the last record
   * are removed.
   *
   * @param before - the log as it was read already, sound to its end; it is not read again unless it has changed.
   * @throws {CorruptionError} when the log is damaged; nothing has been changed then. {DiskError} `EWOULDBLOCK` when
   * another process has it open.
   */
  static async open(
    disk: Disk,
    directory: string,
    from: WalSnapshot,
    options: WalOptions,
    before?: ReadLog,
  ): Promise<OpenedWal> {
    const lock = lockDirectory(disk, directory);
    try {
      const isKnown = before !== undefined && before.from.index === from.index && isUnchanged(disk, directory, before);
      const { contents, tail } = isKnown ? before : readLog(disk, directory, from, options.log);
      const last = tail.segments[tail.segments.length - 1];
      if (tail.ending === "torn") await repair(disk, directory, tail, last, options.log);
      const file = disk.open(join(directory, last.name), "write");
      const size = Math.max(file.size(), options.segmentSize ?? SEGMENT_SIZE);
      // Cutting and growing again leaves zeros behind the last record: stale bytes must never follow new records.
      file.truncate(tail.offset);
      file.truncate(size);
      const { metadata, hardState, entries } = contents;
      const wal = new Wal(disk, directory, metadata, options, { ...tail, lock, file });
      wal.#hardState = hardState;
      return { wal, metadata, hardState, entries };
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** Bytes encoded and not yet durable. What may wait is bounded by raft: its limits on uncommitted and in-flight entries. */
  get waitingBytes(): number {
    let bytes = this.#encoder.length;
    for (const batch of this.#sealed) bytes += batch.length;
    return bytes;
  }

  /**
   * Appends `entries`, then `hardState` when there is one that is not empty. Both are encoded before the call returns.
   *
   * @param mustSync - false when only the commit index moved: the records are then written with the next that must.
   * @param done - called later, once, in the order of the saves.
   */
  save(hardState: HardState | undefined, entries: readonly Entry[], mustSync: boolean, done: Done): void {
    if (this.#refuse(done)) return;
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index];
      this.#encoder.addEntry(entry);
      this.#lastIndex = entry.index;
    }
    if (hardState !== undefined && !isEmpty(hardState)) {
      const { term, vote, commit } = hardState;
      this.#hardState = { term, vote, commit };
      this.#encoder.addHardState(hardState);
    }
    this.#finishSave(mustSync, done);
  }

  /** Records that the state up to `snapshot.index` is in a `.snap` file, which must be durable already. Always synced. */
  saveSnapshot(snapshot: WalSnapshot, done: Done): void {
    assert(snapshot.index === 0 || snapshot.confState !== undefined, "a snapshot record carries its configuration");
    if (this.#refuse(done)) return;
    this.#encoder.add(RecordType.Snapshot, encodeWalSnapshot(snapshot));
    this.#lastIndex = Math.max(this.#lastIndex, snapshot.index);
    this.#finishSave(true, done);
  }

  /**
   * Allows {@link purge} to delete the segments that a start from a snapshot at `index` does not need: all before the
   * last one that begins below it.
   */
  releaseTo(index: number): void {
    const next = this.#held.findIndex((segment) => segment.firstIndex >= index);
    const keepFrom = next === -1 ? this.#held.length - 1 : next - 1;
    if (keepFrom > 0) this.#held = this.#held.slice(keepFrom);
  }

  /**
   * Deletes the oldest segments while there are more than `keepCount`; stops at the first that is still needed.
   *
   * @returns the names of the deleted ones.
   */
  purge(keepCount: number): string[] {
    const segments = listSegments(this.#disk, this.#directory);
    const purged: string[] = [];
    for (const { name, sequence } of segments.slice(0, Math.max(0, segments.length - keepCount))) {
      if (sequence >= this.#held[0].sequence) break;
      this.#disk.remove(join(this.#directory, name));
      purged.push(name);
    }
    return purged;
  }

  /** Makes everything saved so far durable, then closes the files. Later saves fail. Never rejects after a failed save. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#filling.mustSync ||= this.#encoder.length > 0;
    this.#schedule();
    await new Promise<void>((resolve) => {
      if (this.#isIdle()) resolve();
      else this.#idle.push(resolve);
    });
    this.#file.close();
    this.#lock.close();
  }

  #refuse(done: Done): boolean {
    const error =
      this.#failure ?? (this.#isClosed ? new DiskError("EBADF", this.#directory, "the log is closed") : undefined);
    if (error === undefined) return false;
    queueMicrotask(() => done(error));
    return true;
  }

  #finishSave(mustSync: boolean, done: Done): void {
    const filling = this.#filling;
    filling.waiters.push(done);
    filling.mustSync ||= mustSync;
    if (this.#encodedOffset + this.#encoder.length >= this.#segmentSize) this.#cut();
    this.#schedule();
  }

  /** The records so far fill the segment: seals them and begins the next one with its head. */
  #cut(): void {
    this.#seal().isLast = true;
    this.#encodedOffset = 0;
    const { sequence } = this.#held[this.#held.length - 1];
    const next = segmentName(sequence + 1, this.#lastIndex + 1);
    this.#held.push(next);
    this.#filling.begins = next;
    this.#filling.mustSync = true;
    this.#encoder.addCrc();
    this.#encoder.add(RecordType.Metadata, this.#metadata);
    if (!isEmpty(this.#hardState)) this.#encoder.addHardState(this.#hardState);
  }

  /** Closes the batch being filled and begins another, in a buffer of its own. */
  #seal(): Batch {
    const batch = this.#filling;
    batch.bytes = this.#encoder.buffer;
    batch.length = this.#encoder.length;
    batch.mustSync = true;
    this.#encodedOffset += batch.length;
    this.#sealed.push(batch);
    this.#filling = emptyBatch();
    this.#encoder.useBuffer(this.#spareBuffer ?? new Uint8Array(BUFFER_SIZE));
    this.#spareBuffer = undefined;
    return batch;
  }

  /** Starts at the end of the running turn, so that saves made one after the other share a sync. */
  #schedule(): void {
    if (this.#isFlushing || this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      void this.#flush();
    });
  }

  #isIdle(): boolean {
    return !this.#isFlushing && !this.#isScheduled;
  }

  async #flush(): Promise<void> {
    this.#isFlushing = true;
    while (this.#failure === undefined) {
      if (this.#sealed.length === 0) {
        if (this.#filling.mustSync) this.#seal();
        else if (!this.#releaseUnsynced()) break;
        else continue;
      }
      const batch = this.#sealed[0];
      try {
        await this.#write(batch);
      } catch (error) {
        this.#fail(error as Error);
        break;
      }
      this.#sealed.shift();
      this.#reuse(batch.bytes);
      for (const done of batch.waiters) done();
    }
    this.#isFlushing = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Nothing waits for the disk: saves that need no sync are done, their records stay in the buffer. */
  #releaseUnsynced(): boolean {
    const waiters = this.#filling.waiters;
    if (waiters.length === 0) return false;
    this.#filling.waiters = [];
    for (const done of waiters) done();
    return true;
  }

  async #write(batch: Batch): Promise<void> {
    if (batch.begins !== undefined) this.#beginSegment();
    const bytes = batch.bytes.subarray(0, batch.length);
    const end = this.#offset + batch.length;
    if (batch.isLast) await this.#writeTail(bytes, end);
    else await this.#writeAhead(bytes, end);
    if (batch.begins !== undefined) await this.#nameSegment(batch.begins);
    this.#options.observer?.written(batch.length);
  }

  /** Writes records that fill the segment, and cuts it to their end. */
  async #writeTail(bytes: Uint8Array, end: number): Promise<void> {
    const { clock, observer } = this.#options;
    const startedMs = clock.monotonic();
    await this.#file.write(bytes, this.#offset);
    observer?.wrote(clock.monotonic() - startedMs);
    this.#offset = end;
    this.#file.truncate(end);
    await this.#sync(this.#file);
  }

  /** Writes records, and with them the next stretch of zeros when they reach beyond the last. */
  async #writeAhead(bytes: Uint8Array, end: number): Promise<void> {
    const { clock, observer, noSync, failpoints = failpointsOff } = this.#options;
    const ahead = end <= this.#zeroedTo ? 0 : Math.max(0, Math.min(ZEROS_SIZE, this.#segmentSize - end));
    const offset = this.#offset;
    this.#offset = end;
    if (ahead > 0) this.#zeroedTo = end + ahead;
    // Failpoints sit between the two, and without syncs there is only one.
    const isPlain = noSync !== true && failpoints.walBeforeSync === undefined && failpoints.walAfterSync === undefined;
    const inOne = isPlain ? this.#file.writeDurably?.(bytes, offset, ahead) : undefined;
    if (inOne !== undefined) {
      const { writeMs, syncMs } = await inOne;
      observer?.wrote(writeMs);
      this.#synced(syncMs);
      return;
    }
    const startedMs = clock.monotonic();
    if (ahead === 0) await this.#file.write(bytes, offset);
    else await this.#file.writeMany([bytes, zeros.subarray(0, ahead)], offset);
    observer?.wrote(clock.monotonic() - startedMs);
    await this.#sync(this.#file);
  }

  async #sync(file: DiskFile): Promise<void> {
    const { clock, noSync, failpoints = failpointsOff } = this.#options;
    if (noSync === true) return;
    const startedMs = clock.monotonic();
    if (failpoints.walBeforeSync !== undefined) await failpoints.walBeforeSync.pass();
    await file.datasync();
    if (failpoints.walAfterSync !== undefined) await failpoints.walAfterSync.pass();
    this.#synced(clock.monotonic() - startedMs);
  }

  #synced(tookMs: number): void {
    const { log, observer } = this.#options;
    observer?.synced(tookMs);
    if (tookMs > SLOW_SYNC_MS) {
      log.warn("slow fdatasync", {
        took: formatDuration(tookMs),
        "expected-duration": formatDuration(SLOW_SYNC_MS),
      });
    }
  }

  /** Opens the next segment under a temporary name; a left-over of a crash is emptied. */
  #beginSegment(): void {
    this.#file.close();
    this.#file = this.#disk.open(join(this.#directory, TEMPORARY_NAME), "create");
    this.#file.truncate(0);
    this.#file.truncate(this.#segmentSize);
    this.#offset = 0;
    this.#zeroedTo = 0;
  }

  async #nameSegment(segment: SegmentName): Promise<void> {
    const path = join(this.#directory, segment.name);
    this.#disk.rename(join(this.#directory, TEMPORARY_NAME), path);
    if (this.#options.noSync !== true) await this.#disk.syncDirectory(this.#directory);
    this.#options.log.info("created a new WAL segment", { path });
  }

  #reuse(buffer: Uint8Array): void {
    if (buffer.length <= BUFFER_KEPT_SIZE) this.#spareBuffer ??= buffer;
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#options.log.error("failed to write the log; this member stops", { path: this.#file.path, error });
    const waiters = [...this.#sealed.flatMap((batch) => batch.waiters), ...this.#filling.waiters];
    this.#sealed = [];
    this.#filling = emptyBatch();
    for (const done of waiters) done(error);
  }
}

/** As in etcd's pipeline of segments to come. */
const TEMPORARY_NAME = "0.tmp";

interface Tail {
  readonly lock: DiskFile;
  readonly file: DiskFile;
  readonly segments: readonly SegmentName[];
  readonly offset: number;
  readonly crc: number;
  readonly lastIndex: number;
}

function emptyBatch(): Batch {
  return { bytes: zeros, length: 0, waiters: [], mustSync: false, begins: undefined, isLast: false };
}

function isEmpty(state: HardState): boolean {
  return state.term === 0 && state.vote === NONE && state.commit === 0;
}

/**
 * Keeps a second process of ours out. etcd locks each segment with fcntl(2), which Node cannot; its own lock on the
 * database file, which both take in the same way, keeps etcd and quorate apart.
 */
function lockDirectory(disk: Disk, directory: string): DiskFile {
  const lock = disk.open(directory, "read");
  try {
    if (lock.tryLock()) return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
  lock.close();
  throw new DiskError("EWOULDBLOCK", directory, `${directory}: the log is locked by another process`);
}

/** Only the last segment can be torn by a crash: the others were synced before the next one got its name. */
async function repair(disk: Disk, directory: string, tail: LogTail, last: SegmentName, log: Logger): Promise<void> {
  if (tail.path !== join(directory, last.name)) {
    throw new CorruptionError({ path: tail.path, offset: tail.offset }, "unexpected EOF", CORRUPT_ADVICE);
  }
  await repairTornTail(disk, tail, log);
}

/**
 * Reads a log: everything behind a snapshot, the list of valid snapshots, or only whether it is sound. Nothing here
 * changes a file or takes a lock. Source: etcd server/storage/wal/wal.go (`ReadAll`, `ValidSnapshotEntries`, `Verify`).
 */
import { join } from "node:path";
import { copyBytes, equalBytes } from "../../base/bytes.ts";
import { CorruptionError } from "../../base/corruption.ts";
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import { decodeEntry, decodeHardState } from "../../wire/raft/entry-codec.ts";
import { RaftDecodeError } from "../../wire/raft/reader.ts";
import { type Entry, type HardState, NONE } from "../../wire/raft/types.ts";
import { RecordReader } from "./record-reader.ts";
import { FRAME_SIZE, isEndMark, RecordType } from "./record.ts";
import { checkSequence, listSegments, type SegmentName, selectSegments } from "./segment.ts";
import { decodeWalSnapshot, type WalSnapshot } from "./wal-snapshot.ts";

/** Entry data is copied out of the window into blocks of this size: an array for each would cost far more memory. */
const BLOCK_SIZE = 256 << 10;

export interface LogContents {
  /** The metadata record (etcd's node and cluster id, encoded); empty when there is none. Owned. */
  readonly metadata: Uint8Array;
  /** The last one; zeros when there is none. */
  readonly hardState: HardState;
  /** Entries behind the snapshot, without gaps; those behind `hardState.commit` may still be replaced. Owned. */
  readonly entries: Entry[];
}

/** Where a log stopped, for whoever goes on writing it. */
export interface LogTail {
  readonly segments: readonly SegmentName[];
  /** Length of the valid part of the last segment. */
  readonly offset: number;
  readonly crc: number;
  /** `torn`: a crash cut the last write short. */
  readonly ending: "end" | "torn";
  /** Index of the last entry record, or of a snapshot behind it. */
  readonly lastIndex: number;
  /** The segment in which reading stopped. */
  readonly path: string;
}

/** What was read of a log, and where that ended. */
export interface ReadLog {
  /** The snapshot it begins at. */
  readonly from: WalSnapshot;
  readonly contents: LogContents;
  readonly tail: LogTail;
}

/**
 * Reads everything behind `from` without changing anything; a torn tail is left out.
 *
 * @throws {CorruptionError} on damage, a gap between entries, ids that change on the way, or when `from` is not in it.
 */
export function readLog(disk: Disk, directory: string, from: WalSnapshot, log?: Logger): ReadLog {
  const segments = selectSegments(directory, listSegments(disk, directory, log), from.index);
  const reader = new RecordReader(disk, pathsOf(directory, segments));
  try {
    const collector = new Collector(from, reader);
    while (reader.next()) collector.add();
    collector.finish();
    const { crc, ending, path, lastValidOffset: offset } = reader;
    return { from, contents: collector, tail: { segments, offset, crc, ending, path, lastIndex: collector.lastIndex } };
  } finally {
    reader.close();
  }
}

/**
 * Reads the log behind a snapshot that is probably the newest valid one, in one pass over the segments behind it. What
 * is older has been released and is not looked at.
 *
 * @returns undefined unless the snapshot is in the log and committed, and the log is sound to its end: then the long way
 *   ({@link readValidSnapshots}, {@link readLog}) finds out what there is.
 */
export function tryReadLog(disk: Disk, directory: string, from: WalSnapshot): ReadLog | undefined {
  try {
    const read = readLog(disk, directory, from);
    return read.tail.ending === "end" && from.index <= read.contents.hardState.commit ? read : undefined;
  } catch (error) {
    if (error instanceof CorruptionError) return undefined;
    throw error;
  }
}

/** Whether a log that was sound when it was read is still the same: nothing was written behind its end. */
export function isUnchanged(disk: Disk, directory: string, { from, tail }: ReadLog): boolean {
  const segments = selectSegments(directory, listSegments(disk, directory), from.index);
  if (segments.length !== tail.segments.length) return false;
  if (segments.some(({ name }, position) => name !== tail.segments[position].name)) return false;
  const last = disk.open(join(directory, segments[segments.length - 1].name), "read");
  try {
    const mark = new Uint8Array(FRAME_SIZE);
    last.readSync(mark, tail.offset);
    return isEndMark(mark, 0);
  } finally {
    last.close();
  }
}

/**
 * The snapshot records a `.snap` file may belong to: those of all segments whose index is committed, oldest first.
 *
 * @throws {CorruptionError} on damage; {DiskError} `ENOENT` when there is no log.
 */
export function readValidSnapshots(disk: Disk, directory: string, log?: Logger): WalSnapshot[] {
  const segments = listSegments(disk, directory, log);
  checkSequence(directory, segments);
  const reader = new RecordReader(disk, pathsOf(directory, segments));
  const snapshots: WalSnapshot[] = [];
  let commit = 0;
  try {
    while (reader.next()) {
      if (reader.record.type === RecordType.Snapshot) snapshots.push(decode(reader, decodeWalSnapshot));
      else if (reader.record.type === RecordType.HardState) commit = decode(reader, decodeHardState).commit;
    }
  } finally {
    reader.close();
  }
  return snapshots.filter((snapshot) => snapshot.index <= commit);
}

/**
 * Reads through the log from `from` on and throws on what {@link readLog} throws on, but keeps nothing in memory.
 *
 * @returns the last hard state.
 */
export function verifyLog(disk: Disk, directory: string, from: WalSnapshot, log?: Logger): HardState {
  const segments = selectSegments(directory, listSegments(disk, directory, log), from.index);
  const reader = new RecordReader(disk, pathsOf(directory, segments));
  try {
    const head = new HeadCheck(from, reader);
    let hardState: HardState = { term: 0, vote: NONE, commit: 0 };
    while (reader.next()) {
      if (reader.record.type === RecordType.HardState) hardState = decode(reader, decodeHardState);
      else head.add();
    }
    head.finish();
    return hardState;
  } finally {
    reader.close();
  }
}

function pathsOf(directory: string, segments: readonly SegmentName[]): string[] {
  return segments.map((segment) => join(directory, segment.name));
}

/** Decodes the data of the current record. @throws {CorruptionError} when the checksum is right but the data is not. */
function decode<T>(reader: RecordReader, decoder: (bytes: Uint8Array) => T): T {
  try {
    return decoder(reader.data);
  } catch (error) {
    if (!(error instanceof RaftDecodeError)) throw error;
    throw reader.corruption(`undecodable record of type ${reader.record.type}: ${error.message}`);
  }
}

/** What every pass checks: the same metadata everywhere, known record types, and that the snapshot is in the log. */
class HeadCheck {
  metadata: Uint8Array | undefined;
  readonly #from: WalSnapshot;
  readonly #reader: RecordReader;
  #isFound = false;

  constructor(from: WalSnapshot, reader: RecordReader) {
    this.#from = from;
    this.#reader = reader;
  }

  add(): void {
    const reader = this.#reader;
    switch (reader.record.type) {
      case RecordType.Metadata:
        if (this.metadata === undefined) this.metadata = copyBytes(reader.data);
        else if (!equalBytes(this.metadata, reader.data)) throw reader.corruption("wal: conflicting metadata found");
        break;
      case RecordType.Snapshot:
        this.#addSnapshot(decode(reader, decodeWalSnapshot));
        break;
      case RecordType.Crc:
      case RecordType.Entry:
      case RecordType.HardState:
        break;
      default:
        throw reader.corruption(`unexpected block type ${reader.record.type}`);
    }
  }

  #addSnapshot(snapshot: WalSnapshot): void {
    if (snapshot.index !== this.#from.index) return;
    if (snapshot.term !== this.#from.term) throw this.#reader.corruption("wal: snapshot mismatch");
    this.#isFound = true;
  }

  finish(): void {
    if (!this.#isFound) throw this.#reader.corruption("wal: snapshot not found");
  }
}

/** Builds the contents record by record. */
class Collector implements LogContents {
  hardState: HardState = { term: 0, vote: NONE, commit: 0 };
  readonly entries: Entry[] = [];
  lastIndex = 0;
  readonly #from: WalSnapshot;
  readonly #reader: RecordReader;
  readonly #head: HeadCheck;
  #block: Uint8Array = new Uint8Array(0);
  #blockUsed = 0;

  constructor(from: WalSnapshot, reader: RecordReader) {
    this.#from = from;
    this.#reader = reader;
    this.#head = new HeadCheck(from, reader);
  }

  get metadata(): Uint8Array {
    return this.#head.metadata ?? new Uint8Array(0);
  }

  add(): void {
    const { type } = this.#reader.record;
    if (type === RecordType.Entry) this.#addEntry(decode(this.#reader, decodeEntry));
    else if (type === RecordType.HardState) this.hardState = decode(this.#reader, decodeHardState);
    else {
      this.#head.add();
      if (type === RecordType.Snapshot) {
        this.lastIndex = Math.max(this.lastIndex, decode(this.#reader, decodeWalSnapshot).index);
      }
    }
  }

  finish(): void {
    this.#head.finish();
  }

  /** A later record of the same index replaces the entry and all behind it: they were never committed. */
  #addEntry(entry: Entry): void {
    this.lastIndex = entry.index;
    const position = entry.index - this.#from.index - 1;
    if (position < 0) return;
    if (position > this.entries.length) {
      throw this.#reader.corruption(
        `wal: slice bounds out of range, snapshot[Index: ${this.#from.index}, Term: ${this.#from.term}], ` +
          `current entry[Index: ${entry.index}, Term: ${entry.term}], len(ents): ${this.entries.length}`,
      );
    }
    entry.data = this.#keep(entry.data);
    this.entries.length = position;
    this.entries.push(entry);
  }

  #keep(data: Uint8Array): Uint8Array {
    if (data.length > BLOCK_SIZE >> 2) return copyBytes(data);
    if (this.#blockUsed + data.length > this.#block.length) {
      this.#block = new Uint8Array(BLOCK_SIZE);
      this.#blockUsed = 0;
    }
    const kept = this.#block.subarray(this.#blockUsed, this.#blockUsed + data.length);
    kept.set(data);
    this.#blockUsed += data.length;
    return kept;
  }
}

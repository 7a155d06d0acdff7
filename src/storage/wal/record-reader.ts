/**
 * Reads the records of consecutive segments as one stream and checks their checksums. Synchronous: it runs at start-up
 * and in tools. A window slides over the file, so that memory stays small whatever the size of a segment.
 *
 * How the stream ends tells what happened. A zero length field, or the end of a file at a record's border, is the end
 * of that segment. A record that does not fit the file, or (in the last segment) is broken and contains a sector of
 * zeros, was cut short by a crash: `torn`. Everything else is corruption.
 */
import { CorruptionError } from "../../base/corruption.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import type { Disk, DiskFile } from "../../platform/disk.ts";
import { RaftDecodeError } from "../../wire/raft/reader.ts";
import { FRAME_SIZE, isEndMark, isTorn, parseRecord, readFrame, RecordType, type RecordView } from "./record.ts";

/** Bytes read at a time; the window grows for a record that is longer. */
const WINDOW_SIZE = 1 << 20;

export const CORRUPT_ADVICE =
  "the log of this member is damaged and is not used; restore the member from a snapshot or replace it with a new one";

export class RecordReader {
  /** The current record. `data` gives its bytes. */
  readonly record: RecordView = { type: 0, crc: 0, dataStart: 0, dataEnd: 0 };
  /** Why {@link next} said false. */
  ending: "end" | "torn" = "end";
  /** Running checksum; at the end, what the next record written must continue. */
  crc = 0;
  /** Offset in the current file behind the last valid record. */
  lastValidOffset = 0;

  readonly #disk: Disk;
  readonly #paths: readonly string[];
  #fileIndex = -1;
  #isDone = false;
  #file: DiskFile | undefined;
  #fileSize = 0;
  #window: Uint8Array = new Uint8Array(WINDOW_SIZE);
  /** `[#start, #end)` of the window holds the bytes of the file from `lastValidOffset` on. */
  #start = 0;
  #end = 0;

  constructor(disk: Disk, paths: readonly string[]) {
    this.#disk = disk;
    this.#paths = paths;
  }

  /** File of the current record. */
  get path(): string {
    return this.#paths[Math.max(0, this.#fileIndex)];
  }

  /** Data of the current record; a view until the next call of {@link next}. */
  get data(): Uint8Array {
    return this.#window.subarray(this.record.dataStart, this.record.dataEnd);
  }

  /**
   * Moves to the next record; false at the end.
   *
   * @throws {CorruptionError} on a wrong checksum or bytes that are not a record.
   */
  next(): boolean {
    if (this.#isDone) return false;
    for (;;) {
      if (this.#file === undefined && !this.#openNext()) return this.#stop("end");
      const available = this.#fill(FRAME_SIZE);
      if (available === 0 || (available >= FRAME_SIZE && isEndMark(this.#window, this.#start))) {
        if (this.#fileIndex === this.#paths.length - 1) return this.#stop("end");
        this.#closeFile();
      } else if (available < FRAME_SIZE) return this.#stop("torn");
      else return this.#read();
    }
  }

  close(): void {
    this.#isDone = true;
    this.#closeFile();
  }

  #read(): boolean {
    const { size, padding } = readFrame(this.#window, this.#start);
    const total = FRAME_SIZE + size + padding;
    if (total > this.#fileSize - this.lastValidOffset) return this.#stop("torn");
    if (this.#fill(total) < total) return this.#stop("torn");
    const start = this.#start + FRAME_SIZE;
    try {
      parseRecord(this.#window, start, start + size, this.record);
    } catch (error) {
      if (!(error instanceof RaftDecodeError)) throw error;
      if (this.#isTorn(start, start + size + padding)) return this.#stop("torn");
      throw this.corruption(`not a WAL record: ${error.message}`);
    }
    if (!this.#checkCrc()) {
      // The first record of a segment is synced before the segment has its name: it cannot be torn.
      const canBeTorn = this.record.type !== RecordType.Crc;
      if (canBeTorn && this.#isTorn(start, start + size + padding)) return this.#stop("torn");
      throw this.corruption("wal: crc mismatch");
    }
    this.#start += total;
    this.lastValidOffset += total;
    return true;
  }

  /** A crc record says what the sum is; a reader that began in a later segment, at 0, takes it from there. */
  #checkCrc(): boolean {
    const { type, crc, dataStart, dataEnd } = this.record;
    if (type !== RecordType.Crc) {
      const sum = updateCrc32c(this.crc, this.#window, dataStart, dataEnd);
      // Kept only when it is right: writing goes on from the sum before a torn record.
      if (sum !== crc) return false;
      this.crc = sum;
      return true;
    }
    if (this.crc !== 0 && this.crc !== crc) return false;
    this.crc = crc;
    return true;
  }

  /** An error at the current record (or the one that {@link next} fails to read). */
  corruption(what: string): CorruptionError {
    return new CorruptionError({ path: this.path, offset: this.lastValidOffset }, what, CORRUPT_ADVICE);
  }

  #isTorn(start: number, end: number): boolean {
    return (
      this.#fileIndex === this.#paths.length - 1 && isTorn(this.#window, start, end, this.lastValidOffset + FRAME_SIZE)
    );
  }

  #stop(ending: "end" | "torn"): false {
    this.ending = ending;
    this.close();
    return false;
  }

  #openNext(): boolean {
    if (this.#fileIndex + 1 >= this.#paths.length) return false;
    this.#fileIndex += 1;
    this.#file = this.#disk.open(this.#paths[this.#fileIndex], "read");
    this.#fileSize = this.#file.size();
    this.lastValidOffset = 0;
    this.#start = 0;
    this.#end = 0;
    return true;
  }

  #closeFile(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** Brings at least `count` bytes into the window if the file has them; returns how many are there. */
  #fill(count: number): number {
    if (this.#end - this.#start >= count) return this.#end - this.#start;
    this.#window.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    if (count > this.#window.length) {
      const grown = new Uint8Array(Math.max(count, 2 * this.#window.length));
      grown.set(this.#window.subarray(0, this.#end));
      this.#window = grown;
    }
    const rest = this.#window.subarray(this.#end);
    this.#end += this.#file?.readSync(rest, this.lastValidOffset + this.#end) ?? 0;
    return this.#end;
  }
}

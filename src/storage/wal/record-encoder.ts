/**
 * Builds records in a growing buffer and keeps the running checksum. The hot half of the log: an entry is encoded once,
 * straight to its final place, and summed there.
 *
 * The checksum stands *before* the data it covers and its varint has 1 to 5 bytes. The data is therefore written where
 * it belongs behind a five-byte checksum; in one of sixteen cases the checksum is shorter and the data moves up.
 */
import { assert } from "../../base/assert.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { sizeOfEntry, sizeOfHardState, writeEntry, writeHardState } from "../../wire/raft/entry-codec.ts";
import { sizeOfVarint, writeVarint } from "../../wire/hot/wire-writer.ts";
import type { Entry, HardState } from "../../wire/raft/types.ts";
import { FRAME_SIZE, RECORD_DATA_SIZE_MAX, RECORD_HEAD_SIZE_MAX, RecordType, writeFrame } from "./record.ts";

const CRC_SIZE_MAX = 5;

export class RecordEncoder {
  /** The buffer being filled; `[0, length)` holds whole records. Replaced when it grows or is taken. */
  buffer: Uint8Array;
  length = 0;
  /** Running checksum over the data of all records so far. */
  crc: number;

  constructor(buffer: Uint8Array, crc: number) {
    this.buffer = buffer;
    this.crc = crc;
  }

  /** Goes on in another buffer, from its beginning. */
  useBuffer(buffer: Uint8Array): void {
    this.buffer = buffer;
    this.length = 0;
  }

  addEntry(entry: Entry): void {
    const size = sizeOfEntry(entry);
    const dataOffset = this.#reserve(size);
    writeEntry(entry, this.buffer, dataOffset);
    this.#finish(RecordType.Entry, dataOffset, size);
  }

  addHardState(state: HardState): void {
    const size = sizeOfHardState(state);
    const dataOffset = this.#reserve(size);
    writeHardState(state, this.buffer, dataOffset);
    this.#finish(RecordType.HardState, dataOffset, size);
  }

  add(type: RecordType, data: Uint8Array): void {
    const dataOffset = this.#reserve(data.length);
    this.buffer.set(data, dataOffset);
    this.#finish(type, dataOffset, data.length);
  }

  /** The record that begins a segment. */
  addCrc(): void {
    this.#reserve(0);
    const start = this.length + FRAME_SIZE;
    const end = this.#writeHead(start, RecordType.Crc);
    this.length = writeFrame(this.buffer, this.length, end - start);
  }

  /** Makes room for a record with `size` bytes of data; returns where these go when the checksum takes five bytes. */
  #reserve(size: number): number {
    assert(size <= RECORD_DATA_SIZE_MAX, "a record is smaller than 1 GiB");
    const needed = this.length + FRAME_SIZE + RECORD_HEAD_SIZE_MAX + size + 7;
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.buffer.length * 2));
      grown.set(this.buffer.subarray(0, this.length));
      this.buffer = grown;
    }
    return this.length + FRAME_SIZE + 3 + CRC_SIZE_MAX + 1 + sizeOfVarint(size);
  }

  #finish(type: RecordType, dataOffset: number, size: number): void {
    const buffer = this.buffer;
    this.crc = updateCrc32c(this.crc, buffer, dataOffset, dataOffset + size);
    const start = this.length + FRAME_SIZE;
    const head = this.#writeHead(start, type);
    const moved = head + 1 + sizeOfVarint(size);
    // Before the key and length are written: they end where the data, once moved, begins.
    if (moved !== dataOffset) buffer.copyWithin(moved, dataOffset, dataOffset + size);
    buffer[head] = 0x1a;
    writeVarint(buffer, head + 1, size);
    this.length = writeFrame(buffer, this.length, moved + size - start);
  }

  #writeHead(start: number, type: RecordType): number {
    const buffer = this.buffer;
    buffer[start] = 0x08;
    buffer[start + 1] = type;
    buffer[start + 2] = 0x10;
    return writeVarint(buffer, start + 3, this.crc);
  }
}

/**
 * One record of the write-ahead log, as bytes. Source: etcd server/storage/wal/{encoder,decoder}.go, walpb/record.proto.
 *
 * ```text
 * ┌─────────────────────────────────┬────────────────────┬──────────────┐
 * │ length field, 8 bytes, LE       │ record (protobuf)  │ 0..7 zeros   │ next record, 8-aligned
 * └─────────────────────────────────┴────────────────────┴──────────────┘
 *   bits 0-55  size of the record     1 type  varint
 *   bits 56-58 count of zeros         2 crc   varint: CRC-32C over the data of all records so far
 *   bit 63     there are zeros        3 data  bytes, left out by the crc record
 * ```
 *
 * A length field of zero is the end of what was written: segments are longer than their contents.
 */
import { RaftDecodeError, Reader } from "../../wire/raft/reader.ts";

export const RecordType = {
  /** Node and cluster id; opaque here. The same in every segment of a log. */
  Metadata: 1,
  Entry: 2,
  HardState: 3,
  /** First record of a segment: the running checksum up to here. */
  Crc: 4,
  Snapshot: 5,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

export const FRAME_SIZE = 8;
/** Type, checksum and the data's key and length at their longest: 2 + 6 + 6. */
export const RECORD_HEAD_SIZE_MAX = 14;
/** A disk writes sectors of this size as a whole or not at all. */
const SECTOR_SIZE = 512;

/** Largest data of one record: its length must fit a 32-bit varint comfortably; raft's entries are far smaller. */
export const RECORD_DATA_SIZE_MAX = 0x3fff_ffff;

/**
 * Writes the length field at `offset` for a record of `size` bytes that follows it, and the zeros behind the record.
 *
 * @returns the offset of the next record.
 */
export function writeFrame(target: Uint8Array, offset: number, size: number): number {
  const padding = -size & 7;
  writeUint32(target, offset, size);
  writeUint32(target, offset + 4, 0);
  if (padding !== 0) target[offset + 7] = 0x80 | padding;
  const end = offset + FRAME_SIZE + size;
  target.fill(0, end, end + padding);
  return end + padding;
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
}

/** Reads a length field. `size` may be anything up to 2^56: check it against what the file can hold. */
export function readFrame(bytes: Uint8Array, offset: number): { size: number; padding: number } {
  const low = readUint32(bytes, offset);
  const high = bytes[offset + 4] | (bytes[offset + 5] << 8) | (bytes[offset + 6] << 16);
  const top = bytes[offset + 7];
  return { size: high * 0x1_0000_0000 + low, padding: (top & 0x80) === 0 ? 0 : top & 7 };
}

/** Whether the eight bytes at `offset` are all zero. */
export function isEndMark(bytes: Uint8Array, offset: number): boolean {
  return readUint32(bytes, offset) === 0 && readUint32(bytes, offset + 4) === 0;
}

function readUint32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] | (bytes[offset + 1] << 8) | (bytes[offset + 2] << 16) | (bytes[offset + 3] << 24)) >>> 0;
}

/** A parsed record, reused from one to the next: `[dataStart, dataEnd)` of the bytes it was parsed from. */
export interface RecordView {
  type: number;
  crc: number;
  dataStart: number;
  dataEnd: number;
}

/** Parses the record in `[start, end)` into `record`. @throws {RaftDecodeError} when it is not protobuf. */
export function parseRecord(bytes: Uint8Array, start: number, end: number, record: RecordView): void {
  record.type = 0;
  record.crc = 0;
  record.dataStart = end;
  record.dataEnd = end;
  const reader = new Reader(bytes, start, end);
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === 0x08) record.type = reader.counter();
    else if (key === 0x10) record.crc = reader.counter();
    else if (key === 0x1a) {
      const data = reader.view();
      record.dataEnd = reader.position;
      record.dataStart = reader.position - data.length;
    } else reader.skip(key);
  }
  if (record.crc > 0xffff_ffff) throw new RaftDecodeError("checksum of more than 32 bits");
}

/**
 * Tells a write that a crash cut short from bytes that changed later: cut at the sector borders of the file, some
 * piece of it is all zeros, that is, it was never written.
 *
 * @param start - of the record, behind its length field, in `bytes`; `end` is behind its padding.
 * @param fileOffset - where `start` lies in the file.
 */
export function isTorn(bytes: Uint8Array, start: number, end: number, fileOffset: number): boolean {
  let position = start;
  let sectorEnd = start + SECTOR_SIZE - (fileOffset % SECTOR_SIZE);
  while (position < end) {
    const pieceEnd = Math.min(sectorEnd, end);
    while (position < pieceEnd && bytes[position] === 0) position++;
    if (position === pieceEnd) return true;
    position = pieceEnd;
    sectorEnd += SECTOR_SIZE;
  }
  return false;
}

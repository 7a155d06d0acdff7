/**
 * Keys of the `key` bucket: one row a revision.
 *
 *     main u64 big endian | 0x5f '_' | sub u64 big endian [| 0x74 't' when the row is a tombstone]
 *
 * Byte order is the order of (main, sub, tombstone). See etcd server/storage/mvcc/revision.go.
 */
import { CorruptionError } from "../../base/corruption.ts";
import type { RowPosition } from "./bucket.ts";

export const rowKeySize = 17;
export const tombstoneKeySize = 18;
const separator = 0x5f;
const tombstoneMark = 0x74;

/** An owned key. `main` and `sub` are whole numbers below 2^53. */
export function encodeRowKey(main: number, sub: number, tombstone: boolean): Uint8Array {
  const key = new Uint8Array(tombstone ? tombstoneKeySize : rowKeySize);
  writeRowKey(key, 0, main, sub, tombstone);
  return key;
}

/** Writes a key at `offset` and returns its end. */
export function writeRowKey(target: Uint8Array, offset: number, main: number, sub: number, tombstone: boolean): number {
  writeCounter(target, offset, main);
  target[offset + 8] = separator;
  writeCounter(target, offset + 9, sub);
  if (!tombstone) return offset + rowKeySize;
  target[offset + 17] = tombstoneMark;
  return offset + tombstoneKeySize;
}

/** True when `length` bytes at `offset` have the shape of a row key. */
export function isRowKey(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length === tombstoneKeySize) {
    if (bytes[offset + 17] !== tombstoneMark) return false;
  } else if (length !== rowKeySize) return false;
  // The top eleven bits of both numbers must be clear: nothing counts beyond 2^53.
  if (bytes[offset + 8] !== separator) return false;
  return bytes[offset] === 0 && bytes[offset + 1] < 0x20 && bytes[offset + 9] === 0 && bytes[offset + 10] < 0x20;
}

/** Reads the main revision of a key that {@link isRowKey} accepted; the sub revision lies 9 bytes further. */
export function readRowCounter(bytes: Uint8Array, offset: number): number {
  const high = (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3];
  const low =
    ((bytes[offset + 4] << 24) | (bytes[offset + 5] << 16) | (bytes[offset + 6] << 8) | bytes[offset + 7]) >>> 0;
  return high * 0x1_0000_0000 + low;
}

/** @throws {CorruptionError} when the bytes are not a row key. */
export function decodeRowKey(key: Uint8Array): RowPosition & { readonly tombstone: boolean } {
  if (!isRowKey(key, 0, key.length)) {
    throw new CorruptionError({ path: "key" }, `not a revision: ${Buffer.from(key).toString("hex")}`);
  }
  return { main: readRowCounter(key, 0), sub: readRowCounter(key, 9), tombstone: key.length === tombstoneKeySize };
}

function writeCounter(target: Uint8Array, offset: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  const low = value >>> 0;
  target[offset] = high >>> 24;
  target[offset + 1] = high >>> 16;
  target[offset + 2] = high >>> 8;
  target[offset + 3] = high;
  target[offset + 4] = low >>> 24;
  target[offset + 5] = low >>> 16;
  target[offset + 6] = low >>> 8;
  target[offset + 7] = low;
}

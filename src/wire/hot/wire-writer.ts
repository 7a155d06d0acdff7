/** Sizes and bytes of protobuf fields, written into a target that is large enough. Each writer returns the new offset. */
import { highOf, lowOf } from "./words.ts";

/** Bytes of a negative int64 varint. */
const negativeSize = 10;

/** @param value - whole, |value| < 2^53; negative ones are int64 varints. */
export function sizeOfVarint(value: number): number {
  if (value < 0) return negativeSize;
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  if (value < 0x8_0000_0000) return 5;
  if (value < 0x400_0000_0000) return 6;
  if (value < 0x2_0000_0000_0000) return 7;
  return 8;
}

export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  if (value < 0) return writeVarint64(target, offset, BigInt.asUintN(64, BigInt(value)));
  let rest = value;
  while (rest >= 0x8000_0000) {
    target[offset++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  while (rest >= 0x80) {
    target[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[offset++] = rest;
  return offset;
}

/** @param value - any int64 or uint64. */
export function sizeOfVarint64(value: bigint): number {
  const high = highOf(value);
  if (high === 0) return sizeOfVarint(lowOf(value));
  if (high < 0x8) return 5;
  if (high < 0x400) return 6;
  if (high < 0x2_0000) return 7;
  if (high < 0x100_0000) return 8;
  return high < 0x8000_0000 ? 9 : 10;
}

export function writeVarint64(target: Uint8Array, offset: number, value: bigint): number {
  let low = lowOf(value);
  let high = highOf(value);
  while (high > 0 || low >= 0x80) {
    target[offset++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  target[offset++] = low;
  return offset;
}

/** Size of a field with a one-byte tag (field number up to 15); 0 for a value that proto3 leaves out. */
export function sizeOfNumberField(value: number): number {
  return value === 0 ? 0 : 1 + sizeOfVarint(value);
}

export function writeNumberField(target: Uint8Array, offset: number, tag: number, value: number): number {
  if (value === 0) return offset;
  target[offset] = tag;
  return writeVarint(target, offset + 1, value);
}

export function sizeOfBigField(value: bigint): number {
  return value === 0n ? 0 : 1 + sizeOfVarint64(value);
}

export function writeBigField(target: Uint8Array, offset: number, tag: number, value: bigint): number {
  if (value === 0n) return offset;
  target[offset] = tag;
  return writeVarint64(target, offset + 1, value);
}

/** Size of an embedded message or bytes that are written even when empty. */
export function sizeOfLength(length: number): number {
  return 1 + sizeOfVarint(length) + length;
}

export function sizeOfBytesField(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : sizeOfLength(bytes.length);
}

export function writeBytesField(target: Uint8Array, offset: number, tag: number, bytes: Uint8Array): number {
  return bytes.length === 0 ? offset : writeBytes(target, offset, tag, bytes);
}

/** Writes bytes even when there are none. */
export function writeBytes(target: Uint8Array, offset: number, tag: number, bytes: Uint8Array): number {
  target[offset] = tag;
  const start = writeVarint(target, offset + 1, bytes.length);
  target.set(bytes, start);
  return start + bytes.length;
}

export function writeBoolField(target: Uint8Array, offset: number, tag: number, value: boolean): number {
  if (!value) return offset;
  target[offset] = tag;
  target[offset + 1] = 1;
  return offset + 2;
}

export function sizeOfBoolField(value: boolean): number {
  return value ? 2 : 0;
}

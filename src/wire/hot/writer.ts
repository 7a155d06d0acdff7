/**
 * Writes protobuf fields into bytes that are large enough: sizes first, then one pass. Each writer returns the offset
 * behind what it wrote. Negative int64 take ten bytes, as everywhere in protobuf. No BigInt except for identifiers.
 */

const uint64 = new BigUint64Array(1);
const words = new Uint32Array(uint64.buffer);
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

const TWO_32 = 0x1_0000_0000;
/** Up to here a loop beats the call of `set`. */
const LOOP_BYTES_MAX = 16;

/** Bytes with content of any kind, to be filled completely. Small ones share a slab, as the messages of one batch do. */
export function allocate(size: number): Uint8Array {
  return Buffer.allocUnsafe(size);
}

/** @param value - an integer in [0, 2^53). */
export function sizeOfVarint(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  if (value < 0x8_0000_0000) return 5;
  if (value < 0x400_0000_0000) return 6;
  return value < 0x2_0000_0000_0000 ? 7 : 8;
}

/** @param value - an integer in [0, 2^53). */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  while (value > 0x7fff_ffff) {
    target[offset++] = (value % 0x80) | 0x80;
    value = Math.floor(value / 0x80);
  }
  while (value > 0x7f) {
    target[offset++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  target[offset] = value;
  return offset + 1;
}

/** @param value - an integer in (-2^53, 2^53). */
export function sizeOfInt64(value: number): number {
  return value < 0 ? 10 : sizeOfVarint(value);
}

/** @param value - an integer in (-2^53, 2^53). */
export function writeInt64(target: Uint8Array, offset: number, value: number): number {
  if (value >= 0) return writeVarint(target, offset, value);
  return writeWords(target, offset, value >>> 0, Math.floor(value / TWO_32) >>> 0);
}

/** @param value - an int64 or uint64. */
export function sizeOfBigInt64(value: bigint): number {
  uint64[0] = value;
  const high = words[HIGH];
  if (high === 0) return sizeOfVarint(words[LOW]);
  if (high < 0x8) return 5;
  if (high < 0x400) return 6;
  if (high < 0x2_0000) return 7;
  if (high < 0x100_0000) return 8;
  return high < 0x8000_0000 ? 9 : 10;
}

/** @param value - an int64 or uint64. */
export function writeBigInt64(target: Uint8Array, offset: number, value: bigint): number {
  uint64[0] = value;
  return writeWords(target, offset, words[LOW], words[HIGH]);
}

function writeWords(target: Uint8Array, offset: number, low: number, high: number): number {
  while (high !== 0) {
    target[offset++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  return writeVarint(target, offset, low);
}

/** Size of a length and as many bytes. */
export function sizeOfDelimited(length: number): number {
  return sizeOfVarint(length) + length;
}

/** Writes a one-byte tag, the length, and the bytes. */
export function writeBytes(target: Uint8Array, offset: number, tag: number, bytes: Uint8Array): number {
  target[offset] = tag;
  return copyInto(target, writeVarint(target, offset + 1, bytes.length), bytes);
}

export function copyInto(target: Uint8Array, offset: number, bytes: Uint8Array): number {
  const length = bytes.length;
  if (length > LOOP_BYTES_MAX) target.set(bytes, offset);
  else for (let index = 0; index < length; index++) target[offset + index] = bytes[index];
  return offset + length;
}

/** Writes a one-byte tag and `true`. */
export function writeTrue(target: Uint8Array, offset: number, tag: number): number {
  target[offset] = tag;
  target[offset + 1] = 1;
  return offset + 2;
}

/** Writes a one-byte tag and an int64. */
export function writeInt64Field(target: Uint8Array, offset: number, tag: number, value: number): number {
  target[offset] = tag;
  return writeInt64(target, offset + 1, value);
}

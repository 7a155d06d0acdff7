/**
 * The two halves of a 64-bit identifier, without BigInt arithmetic: that costs an allocation a step, while storing a
 * bigint and reading two 32-bit words of the same memory costs none.
 */

const uint64 = new BigUint64Array(1);
const int64 = new BigInt64Array(uint64.buffer);
const words = new Uint32Array(uint64.buffer);
/** Which of the words is the lower half on this machine. */
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

/** @param value - an int64 or uint64. */
export function lowOf(value: bigint): number {
  uint64[0] = value;
  return words[LOW];
}

/** @param value - an int64 or uint64. */
export function highOf(value: bigint): number {
  uint64[0] = value;
  return words[HIGH];
}

export function toInt64(low: number, high: number): bigint {
  words[LOW] = low;
  words[HIGH] = high;
  return int64[0];
}

export function toUint64(low: number, high: number): bigint {
  words[LOW] = low;
  words[HIGH] = high;
  return uint64[0];
}

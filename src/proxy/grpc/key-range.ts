/** Ranges of keys as requests name them: a start, and an end that may be absent (one key) or open (all from there on). */
import { compareBytes, equalBytes } from "../../base/bytes.ts";

export interface KeyRange {
  readonly key: Uint8Array;
  /** Empty: `key` alone; the byte 0: without end. */
  readonly rangeEnd: Uint8Array;
}

/** Whether the end of a range says that it has none. */
export function isOpen(end: Uint8Array): boolean {
  return end.length === 1 && end[0] === 0;
}

/** False for a range that no key can be in. */
export function isPossible({ key, rangeEnd }: KeyRange): boolean {
  return rangeEnd.length === 0 || isOpen(rangeEnd) || compareBytes(key, rangeEnd) < 0;
}

/** Whether some key could be in both. */
export function overlap(one: KeyRange, other: KeyRange): boolean {
  if (one.rangeEnd.length === 0) return isWithin(one.key, other);
  if (other.rangeEnd.length === 0) return isWithin(other.key, one);
  return !endsBefore(one, other) && !endsBefore(other, one);
}

function isWithin(key: Uint8Array, { key: start, rangeEnd }: KeyRange): boolean {
  if (rangeEnd.length === 0) return equalBytes(key, start);
  return compareBytes(key, start) >= 0 && (isOpen(rangeEnd) || compareBytes(key, rangeEnd) < 0);
}

function endsBefore(one: KeyRange, other: KeyRange): boolean {
  return !isOpen(one.rangeEnd) && compareBytes(one.rangeEnd, other.key) <= 0;
}

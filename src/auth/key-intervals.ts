/**
 * The keys that permissions open: a union of half-open intervals, as sorted runs that neither overlap nor touch.
 *
 *     granted   [a, c) [b, d)      point f      [m, ∞)
 *     runs      [a ────── d)       [f, f\0)     [m ──────
 *
 * A range is open when one run holds all of it; it need not be one permission. Source: etcd
 * server/auth/range_perm_cache.go, whose interval tree answers the same.
 */
import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";

/** `[start, end)`; `end` undefined = to the end of the keys. */
export interface KeyInterval {
  readonly start: Uint8Array;
  readonly end: Uint8Array | undefined;
}

/**
 * The keys meant by a key and a range end of the API: one key when the end is empty, everything from the key on when it is
 * a zero byte. Undefined when there are none: no key, or an end that is not behind it.
 */
export function keyInterval(key: Uint8Array, rangeEnd: Uint8Array): KeyInterval | undefined {
  if (key.length === 0) return undefined;
  if (rangeEnd.length === 0) return { start: key, end: successor(key) };
  if (isOpenEnd(rangeEnd)) return { start: key, end: undefined };
  return compareBytes(key, rangeEnd) < 0 ? { start: key, end: rangeEnd } : undefined;
}

/** Whether a range end means "to the end of the keys". */
export function isOpenEnd(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

/** The key right behind `key`. */
function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

export class KeyIntervals {
  /** Invariant: ascending, and there is a gap between one and the next. */
  readonly #runs: readonly KeyInterval[];

  constructor(intervals: readonly KeyInterval[]) {
    this.#runs = merge([...intervals].sort((a, b) => compareBytes(a.start, b.start)));
  }

  /** Whether a key is open. */
  hasKey(key: Uint8Array): boolean {
    const run = this.#runAt(key);
    return run !== undefined && (run.end === undefined || compareBytes(key, run.end) < 0);
  }

  /**
   * Whether all keys of a range of the API are open; `rangeEnd` is not empty.
   *
   * A range without keys (`rangeEnd` not behind `key`) is open when `key` is: nothing would be read or written, but members
   * must agree on whether the transaction around it is refused. (etcd agrees where `rangeEnd` is `key` itself; where it lies
   * before, its tree may miss the permission, depending on the order in which permissions were put into it.)
   */
  hasRange(key: Uint8Array, rangeEnd: Uint8Array): boolean {
    assert(rangeEnd.length > 0, "a range has an end; ask for a single key otherwise");
    const isOpen = isOpenEnd(rangeEnd);
    if (!isOpen && compareBytes(key, rangeEnd) >= 0) return this.hasKey(key);
    const run = this.#runAt(key);
    if (run === undefined) return false;
    return run.end === undefined || (!isOpen && compareBytes(rangeEnd, run.end) <= 0);
  }

  /** The last run that starts at `key` or before. */
  #runAt(key: Uint8Array): KeyInterval | undefined {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes(this.#runs[middle].start, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : this.#runs[low - 1];
  }
}

/** @param intervals - by start. */
function merge(intervals: readonly KeyInterval[]): KeyInterval[] {
  const runs: KeyInterval[] = [];
  for (const interval of intervals) {
    const last = runs.at(-1);
    const touches = last !== undefined && (last.end === undefined || compareBytes(interval.start, last.end) <= 0);
    if (!touches) runs.push(interval);
    else if (isBehind(interval.end, last.end)) runs[runs.length - 1] = { start: last.start, end: interval.end };
  }
  return runs;
}

function isBehind(end: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (other === undefined) return false;
  return end === undefined || compareBytes(end, other) > 0;
}

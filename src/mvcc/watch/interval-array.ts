/**
 * Intervals sorted by start, read as a balanced tree in which every node knows the greatest end below it (an interval tree
 * without pointers).
 *
 *     index      0     1     2     3     4     5     6
 *     start      a     c     f     k     m     p     x        root = 3, its children 1 and 5, ...
 *     end        z     d     g     n     o     \0    y        greatest[1] = z, greatest[5] = no end
 *
 * A change moves the array and marks the greatest ends stale; they are computed again at the next look-up.
 */
import { compareBytes } from "../../base/bytes.ts";

/** Null: no key reaches it. */
export type IntervalEnd = Uint8Array | null;

/** The keys in [start, end). */
export interface Interval {
  readonly start: Uint8Array;
  readonly end: IntervalEnd;
}

export class IntervalArray<T extends Interval> {
  /** Sorted by start; changed only by the methods here. */
  readonly items: T[] = [];
  #greatest: IntervalEnd[] = [];
  #isStale = false;

  insert(at: number, item: T): void {
    this.items.splice(at, 0, item);
    this.#isStale = true;
  }

  remove(at: number): void {
    this.items.splice(at, 1);
    this.#isStale = true;
  }

  /** Takes away the items from `at` on. */
  cut(at: number): T[] {
    this.#isStale = true;
    return this.items.splice(at);
  }

  /** An item has another end now. */
  changed(): void {
    this.#isStale = true;
  }

  /** Of all ends; there must be an item. */
  get greatestEnd(): IntervalEnd {
    if (this.#isStale) this.#refresh();
    return this.#greatest[this.items.length >>> 1];
  }

  /** Visits every interval that holds `key`, in order. `visit` must not change this. */
  match(key: Uint8Array, visit: (item: T) => void): void {
    if (this.#isStale) this.#refresh();
    this.#search(key, 0, this.items.length, visit);
  }

  #search(key: Uint8Array, low: number, high: number, visit: (item: T) => void): void {
    if (low >= high) return;
    const middle = (low + high) >>> 1;
    if (!isBefore(key, this.#greatest[middle])) return;
    this.#search(key, low, middle, visit);
    const item = this.items[middle];
    if (compareBytes(item.start, key) > 0) return;
    if (isBefore(key, item.end)) visit(item);
    this.#search(key, middle + 1, high, visit);
  }

  #refresh(): void {
    this.#greatest = Array.from<IntervalEnd>({ length: this.items.length }).fill(null);
    if (this.items.length > 0) this.#refreshBelow(0, this.items.length);
    this.#isStale = false;
  }

  #refreshBelow(low: number, high: number): IntervalEnd {
    const middle = (low + high) >>> 1;
    let greatest = this.items[middle].end;
    if (low < middle) greatest = laterEnd(greatest, this.#refreshBelow(low, middle));
    if (middle + 1 < high) greatest = laterEnd(greatest, this.#refreshBelow(middle + 1, high));
    this.#greatest[middle] = greatest;
    return greatest;
  }
}

function isBefore(key: Uint8Array, end: IntervalEnd): boolean {
  return end === null || compareBytes(key, end) < 0;
}

function laterEnd(a: IntervalEnd, b: IntervalEnd): IntervalEnd {
  if (a === null || b === null) return null;
  return compareBytes(a, b) >= 0 ? a : b;
}

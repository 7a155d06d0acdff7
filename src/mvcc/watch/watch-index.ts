/**
 * Finds the watchers of a key. Watchers of the same range form a group, so that a thousand watchers of one prefix are
 * found, and their events encoded, once. Groups of a single key stand in a map; the others in an array sorted by start,
 * read as a balanced tree in which every node knows the greatest end below it (an interval tree without pointers).
 *
 *     index      0     1     2     3     4     5     6
 *     start      a     c     f     k     m     p     x        root = 3, its children 1 and 5, ...
 *     end        z     d     g     n     o     \0    y        greatest[1] = z, greatest[5] = no end
 *
 * Adding and removing groups moves the array and marks the greatest ends stale; they are computed again at the next look-up.
 */
import { asBuffer, compareBytes, equalBytes } from "../../base/bytes.ts";
import type { Watcher } from "./watcher.ts";

/** An end that no key reaches. */
const noEnd = null;
type RangeEnd = Uint8Array | typeof noEnd;

export class WatchGroup {
  readonly start: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** Unordered. */
  readonly watchers: Watcher[] = [];
  /** Events of the transaction being delivered; owned by whoever delivers. */
  pending: number[] = [];

  constructor(start: Uint8Array, rangeEnd: Uint8Array) {
    this.start = start;
    this.rangeEnd = rangeEnd;
  }
}

export class WatchIndex {
  readonly #byKey = new Map<string, WatchGroup>();
  readonly #byRange: WatchGroup[] = [];
  readonly #ends: RangeEnd[] = [];
  #greatest: RangeEnd[] = [];
  #stale = false;
  #size = 0;

  /** Watchers in the index. */
  get size(): number {
    return this.#size;
  }

  /** All of them, in a list of the caller's. */
  watchers(): Watcher[] {
    return [...this.#byKey.values(), ...this.#byRange].flatMap((group) => group.watchers);
  }

  add(watcher: Watcher): void {
    const group = this.#groupFor(watcher.options.key, watcher.options.rangeEnd);
    watcher.group = group;
    watcher.groupSlot = group.watchers.length;
    group.watchers.push(watcher);
    this.#size++;
  }

  /** The watcher must be in this index. The last watcher of its group takes its place: iterate groups backwards. */
  remove(watcher: Watcher): void {
    const { group } = watcher;
    if (group === undefined) return;
    const last = group.watchers.pop()!;
    if (last !== watcher) {
      group.watchers[watcher.groupSlot] = last;
      last.groupSlot = watcher.groupSlot;
    }
    watcher.group = undefined;
    this.#size--;
    if (group.watchers.length === 0) this.#drop(group);
  }

  /** Visits every group whose range holds `key`. `visit` must not change the index. */
  match(key: Uint8Array, visit: (group: WatchGroup) => void): void {
    if (this.#byKey.size > 0) {
      const group = this.#byKey.get(keyText(key));
      if (group !== undefined) visit(group);
    }
    if (this.#byRange.length === 0) return;
    if (this.#stale) this.#refresh();
    this.#search(key, 0, this.#byRange.length, visit);
  }

  #search(key: Uint8Array, low: number, high: number, visit: (group: WatchGroup) => void): void {
    if (low >= high) return;
    const middle = (low + high) >>> 1;
    if (!isBefore(key, this.#greatest[middle])) return;
    this.#search(key, low, middle, visit);
    if (compareBytes(this.#byRange[middle].start, key) > 0) return;
    if (isBefore(key, this.#ends[middle])) visit(this.#byRange[middle]);
    this.#search(key, middle + 1, high, visit);
  }

  #groupFor(key: Uint8Array, rangeEnd: Uint8Array): WatchGroup {
    if (rangeEnd.length === 0) {
      const text = keyText(key);
      let group = this.#byKey.get(text);
      if (group === undefined) this.#byKey.set(text, (group = new WatchGroup(key, rangeEnd)));
      return group;
    }
    const at = this.#place(key, rangeEnd);
    const found = this.#byRange[at];
    if (found !== undefined && equalBytes(found.start, key) && equalBytes(found.rangeEnd, rangeEnd)) return found;
    const group = new WatchGroup(key, rangeEnd);
    this.#byRange.splice(at, 0, group);
    this.#ends.splice(at, 0, isToTheEnd(rangeEnd) ? noEnd : rangeEnd);
    this.#stale = true;
    return group;
  }

  #drop(group: WatchGroup): void {
    if (group.rangeEnd.length === 0) {
      this.#byKey.delete(keyText(group.start));
      return;
    }
    const at = this.#place(group.start, group.rangeEnd);
    this.#byRange.splice(at, 1);
    this.#ends.splice(at, 1);
    this.#stale = true;
  }

  /** First place whose (start, end) is not below the given one. */
  #place(start: Uint8Array, rangeEnd: Uint8Array): number {
    let low = 0;
    let high = this.#byRange.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const group = this.#byRange[middle];
      const order = compareBytes(group.start, start) || compareBytes(group.rangeEnd, rangeEnd);
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #refresh(): void {
    this.#greatest = Array.from<RangeEnd>({ length: this.#byRange.length }).fill(noEnd);
    this.#refreshBelow(0, this.#byRange.length);
    this.#stale = false;
  }

  #refreshBelow(low: number, high: number): RangeEnd | undefined {
    if (low >= high) return undefined;
    const middle = (low + high) >>> 1;
    let greatest = this.#ends[middle];
    for (const below of [this.#refreshBelow(low, middle), this.#refreshBelow(middle + 1, high)]) {
      if (below !== undefined) greatest = laterEnd(greatest, below);
    }
    this.#greatest[middle] = greatest;
    return greatest;
  }
}

function isToTheEnd(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

function isBefore(key: Uint8Array, end: RangeEnd): boolean {
  return end === noEnd || compareBytes(key, end) < 0;
}

function laterEnd(a: RangeEnd, b: RangeEnd): RangeEnd {
  if (a === noEnd || b === noEnd) return noEnd;
  return compareBytes(a, b) >= 0 ? a : b;
}

/** One character a byte: only to be equal or not, never to be shown. */
function keyText(key: Uint8Array): string {
  return asBuffer(key).toString("latin1");
}

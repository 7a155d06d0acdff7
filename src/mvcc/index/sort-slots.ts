/**
 * Sorts slots by the bytes of their keys, for the bulk load at start and of a received snapshot.
 *
 * Large parts go by eight bytes behind the prefix that all of their keys share (radix-sort.ts); what is still equal there
 * is a part of its own. Small ones go by multikey quicksort over 4-byte words (Bentley and Sedgewick, "Fast algorithms for
 * sorting and searching strings"), so that shared prefixes are read once per key and not once per comparison.
 */
import type { Steps } from "../../base/steps.ts";
import { RadixSorter, unitsPerStep } from "./radix-sort.ts";

/** Below this many keys insertion sort wins. */
const insertionMax = 12;
/** Up to this many keys quicksort wins; a millisecond. */
const quickMax = 2048;
/** Units of work (see {@link unitsPerStep}) of reading a word of a key, and of sorting one key by quicksort. */
const unitsPerRead = 10;
const unitsPerQuick = 50;
const readsPerStep = unitsPerStep / unitsPerRead;

/** Keys of slots, as `KeySlabs` has them of addresses. */
export interface KeysOfSlots {
  length(slot: number): number;
  view(slot: number): Uint8Array;
  wordAt(slot: number, depth: number): number;
  sharesBytes(slot: number, other: number, length: number): boolean;
  commonPrefix(slot: number, key: Uint8Array, from: number): number;
  orderAfter(slot: number, key: Uint8Array, common: number): number;
}

/** Keys at `[start, end)` of the slots, which agree in their first `depth` bytes. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly depth: number;
}

/** Sorts in place. The keys must be distinct. */
export function* sortSlots(slots: Uint32Array, keys: KeysOfSlots): Steps<void> {
  const small = new Sorter(slots, keys);
  if (slots.length <= quickMax) return small.sort(0, slots.length, 0);
  const radix = new RadixSorter(slots.length);
  const parts: Part[] = [{ start: 0, end: slots.length, depth: 0 }];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const { start, end } = part;
    const depth = yield* sharedPrefix(slots, keys, part);
    for (let index = start; index < end; index += readsPerStep) {
      loadWindows(radix, { slots, keys, depth }, start, index, Math.min(end, index + readsPerStep));
      yield;
    }
    yield* radix.sort(end - start);
    slots.set(radix.slots.subarray(0, end - start), start);
    yield* sortEquals({ radix, small, parts }, start, end, depth + 8);
  }
}

/** Bytes that all keys of a part have in common: at least its depth, and else a multiple of four. */
function* sharedPrefix(slots: Uint32Array, keys: KeysOfSlots, { start, end, depth }: Part): Steps<number> {
  const first = slots[start];
  let shared = keys.length(first) & ~3;
  for (let index = start + 1; index < end && shared > depth; index++) {
    const slot = slots[index];
    const length = keys.length(slot);
    if (length < shared || !keys.sharesBytes(first, slot, shared)) {
      shared = keys.commonPrefix(slot, keys.view(first), depth) & ~3;
    }
    if ((index - start) % readsPerStep === 0) yield;
  }
  return Math.max(shared, depth);
}

function loadWindows(
  { high, low, slots: copies }: RadixSorter,
  { slots, keys, depth }: { slots: Uint32Array; keys: KeysOfSlots; depth: number },
  base: number,
  start: number,
  end: number,
): void {
  for (let index = start; index < end; index++) {
    const slot = slots[index];
    high[index - base] = keys.wordAt(slot, depth);
    low[index - base] = keys.wordAt(slot, depth + 4);
    copies[index - base] = slot;
  }
}

/** Sorts each run of keys of `[start, end)` whose windows are equal; large ones become parts. */
function* sortEquals(
  { radix, small, parts }: { radix: RadixSorter; small: Sorter; parts: Part[] },
  start: number,
  end: number,
  depth: number,
): Steps<void> {
  const { high, low } = radix;
  let units = 0;
  for (let from = start; from < end;) {
    let to = from + 1;
    while (to < end && high[to - start] === high[from - start] && low[to - start] === low[from - start]) to++;
    if (to - from > 1) {
      // A window of keys that end inside it has zeros there.
      const rest = (low[from - start] & 0xff) === 0 ? small.takeEnded(from, to, depth) : from;
      if (to - rest > quickMax) parts.push({ start: rest, end: to, depth });
      else if (to - rest > 1) small.sort(rest, to, depth);
      units += Math.min(to - from, quickMax) * unitsPerQuick;
    }
    units += to - from;
    from = to;
    if (units < unitsPerStep) continue;
    units = 0;
    yield;
  }
}

class Sorter {
  readonly #slots: Uint32Array;
  readonly #keys: KeysOfSlots;
  /** For each slot the word at the depth of the part it is in. */
  readonly #words: Uint32Array;

  constructor(slots: Uint32Array, keys: KeysOfSlots) {
    this.#slots = slots;
    this.#keys = keys;
    this.#words = new Uint32Array(slots.length);
  }

  /** Sorts `[start, end)`, whose keys agree in their first `depth` bytes. */
  sort(start: number, end: number, depth: number): void {
    this.#loadWords(start, end, depth);
    this.#partition(start, end, depth);
  }

  /** As {@link sort}, with the words of `depth` loaded. */
  #partition(first: number, last: number, atDepth: number): void {
    let start = first;
    let end = last;
    let depth = atDepth;
    while (end - start > insertionMax) {
      const words = this.#words;
      const pivot = median(words, start, end);
      let less = start;
      let index = start;
      let greater = end;
      while (index < greater) {
        const word = words[index];
        if (word < pivot) this.#swap(index++, less++);
        else if (word > pivot) this.#swap(index, --greater);
        else index++;
      }
      // Keys that end inside the word have zeros there. (One that ends exactly behind it meets its equals, if any, with a
      // word of zeros at the next depth.)
      const deeper = depth + 4;
      const equal = (pivot & 0xff) === 0 ? this.takeEnded(less, greater, deeper) : less;
      // The largest part goes on in this loop and the others are at most half of it all: neither the length of keys nor
      // their order, which clients choose, can make the recursion deep.
      if (greater - less >= Math.max(less - start, end - greater)) {
        this.#partition(start, less, depth);
        this.#partition(greater, end, depth);
        this.#loadWords(equal, greater, deeper);
        start = equal;
        end = greater;
        depth = deeper;
      } else {
        this.sort(equal, greater, deeper);
        if (less - start > end - greater) {
          this.#partition(greater, end, depth);
          end = less;
        } else {
          this.#partition(start, less, depth);
          start = greater;
        }
      }
    }
    this.#insertionSort(start, end, depth);
  }

  /** Moves keys that end at or before `depth` to the front, shortest first (they differ only in length); returns where the others start. */
  takeEnded(start: number, end: number, depth: number): number {
    let ended = start;
    for (let index = start; index < end; index++) {
      const length = this.#keys.length(this.#slots[index]);
      if (length > depth) continue;
      this.#swap(index, ended);
      let place = ended++;
      while (place > start && this.#keys.length(this.#slots[place - 1]) > length) this.#swap(place, --place);
    }
    return ended;
  }

  #insertionSort(start: number, end: number, depth: number): void {
    const slots = this.#slots;
    for (let index = start + 1; index < end; index++) {
      const slot = slots[index];
      const key = this.#keys.view(slot);
      let place = index;
      while (place > start) {
        const before = slots[place - 1];
        const common = this.#keys.commonPrefix(before, key, depth);
        if (this.#keys.orderAfter(before, key, common) < 0) break;
        slots[place] = before;
        place--;
      }
      slots[place] = slot;
    }
  }

  #loadWords(start: number, end: number, depth: number): void {
    for (let index = start; index < end; index++) {
      this.#words[index] = this.#keys.wordAt(this.#slots[index], depth);
    }
  }

  #swap(a: number, b: number): void {
    const slot = this.#slots[a];
    this.#slots[a] = this.#slots[b];
    this.#slots[b] = slot;
    const word = this.#words[a];
    this.#words[a] = this.#words[b];
    this.#words[b] = word;
  }
}

/** Median of nine. */
function median(words: Uint32Array, start: number, end: number): number {
  const step = (end - start) >>> 3;
  const last = end - 1;
  return median3(
    median3(words[start], words[start + step], words[start + 2 * step]),
    median3(words[start + 3 * step], words[start + 4 * step], words[start + 5 * step]),
    median3(words[start + 6 * step], words[start + 7 * step], words[last]),
  );
}

function median3(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}

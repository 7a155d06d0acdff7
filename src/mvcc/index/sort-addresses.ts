/**
 * Sorts key addresses by key bytes, for the bulk load at start and of a received snapshot.
 *
 * Large parts go by eight bytes behind the prefix that all of their keys share (radix-sort.ts); what is still equal there
 * is a part of its own. Small ones go by multikey quicksort over 4-byte words (Bentley and Sedgewick, "Fast algorithms for
 * sorting and searching strings"), so that shared prefixes are read once per key and not once per comparison.
 */
import type { Steps } from "../../base/steps.ts";
import type { KeySlabs } from "./key-slabs.ts";
import { RadixSorter, unitsPerStep } from "./radix-sort.ts";

/** Below this many keys insertion sort wins. */
const insertionMax = 12;
/** Up to this many keys quicksort wins; a millisecond. */
const quickMax = 2048;
/** Units of work (see {@link unitsPerStep}) of reading a word of a key, and of sorting one key by quicksort. */
const unitsPerRead = 10;
const unitsPerQuick = 50;
const readsPerStep = unitsPerStep / unitsPerRead;

/** Keys at `[start, end)` of the addresses, which agree in their first `depth` bytes. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly depth: number;
}

/** Sorts in place. The keys must be distinct. */
export function* sortAddresses(addresses: Uint32Array, slabs: KeySlabs): Steps<void> {
  const small = new Sorter(addresses, slabs);
  if (addresses.length <= quickMax) return small.sort(0, addresses.length, 0);
  const radix = new RadixSorter(addresses.length);
  const parts: Part[] = [{ start: 0, end: addresses.length, depth: 0 }];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const { start, end } = part;
    const depth = yield* sharedPrefix(addresses, slabs, part);
    for (let index = start; index < end; index += readsPerStep) {
      loadWindows(radix, { addresses, slabs, depth }, start, index, Math.min(end, index + readsPerStep));
      yield;
    }
    yield* radix.sort(end - start);
    addresses.set(radix.addresses.subarray(0, end - start), start);
    yield* sortEquals({ radix, small, parts }, start, end, depth + 8);
  }
}

/** Bytes that all keys of a part have in common: at least its depth, and else a multiple of four. */
function* sharedPrefix(addresses: Uint32Array, slabs: KeySlabs, { start, end, depth }: Part): Steps<number> {
  const first = addresses[start];
  let shared = slabs.length(first) & ~3;
  for (let index = start + 1; index < end && shared > depth; index++) {
    const address = addresses[index];
    const length = slabs.length(address);
    if (length < shared || !slabs.sharesWords(first, address, shared)) {
      shared = slabs.commonPrefix(address, slabs.view(first), depth) & ~3;
    }
    if ((index - start) % readsPerStep === 0) yield;
  }
  return Math.max(shared, depth);
}

function loadWindows(
  { high, low, addresses: copies }: RadixSorter,
  { addresses, slabs, depth }: { addresses: Uint32Array; slabs: KeySlabs; depth: number },
  base: number,
  start: number,
  end: number,
): void {
  for (let index = start; index < end; index++) {
    const address = addresses[index];
    high[index - base] = slabs.wordAt(address, depth);
    low[index - base] = slabs.wordAt(address, depth + 4);
    copies[index - base] = address;
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
  readonly #addresses: Uint32Array;
  readonly #slabs: KeySlabs;
  /** For each address the word at the depth of the part it is in. */
  readonly #words: Uint32Array;

  constructor(addresses: Uint32Array, slabs: KeySlabs) {
    this.#addresses = addresses;
    this.#slabs = slabs;
    this.#words = new Uint32Array(addresses.length);
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
      const length = this.#slabs.length(this.#addresses[index]);
      if (length > depth) continue;
      this.#swap(index, ended);
      let place = ended++;
      while (place > start && this.#slabs.length(this.#addresses[place - 1]) > length) this.#swap(place, --place);
    }
    return ended;
  }

  #insertionSort(start: number, end: number, depth: number): void {
    const addresses = this.#addresses;
    for (let index = start + 1; index < end; index++) {
      const address = addresses[index];
      const key = this.#slabs.view(address);
      let place = index;
      while (place > start) {
        const before = addresses[place - 1];
        const common = this.#slabs.commonPrefix(before, key, depth);
        if (this.#slabs.orderAfter(before, key, common) < 0) break;
        addresses[place] = before;
        place--;
      }
      addresses[place] = address;
    }
  }

  #loadWords(start: number, end: number, depth: number): void {
    for (let index = start; index < end; index++) {
      this.#words[index] = this.#slabs.wordAt(this.#addresses[index], depth);
    }
  }

  #swap(a: number, b: number): void {
    const address = this.#addresses[a];
    this.#addresses[a] = this.#addresses[b];
    this.#addresses[b] = address;
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

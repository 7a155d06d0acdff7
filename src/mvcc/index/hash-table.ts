/**
 * Hash table from key hashes to slots: extendible hashing, so that growing never stops the world.
 *
 * The upper bits of a hash choose an entry of the directory, which points to a segment; inside, open addressing with
 * linear probing over pairs (hash, slot + 1). A segment that is three quarters full splits into two (about 3,000 pairs
 * move); the directory doubles when the split segment was already as deep as it. Removal shifts back, no grave stones.
 */

const segmentPairs = 4096;
/** Deeper splits would only come from equal hashes: the segment grows instead. */
const depthMax = 20;

interface Segment {
  pairs: Uint32Array;
  mask: number;
  used: number;
  depth: number;
}

/** Says whether the key of a slot is the one looked for. */
export interface SlotKeys {
  slotHasKey(slot: number, key: Uint8Array): boolean;
}

export class HashTable {
  #directory: Segment[];
  #depth = 1;
  readonly #keys: SlotKeys;
  #allocated = 0;

  constructor(keys: SlotKeys) {
    this.#keys = keys;
    this.#directory = [this.#newSegment(segmentPairs, 1), this.#newSegment(segmentPairs, 1)];
  }

  get allocatedBytes(): number {
    return this.#allocated;
  }

  /** Slot of the key, or -1. */
  find(key: Uint8Array, hash: number): number {
    const { pairs, mask } = this.#directory[hash >>> (32 - this.#depth)];
    for (let position = hash & mask; ; position = (position + 1) & mask) {
      const entry = pairs[2 * position + 1];
      if (entry === 0) return -1;
      if (pairs[2 * position] === hash && this.#keys.slotHasKey(entry - 1, key)) return entry - 1;
    }
  }

  /** Adds a slot whose key is not in the table. */
  add(hash: number, slot: number): void {
    let segment = this.#directory[hash >>> (32 - this.#depth)];
    while (segment.used * 4 >= (segment.mask + 1) * 3) {
      if (segment.depth < depthMax) this.#split(segment, hash);
      else this.#grow(segment);
      segment = this.#directory[hash >>> (32 - this.#depth)];
    }
    insert(segment, hash, slot + 1);
  }

  /** Removes a slot that is in the table under `hash`. */
  remove(hash: number, slot: number): void {
    const segment = this.#directory[hash >>> (32 - this.#depth)];
    const { pairs, mask } = segment;
    let hole = hash & mask;
    while (pairs[2 * hole + 1] !== slot + 1) hole = (hole + 1) & mask;
    for (let next = (hole + 1) & mask; pairs[2 * next + 1] !== 0; next = (next + 1) & mask) {
      const home = pairs[2 * next] & mask;
      // The pair may move back unless its home lies cyclically between the hole and itself.
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        pairs[2 * hole] = pairs[2 * next];
        pairs[2 * hole + 1] = pairs[2 * next + 1];
        hole = next;
      }
    }
    pairs[2 * hole] = 0;
    pairs[2 * hole + 1] = 0;
    segment.used--;
  }

  #split(segment: Segment, hash: number): void {
    if (segment.depth === this.#depth) {
      const doubled: Segment[] = [];
      for (const entry of this.#directory) doubled.push(entry, entry);
      this.#directory = doubled;
      this.#depth++;
    }
    const depth = segment.depth + 1;
    const low = this.#newSegment(segmentPairs, depth);
    const high = this.#newSegment(segmentPairs, depth);
    const bit = 32 - depth;
    const { pairs } = segment;
    for (let index = 0; index < pairs.length; index += 2) {
      if (pairs[index + 1] !== 0) insert((pairs[index] >>> bit) & 1 ? high : low, pairs[index], pairs[index + 1]);
    }
    this.#allocated -= pairs.byteLength;
    // All directory entries that share the segment's prefix: a run of 2^(depth of directory - depth of segment).
    const run = 1 << (this.#depth - segment.depth);
    const first = (hash >>> (32 - segment.depth)) * run;
    for (let index = 0; index < run; index++) this.#directory[first + index] = index < run / 2 ? low : high;
  }

  #grow(segment: Segment): void {
    const bigger = this.#newSegment((segment.mask + 1) * 2, segment.depth);
    const { pairs } = segment;
    for (let index = 0; index < pairs.length; index += 2) {
      if (pairs[index + 1] !== 0) insert(bigger, pairs[index], pairs[index + 1]);
    }
    this.#allocated -= pairs.byteLength;
    segment.pairs = bigger.pairs;
    segment.mask = bigger.mask;
  }

  #newSegment(pairCount: number, depth: number): Segment {
    this.#allocated += pairCount * 8;
    return { pairs: new Uint32Array(pairCount * 2), mask: pairCount - 1, used: 0, depth };
  }
}

function insert(segment: Segment, hash: number, entry: number): void {
  const { pairs, mask } = segment;
  let position = hash & mask;
  while (pairs[2 * position + 1] !== 0) position = (position + 1) & mask;
  pairs[2 * position] = hash;
  pairs[2 * position + 1] = entry;
  segment.used++;
}

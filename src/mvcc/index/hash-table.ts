/**
 * Hash table from key hashes to slots: extendible hashing, so that growing never stops the world.
 *
 * The upper bits of a hash choose an entry of the directory, which points to a segment; inside, open addressing with
 * linear probing. An entry is a tag of one byte (0: empty), another mix of the hash's bits, and a slot:
 *
 *     tags   | 3f | 00 | a1 | 9c | ...     probing reads these: 64 of them share a cache line
 *     slots  |  7 |    | 12 |  3 | ...     read where the tag is right; the key decides
 *
 * The hash itself is not kept, which halves the table; it is computed again where entries move. (During the bulk load
 * of a start hashes are kept: computing them again, key by key from cold memory, took 135 ms of a million keys.) A segment that is three
 * quarters full grows by half, and then splits into two of the first size: keys spread evenly over segments, which all fill
 * up together, and with splitting alone the whole table would be half empty after it. Removal shifts back, no grave stones.
 */

const segmentSize = 4096;
/** A segment of this size splits. */
const grownSize = 6144;
/** Deeper splits would only come from equal hashes: the segment grows instead. */
const depthMax = 20;

interface Segment {
  tags: Uint8Array;
  slots: Uint32Array;
  /** While the table is being loaded. */
  hashes: Uint32Array | undefined;
  size: number;
  used: number;
  depth: number;
}

export interface SlotKeys {
  /** Whether the key of a slot is the one looked for. */
  slotHasKey(slot: number, key: Uint8Array): boolean;
  /** Hash of the key of a slot. */
  slotHash(slot: number): number;
}

export class HashTable {
  #directory: Segment[];
  #depth = 1;
  readonly #keys: SlotKeys;
  #allocated = 0;
  #isLoading = false;

  constructor(keys: SlotKeys) {
    this.#keys = keys;
    this.#directory = [this.#newSegment(segmentSize, 1), this.#newSegment(segmentSize, 1)];
  }

  /** From here to {@link endLoad} growing is cheap, at the price of memory. The table is empty. */
  beginLoad(): void {
    this.#isLoading = true;
    this.#allocated = 0;
    this.#depth = 1;
    this.#directory = [this.#newSegment(segmentSize, 1), this.#newSegment(segmentSize, 1)];
  }

  endLoad(): void {
    this.#isLoading = false;
    for (const segment of this.#directory) segment.hashes = undefined;
  }

  get allocatedBytes(): number {
    return this.#allocated;
  }

  /** Slot of the key, or -1. */
  find(key: Uint8Array, hash: number): number {
    const { tags, slots, size } = this.#directory[hash >>> (32 - this.#depth)];
    const wanted = tagOf(hash);
    let position = homeOf(hash, size);
    for (;;) {
      const tag = tags[position];
      if (tag === 0) return -1;
      if (tag === wanted && this.#keys.slotHasKey(slots[position], key)) return slots[position];
      if (++position === size) position = 0;
    }
  }

  /** Adds a slot whose key is not in the table. */
  add(hash: number, slot: number): void {
    let segment = this.#directory[hash >>> (32 - this.#depth)];
    while (segment.used * 4 >= segment.size * 3) {
      if (segment.size < grownSize) this.#resize(segment, grownSize);
      else if (segment.depth < depthMax) this.#split(segment, hash);
      else this.#resize(segment, segment.size * 2);
      segment = this.#directory[hash >>> (32 - this.#depth)];
    }
    insert(segment, hash, slot);
  }

  /** Removes a slot that is in the table under `hash`. */
  remove(hash: number, slot: number): void {
    const segment = this.#directory[hash >>> (32 - this.#depth)];
    const { tags, slots, size } = segment;
    let hole = homeOf(hash, size);
    while (tags[hole] === 0 || slots[hole] !== slot) hole = hole + 1 === size ? 0 : hole + 1;
    for (let next = hole + 1 === size ? 0 : hole + 1; tags[next] !== 0; next = next + 1 === size ? 0 : next + 1) {
      const home = homeOf(this.#keys.slotHash(slots[next]), size);
      // The entry may move back unless its home lies cyclically between the hole and itself.
      if (distance(home, next, size) >= distance(hole, next, size)) {
        tags[hole] = tags[next];
        slots[hole] = slots[next];
        hole = next;
      }
    }
    tags[hole] = 0;
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
    const low = this.#newSegment(segmentSize, depth);
    const high = this.#newSegment(segmentSize, depth);
    const bit = 32 - depth;
    const { tags, slots, hashes, size } = segment;
    for (let position = 0; position < size; position++) {
      if (tags[position] === 0) continue;
      const slot = slots[position];
      const moved = hashes === undefined ? this.#keys.slotHash(slot) : hashes[position];
      const half = (moved >>> bit) & 1 ? high : low;
      // Chance may put nearly all into one half.
      if (half.used * 4 >= half.size * 3) this.#resize(half, grownSize);
      insert(half, moved, slot);
    }
    this.#allocated -= segment.size * 5;
    // All directory entries that share the segment's prefix: a run of 2^(depth of directory - depth of segment).
    const run = 1 << (this.#depth - segment.depth);
    const first = (hash >>> (32 - segment.depth)) * run;
    for (let index = 0; index < run; index++) this.#directory[first + index] = index < run / 2 ? low : high;
  }

  #resize(segment: Segment, size: number): void {
    const { tags, slots, hashes } = segment;
    const resized = this.#newSegment(size, segment.depth);
    for (let position = 0; position < tags.length; position++) {
      if (tags[position] === 0) continue;
      const hash = hashes === undefined ? this.#keys.slotHash(slots[position]) : hashes[position];
      insert(resized, hash, slots[position]);
    }
    this.#allocated -= segment.size * 5;
    segment.tags = resized.tags;
    segment.slots = resized.slots;
    segment.hashes = resized.hashes;
    segment.size = size;
  }

  #newSegment(size: number, depth: number): Segment {
    this.#allocated += size * 5;
    const hashes = this.#isLoading ? new Uint32Array(size) : undefined;
    return { tags: new Uint8Array(size), slots: new Uint32Array(size), hashes, size, used: 0, depth };
  }
}

/** Where probing for a hash begins: its lower half, scaled. */
function homeOf(hash: number, size: number): number {
  return ((hash & 0xffff) * size) >>> 16;
}

/** Depends on every bit of the hash: those that chose the segment and the home are equal in all entries it is compared with. */
function tagOf(hash: number): number {
  return Math.imul(hash, 0x9e37_79b1) >>> 24 || 1;
}

/** Steps from one position to another, cyclically. */
function distance(from: number, to: number, size: number): number {
  return to >= from ? to - from : to - from + size;
}

function insert(segment: Segment, hash: number, slot: number): void {
  const { tags, slots, hashes, size } = segment;
  let position = homeOf(hash, size);
  while (tags[position] !== 0) if (++position === size) position = 0;
  tags[position] = tagOf(hash);
  slots[position] = slot;
  if (hashes !== undefined) hashes[position] = hash;
  segment.used++;
}

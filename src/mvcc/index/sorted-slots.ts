/**
 * The slots in key order: a list of chunks of up to 512 slots. A full chunk splits in two, an empty one goes.
 *
 * Each chunk also counts its living keys and remembers the newest main revision of any of them, so that counting a
 * range at a revision no older than that takes a step per chunk instead of a step per key.
 *
 * Searching compares in place and skips the prefix that is known to be shared with both neighbours of the gap.
 */
import type { Columns } from "./columns.ts";
import type { KeySlabs } from "./key-slabs.ts";

export const chunkSlots = 512;
/** A chunk built by bulk load leaves room for later inserts. */
export const bulkSlots = 384;

export interface Chunk {
  readonly id: number;
  readonly slots: Uint32Array;
  length: number;
  /** Address of the first key: the search for a chunk reads it for every chunk it looks at. */
  firstAddress: number;
  /** Keys whose newest revision is not a tombstone. */
  live: number;
  /** At least the newest main of every slot here. */
  maxMain: number;
}

/** A place in the order: the slot at `chunks[chunk].slots[position]`; the end is `chunks.length`, 0. */
export interface OrderPosition {
  chunk: number;
  position: number;
}

export class SortedSlots {
  readonly chunks: Chunk[] = [];
  readonly #byId: (Chunk | undefined)[] = [];
  readonly #freeIds: number[] = [];
  readonly #columns: Columns;
  readonly #slabs: KeySlabs;

  constructor(columns: Columns, slabs: KeySlabs) {
    this.#columns = columns;
    this.#slabs = slabs;
  }

  get allocatedBytes(): number {
    return this.chunks.length * (chunkSlots * 4 + 200);
  }

  chunkOf(slot: number): Chunk {
    return this.#byId[this.#columns.page(slot).chunk[this.#columns.at(slot)]]!;
  }

  /** Puts the place of the first key >= `key` into `result`. */
  lowerBound(key: Uint8Array, result: OrderPosition): void {
    const chunk = this.#chunkFor(key);
    const position = chunk < this.chunks.length ? this.#lowerBoundIn(this.chunks[chunk], key) : 0;
    const isBeyond = chunk < this.chunks.length && position === this.chunks[chunk].length;
    result.chunk = isBeyond ? chunk + 1 : chunk;
    result.position = isBeyond ? 0 : position;
  }

  /** Adds a slot whose key is not there yet. */
  insert(slot: number, key: Uint8Array): Chunk {
    if (this.chunks.length === 0) this.chunks.push(this.#newChunk());
    const chunkIndex = this.#chunkFor(key);
    let chunk = this.chunks[chunkIndex];
    let position = this.#lowerBoundIn(chunk, key);
    if (chunk.length === chunkSlots) {
      // Keys that come in ascending order fill their chunks instead of leaving them half empty.
      const isAppend = position === chunkSlots && chunkIndex === this.chunks.length - 1;
      const upper = this.#split(chunkIndex, isAppend ? chunkSlots : chunkSlots / 2);
      if (position > chunk.length || isAppend) {
        position -= chunk.length;
        chunk = upper;
      }
    }
    chunk.slots.copyWithin(position + 1, position, chunk.length);
    chunk.slots[position] = slot;
    chunk.length++;
    if (position === 0) chunk.firstAddress = this.#columns.address(slot);
    this.#columns.page(slot).chunk[this.#columns.at(slot)] = chunk.id;
    return chunk;
  }

  /** Removes a key that is there and does not live. */
  remove(key: Uint8Array): void {
    const chunkIndex = this.#chunkFor(key);
    const chunk = this.chunks[chunkIndex];
    const position = this.#lowerBoundIn(chunk, key);
    chunk.slots.copyWithin(position, position + 1, chunk.length);
    chunk.length--;
    if (chunk.length === 0) {
      this.chunks.splice(chunkIndex, 1);
      this.#byId[chunk.id] = undefined;
      this.#freeIds.push(chunk.id);
    } else if (position === 0) {
      chunk.firstAddress = this.#columns.address(chunk.slots[0]);
    }
  }

  /** The key of a slot in the order has moved. */
  moved(slot: number, address: number): void {
    const chunk = this.chunkOf(slot);
    if (chunk.slots[0] === slot) chunk.firstAddress = address;
  }

  /** Adds a chunk behind all others, of at most {@link bulkSlots} slots sorted by key; `live` and `maxMain` are the caller's to set. */
  append(sorted: Uint32Array): Chunk {
    const chunk = this.#newChunk();
    chunk.slots.set(sorted);
    chunk.length = sorted.length;
    chunk.firstAddress = this.#columns.address(sorted[0]);
    for (const slot of sorted) this.#columns.page(slot).chunk[this.#columns.at(slot)] = chunk.id;
    this.chunks.push(chunk);
    return chunk;
  }

  #newChunk(): Chunk {
    const id = this.#freeIds.pop() ?? this.#byId.length;
    const chunk: Chunk = { id, slots: new Uint32Array(chunkSlots), length: 0, firstAddress: 0, live: 0, maxMain: 0 };
    this.#byId[id] = chunk;
    return chunk;
  }

  #split(chunkIndex: number, at: number): Chunk {
    const lower = this.chunks[chunkIndex];
    const upper = this.#newChunk();
    upper.slots.set(lower.slots.subarray(at, lower.length));
    upper.length = lower.length - at;
    lower.length = at;
    if (upper.length > 0) upper.firstAddress = this.#columns.address(upper.slots[0]);
    upper.maxMain = lower.maxMain;
    for (let index = 0; index < upper.length; index++) {
      const slot = upper.slots[index];
      this.#columns.page(slot).chunk[this.#columns.at(slot)] = upper.id;
      if (this.#columns.isLive(slot)) upper.live++;
    }
    lower.live -= upper.live;
    this.chunks.splice(chunkIndex + 1, 0, upper);
    return upper;
  }

  /** The chunk that holds `key` or would: the last one whose first key is not above it, else the first. */
  #chunkFor(key: Uint8Array): number {
    let low = -1;
    let high = this.chunks.length;
    let lowCommon = 0;
    let highCommon = 0;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const address = this.chunks[middle].firstAddress;
      const common = this.#slabs.commonPrefix(address, key, Math.min(lowCommon, highCommon));
      if (this.#slabs.orderAfter(address, key, common) <= 0) {
        low = middle;
        lowCommon = common;
      } else {
        high = middle;
        highCommon = common;
      }
    }
    return low < 0 ? 0 : low;
  }

  #lowerBoundIn(chunk: Chunk, key: Uint8Array): number {
    let low = -1;
    let high = chunk.length;
    let lowCommon = 0;
    let highCommon = 0;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const address = this.#columns.address(chunk.slots[middle]);
      const common = this.#slabs.commonPrefix(address, key, Math.min(lowCommon, highCommon));
      if (this.#slabs.orderAfter(address, key, common) < 0) {
        low = middle;
        lowCommon = common;
      } else {
        high = middle;
        highCommon = common;
      }
    }
    return high;
  }
}

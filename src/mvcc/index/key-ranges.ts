/**
 * Ranges over the key index: what keys of an interval exist at a revision, and how many.
 *
 * Counting takes a step per chunk of the order where it can (see sorted-slots.ts): a list with a limit also tells how
 * many keys there are beyond it, and clients page through hundreds of thousands of keys with it.
 */
import type { KeyIndex } from "./key-index.ts";
import type { RevisionList } from "./revision-list.ts";
import type { OrderPosition, SortedSlots } from "./sorted-slots.ts";

/** Where a walk over the order goes on; see {@link KeyRanges.collectSome}. */
export interface RangeWalk {
  /** First key not looked at yet; undefined at the end. */
  nextKey: Uint8Array | undefined;
}

export class KeyRanges {
  readonly #index: KeyIndex;
  readonly #order: SortedSlots;
  /** The interval being worked on. */
  readonly #from: OrderPosition = { chunk: 0, position: 0 };
  readonly #to: OrderPosition = { chunk: 0, position: 0 };

  constructor(index: KeyIndex) {
    this.#index = index;
    this.#order = index.order;
  }

  /**
   * Appends the revisions of the keys in the range at `main` to `list`, in key order, at most `limit` (0: all).
   *
   * @param rangeEnd - empty: only `key`; one zero byte: to the end.
   * @returns how many keys there are, whatever the limit.
   */
  collect(key: Uint8Array, rangeEnd: Uint8Array, main: number, limit: number, list: RevisionList): number {
    if (rangeEnd.length === 0) {
      const slot = this.#index.find(key);
      if (slot < 0 || !this.#index.findAt(slot, main)) return 0;
      list.push(this.#index.foundMain, this.#index.foundSub, slot);
      return 1;
    }
    if (!this.#locate(key, rangeEnd)) return 0;
    const { chunks } = this.#order;
    let { chunk, position } = this.#from;
    const to = this.#to;
    let collected = 0;
    while (chunk < to.chunk || (chunk === to.chunk && position < to.position)) {
      const { slots, length } = chunks[chunk];
      const end = chunk === to.chunk ? to.position : length;
      for (; position < end; position++) {
        if (!this.#index.findAt(slots[position], main)) continue;
        if (limit > 0 && collected === limit) return collected + this.#countFrom(chunk, position, main);
        list.push(this.#index.foundMain, this.#index.foundSub, slots[position]);
        collected++;
      }
      chunk++;
      position = 0;
    }
    return collected;
  }

  /** Number of keys of the range at `main`. */
  count(key: Uint8Array, rangeEnd: Uint8Array, main: number): number {
    if (rangeEnd.length === 0) {
      const slot = this.#index.find(key);
      return slot >= 0 && this.#index.findAt(slot, main) ? 1 : 0;
    }
    if (!this.#locate(key, rangeEnd)) return 0;
    return this.#countFrom(this.#from.chunk, this.#from.position, main);
  }

  /**
   * As {@link collect}, in slices: looks at `maxKeys` keys from `walk.nextKey` on and says there where to go on. Other
   * work may change the index in between, as long as nothing at or below `main` is compacted.
   */
  collectSome(walk: RangeWalk, rangeEnd: Uint8Array, main: number, maxKeys: number, list: RevisionList): void {
    if (walk.nextKey === undefined) return;
    if (!this.#locate(walk.nextKey, rangeEnd)) {
      walk.nextKey = undefined;
      return;
    }
    const { chunks } = this.#order;
    let { chunk, position } = this.#from;
    const to = this.#to;
    for (let looked = 0; chunk < to.chunk || (chunk === to.chunk && position < to.position); looked++) {
      const slot = chunks[chunk].slots[position];
      if (looked === maxKeys) {
        walk.nextKey = this.#index.key(slot);
        return;
      }
      if (this.#index.findAt(slot, main)) list.push(this.#index.foundMain, this.#index.foundSub, slot);
      if (++position === chunks[chunk].length) {
        chunk++;
        position = 0;
      }
    }
    walk.nextKey = undefined;
  }

  /** Whether any key exists at `main`. */
  hasAnyAt(main: number): boolean {
    for (const { slots, length, live, maxMain } of this.#order.chunks) {
      if (maxMain <= main) {
        if (live > 0) return true;
        continue;
      }
      for (let index = 0; index < length; index++) if (this.#index.findAt(slots[index], main)) return true;
    }
    return false;
  }

  /** Sets `#from` and `#to`; false when the range is empty. `rangeEnd` is not empty. */
  #locate(key: Uint8Array, rangeEnd: Uint8Array): boolean {
    this.#order.lowerBound(key, this.#from);
    if (rangeEnd.length === 1 && rangeEnd[0] === 0) {
      this.#to.chunk = this.#order.chunks.length;
      this.#to.position = 0;
    } else {
      this.#order.lowerBound(rangeEnd, this.#to);
    }
    const { chunk, position } = this.#from;
    return chunk < this.#to.chunk || (chunk === this.#to.chunk && position < this.#to.position);
  }

  /** Counts from a place to `#to`. */
  #countFrom(fromChunk: number, fromPosition: number, main: number): number {
    const { chunks } = this.#order;
    const to = this.#to;
    let count = 0;
    let position = fromPosition;
    for (let index = fromChunk; index <= to.chunk && index < chunks.length; index++) {
      const { slots, length, live, maxMain } = chunks[index];
      const end = index === to.chunk ? to.position : length;
      if (position === 0 && end === length && maxMain <= main) count += live;
      else for (; position < end; position++) if (this.#index.findAt(slots[position], main)) count++;
      position = 0;
    }
    return count;
  }
}

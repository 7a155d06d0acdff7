/**
 * Older revisions of keys (all but the newest of each), in typed arrays.
 *
 * A history is a block of 2^class entries inside a page of its class; its handle holds class and block number. Blocks are
 * filled to the front, oldest first. A full block moves to one of twice the size; a compacted one shifts to the front
 * and moves to a smaller class when that fits. An entry is main (float64) and sub with the tombstone bit (uint32).
 */
import { assert } from "../../base/assert.ts";

/** Set in `sub` of a tombstone. */
export const tombstoneBit = 0x8000_0000;

const pageEntries = 4096;
const classShift = 27;
const blockMask = (1 << classShift) - 1;

interface Page {
  readonly main: Float64Array;
  readonly sub: Uint32Array;
  readonly count: Uint32Array;
}

interface SizeClass {
  readonly pages: (Page | undefined)[];
  readonly free: number[];
  blockCount: number;
}

/** Handle of "no history". Class 0 block 0 is never given out, so that 0 is free for it. */
export const noHistory = 0;

export class RevisionPool {
  readonly #classes: SizeClass[] = [];
  #allocated = 0;

  constructor() {
    this.#class(0).blockCount = 1;
  }

  get allocatedBytes(): number {
    return this.#allocated;
  }

  /** Adds an entry newer than all others; returns the handle to use from now on. */
  append(handle: number, main: number, sub: number): number {
    if (handle === noHistory) {
      const first = this.#allocate(0);
      const page = this.#page(first);
      const block = this.#blockInPage(first);
      page.main[block] = main;
      page.sub[block] = sub;
      page.count[block] = 1;
      return first;
    }
    const sizeClass = handle >>> classShift;
    const page = this.#page(handle);
    const block = this.#blockInPage(handle);
    const count = page.count[block];
    if (count === 1 << sizeClass) {
      const bigger = this.#move(handle, 0, sizeClass + 1);
      return this.append(bigger, main, sub);
    }
    const at = (block << sizeClass) + count;
    page.main[at] = main;
    page.sub[at] = sub;
    page.count[block] = count + 1;
    return handle;
  }

  count(handle: number): number {
    return handle === noHistory ? 0 : this.#page(handle).count[this.#blockInPage(handle)];
  }

  main(handle: number, index: number): number {
    return this.#page(handle).main[(this.#blockInPage(handle) << (handle >>> classShift)) + index];
  }

  /** With the tombstone bit. */
  sub(handle: number, index: number): number {
    return this.#page(handle).sub[(this.#blockInPage(handle) << (handle >>> classShift)) + index];
  }

  /** Index of the newest entry with main <= `main`, or -1. */
  lastUpTo(handle: number, main: number): number {
    if (handle === noHistory) return -1;
    const page = this.#page(handle);
    const block = this.#blockInPage(handle);
    const base = block << (handle >>> classShift);
    let low = 0;
    let high = page.count[block];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (page.main[base + middle] <= main) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Forgets the oldest `dropCount` entries; returns the handle to use from now on. */
  dropOldest(handle: number, dropCount: number): number {
    if (dropCount === 0) return handle;
    const left = this.count(handle) - dropCount;
    assert(left >= 0, "more revisions dropped than kept");
    if (left === 0) {
      this.free(handle);
      return noHistory;
    }
    const sizeClass = handle >>> classShift;
    const fitting = left === 1 ? 0 : 32 - Math.clz32(left - 1);
    if (fitting < sizeClass) return this.#move(handle, dropCount, fitting);
    const page = this.#page(handle);
    const block = this.#blockInPage(handle);
    const base = block << sizeClass;
    page.main.copyWithin(base, base + dropCount, base + dropCount + left);
    page.sub.copyWithin(base, base + dropCount, base + dropCount + left);
    page.count[block] = left;
    return handle;
  }

  free(handle: number): void {
    if (handle === noHistory) return;
    const sizeClass = handle >>> classShift;
    const { pages, free } = this.#class(sizeClass);
    const block = handle & blockMask;
    free.push(block);
    if (1 << sizeClass >= pageEntries) {
      // A page of its own: give the memory back.
      pages[block] = undefined;
      this.#allocated -= pageSize(sizeClass);
    }
  }

  #move(handle: number, from: number, toClass: number): number {
    const target = this.#allocate(toClass);
    const source = this.#page(handle);
    const sourceBlock = this.#blockInPage(handle);
    const sourceBase = sourceBlock << (handle >>> classShift);
    const count = source.count[sourceBlock];
    const page = this.#page(target);
    const block = this.#blockInPage(target);
    const base = block << toClass;
    page.main.set(source.main.subarray(sourceBase + from, sourceBase + count), base);
    page.sub.set(source.sub.subarray(sourceBase + from, sourceBase + count), base);
    page.count[block] = count - from;
    this.free(handle);
    return target;
  }

  #allocate(sizeClass: number): number {
    const owner = this.#class(sizeClass);
    const block = owner.free.pop() ?? owner.blockCount++;
    assert(block <= blockMask, "revision pool is full");
    const blocksPerPage = Math.max(1, pageEntries >>> sizeClass);
    const pageNumber = Math.floor(block / blocksPerPage);
    if (owner.pages[pageNumber] === undefined) {
      const entries = blocksPerPage << sizeClass;
      owner.pages[pageNumber] = {
        main: new Float64Array(entries),
        sub: new Uint32Array(entries),
        count: new Uint32Array(blocksPerPage),
      };
      this.#allocated += pageSize(sizeClass);
    }
    return ((sizeClass << classShift) | block) >>> 0;
  }

  #class(sizeClass: number): SizeClass {
    while (this.#classes.length <= sizeClass) this.#classes.push({ pages: [], free: [], blockCount: 0 });
    return this.#classes[sizeClass];
  }

  #page(handle: number): Page {
    const sizeClass = handle >>> classShift;
    const shift = sizeClass >= 12 ? 0 : 12 - sizeClass;
    return this.#classes[sizeClass].pages[(handle & blockMask) >>> shift]!;
  }

  #blockInPage(handle: number): number {
    const sizeClass = handle >>> classShift;
    return sizeClass >= 12 ? 0 : handle & ((pageEntries >>> sizeClass) - 1);
  }
}

function pageSize(sizeClass: number): number {
  const blocksPerPage = Math.max(1, pageEntries >>> sizeClass);
  return (blocksPerPage << sizeClass) * 12 + blocksPerPage * 4;
}

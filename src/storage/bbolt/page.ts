/**
 * Branch and leaf pages as they lie in the file, searched in place: nothing is decoded before it is asked for.
 *
 *     branch element, 16 bytes             leaf element, 16 bytes
 *     0  u32 pos of the key, from here     0  u32 flags, 1 = the value is a bucket
 *     4  u32 key size                      4  u32 pos of the key, from here; the value follows the key
 *     8  u64 child page                    8  u32 key size
 *                                          12 u32 value size
 *
 * Every page that comes from the disk is checked once ({@link pageFault}): all positions inside the run, keys strictly
 * ascending. After that the accessors need no checks of their own.
 */
import { assert } from "../../base/assert.ts";
import { bucketElement, elementSize, PageFlag, pageHeaderSize } from "./format.ts";

/** What a cursor needs of a page, or of the node that replaces it inside a write transaction. */
export interface Elements {
  readonly isLeaf: boolean;
  readonly count: number;
  /** The key of an element: a view. */
  keyAt(index: number): Uint8Array;
  /** The value of a leaf element: a view. */
  valueAt(index: number): Uint8Array;
  isBucketAt(index: number): boolean;
  /** The child of a branch element. */
  childAt(index: number): number;
  /** Index of the first element whose key is >= `key`; `count` when there is none. */
  lowerBound(key: Uint8Array): number;
  /** True when the element exists and has exactly this key. */
  hasKeyAt(index: number, key: Uint8Array): boolean;
}

const firstElementWord = pageHeaderSize / 4;

/** An immutable branch or leaf page run. */
export class Page implements Elements {
  readonly id: number;
  /** The whole run. Nobody writes to it after construction. */
  readonly bytes: Uint8Array;
  /** The same memory in words of four bytes. */
  readonly words: Uint32Array;
  readonly isLeaf: boolean;
  readonly count: number;
  /** Second-chance mark of the page cache. */
  referenced = false;
  /** Where the page cache keeps the page; of no meaning outside it. */
  cacheSlot = -1;
  /** What a reader that knows the keys as numbers keeps of them; of no meaning here. */
  keyNumbers: Float64Array | undefined = undefined;

  /** @param bytes - a run that {@link pageFault} found sound (or that we have just written); 4-byte aligned. */
  constructor(id: number, bytes: Uint8Array) {
    assert(bytes.byteOffset % 4 === 0, "page memory is not aligned");
    this.id = id;
    this.bytes = bytes;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    this.isLeaf = (this.words[2] & PageFlag.leaf) !== 0;
    this.count = this.words[2] >>> 16;
  }

  /** Byte offset of a key in `bytes`. */
  keyOffset(index: number): number {
    const word = firstElementWord + index * 4;
    return word * 4 + this.words[this.isLeaf ? word + 1 : word];
  }

  keySize(index: number): number {
    const word = firstElementWord + index * 4;
    return this.words[this.isLeaf ? word + 2 : word + 1];
  }

  valueSize(index: number): number {
    return this.words[firstElementWord + index * 4 + 3];
  }

  keyAt(index: number): Uint8Array {
    const offset = this.keyOffset(index);
    return this.bytes.subarray(offset, offset + this.keySize(index));
  }

  valueAt(index: number): Uint8Array {
    const start = this.keyOffset(index) + this.keySize(index);
    // Half the cost of `subarray`, and lists make one for every pair.
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, this.valueSize(index));
  }

  isBucketAt(index: number): boolean {
    return (this.words[firstElementWord + index * 4] & bucketElement) !== 0;
  }

  childAt(index: number): number {
    const word = firstElementWord + index * 4;
    return this.words[word + 2] + this.words[word + 3] * 0x1_0000_0000;
  }

  lowerBound(key: Uint8Array): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compareKey(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  hasKeyAt(index: number, key: Uint8Array): boolean {
    return index < this.count && this.#compareKey(index, key) === 0;
  }

  /** Keys are short (revisions: 17 bytes); a loop is faster than a call into native code. */
  #compareKey(index: number, key: Uint8Array): number {
    const bytes = this.bytes;
    const offset = this.keyOffset(index);
    const size = this.keySize(index);
    const shared = size < key.length ? size : key.length;
    for (let at = 0; at < shared; at++) {
      const difference = bytes[offset + at] - key[at];
      if (difference !== 0) return difference;
    }
    return size - key.length;
  }
}

/** Index of the child of a branch that may hold `key`. */
export function childIndexFor(branch: Elements, key: Uint8Array): number {
  const index = branch.lowerBound(key);
  return index === 0 || branch.hasKeyAt(index, key) ? index : index - 1;
}

/**
 * What is wrong with the branch or leaf run of `length` bytes at `start`, or undefined when it can be used safely.
 * `words` must cover the run; `start` is a multiple of 4.
 */
export function pageFault(bytes: Uint8Array, words: Uint32Array, start: number, length: number): string | undefined {
  const headerWord = start >>> 2;
  const flags = words[headerWord + 2] & 0xffff;
  const count = words[headerWord + 2] >>> 16;
  if (flags !== PageFlag.branch && flags !== PageFlag.leaf) return `page type 0x${flags.toString(16)}`;
  const isLeaf = flags === PageFlag.leaf;
  const dataStart = pageHeaderSize + count * elementSize;
  if (dataStart > length) return `${count} elements do not fit`;
  if (count === 0 && !isLeaf) return "a branch without children";
  let previousOffset = 0;
  let previousSize = 0;
  for (let index = 0; index < count; index++) {
    const word = headerWord + firstElementWord + index * 4;
    const position = pageHeaderSize + index * elementSize + words[isLeaf ? word + 1 : word];
    const keySize = words[isLeaf ? word + 2 : word + 1];
    const valueSize = isLeaf ? words[word + 3] : 0;
    if (keySize === 0) return `element ${index} has an empty key`;
    if (position < dataStart || position + keySize + valueSize > length)
      return `element ${index} lies outside the page`;
    const offset = start + position;
    if (index > 0 && !isAscending(bytes, previousOffset, previousSize, offset, keySize)) {
      return `key ${index} is not greater than the one before`;
    }
    previousOffset = offset;
    previousSize = keySize;
  }
  return undefined;
}

function isAscending(bytes: Uint8Array, a: number, aSize: number, b: number, bSize: number): boolean {
  const shared = aSize < bSize ? aSize : bSize;
  for (let at = 0; at < shared; at++) {
    const difference = bytes[a + at] - bytes[b + at];
    if (difference !== 0) return difference < 0;
  }
  return aSize < bSize;
}

/**
 * The fast path of a growing bucket: rows with ever greater keys go straight from their source into full leaf pages,
 * with no node and no key object per row. The pages come out as bbolt's own split would cut them.
 *
 * Only the rows at the border stay in a node: the old rightmost leaf, until it is full, and the rest that does not fill a page.
 */
import { assert } from "../../base/assert.ts";
import { elementSize, PageFlag, pageHeaderSize, writePageHeader } from "./format.ts";
import type { Bucket } from "./bucket.ts";
import type { Node } from "./node.ts";
import type { Tx } from "./tx.ts";

/** Rows by index, in ascending order of their keys. */
export interface AppendSource {
  keySize(index: number): number;
  writeKey(index: number, target: Uint8Array, offset: number): void;
  value(index: number): Uint8Array;
}

/** A page is cut off only while more than so many rows are left, and two of them stay for the next. */
const rowsBeforeSplit = 4;
const rowsPerPageMin = 2;

export class LeafAppender {
  readonly #tx: Tx;
  readonly #bucket: Bucket;
  readonly #source: AppendSource;
  #tail: Node | undefined;
  #tailSize = 0;

  constructor(tx: Tx, bucket: Bucket, source: AppendSource) {
    this.#tx = tx;
    this.#bucket = bucket;
    this.#source = source;
  }

  /** Appends the rows `[from, to)` of the source. */
  append(from: number, to: number): void {
    let at = from;
    while (at < to) at = this.#fillTail(at, to);
  }

  /** Moves rows into the tail leaf; writes it out once it is full, and whole pages after it. @returns the next row. */
  #fillTail(from: number, to: number): number {
    let tail = this.#tail;
    if (tail === undefined) {
      tail = this.#bucket.tailNode();
      this.#tail = tail;
      this.#tailSize = tail.sizeOf();
      if (tail.count > 0) {
        const first = this.#keyOf(from);
        assert(Buffer.compare(tail.keys[tail.count - 1], first) < 0, "append: the key is not greater than the last");
      }
    }
    const before = tail.count;
    let at = from;
    while (at < to && !this.#isFull(tail.count, this.#tailSize)) {
      this.#pushRow(tail, at);
      at++;
    }
    if (!this.#isFull(tail.count, this.#tailSize)) return at;
    const split = tail.splitPoint(0, this.#bucket.splitThreshold);
    const parent = this.#bucket.ensureParent(tail);
    this.#settle(tail, split);
    if (split < before) {
      const next = this.#bucket.addTail(parent, tail.keys[split]);
      next.keys = tail.keys.slice(split);
      next.values = tail.values.slice(split);
      next.flags = tail.flags.slice(split);
      this.#tail = next;
      this.#tailSize = next.sizeOf();
      return at;
    }
    // Rows after the split came from the source: take them again, page by page.
    return this.#writePages(parent, at - (tail.count - split), to);
  }

  #isFull(count: number, size: number): boolean {
    return count > rowsBeforeSplit && size >= this.#tx.pageSize;
  }

  #writePages(parent: Node, from: number, to: number): number {
    let at = from;
    for (let end = this.#pageEnd(at, to); end !== 0; end = this.#pageEnd(at, to)) {
      const start = at;
      const id = this.#tx.writeRun(this.#sizeOf(start, end), (bytes, page, overflow) =>
        this.#writeLeaf(bytes, page, overflow, start, end),
      );
      const key = this.#tx.page(id).keyAt(0);
      parent.keys.push(key);
      parent.pages.push(id);
      at = end;
    }
    const tail = this.#bucket.addTail(parent, this.#keyOf(at));
    this.#tail = tail;
    this.#tailSize = pageHeaderSize;
    for (; at < to; at++) this.#pushRow(tail, at);
    return at;
  }

  /** End of the full page that starts at `from`, or 0 when the rows up to `to` do not force a split. */
  #pageEnd(from: number, to: number): number {
    if (to - from <= rowsBeforeSplit) return 0;
    const threshold = this.#bucket.splitThreshold;
    const pageSize = this.#tx.pageSize;
    let size = pageHeaderSize;
    let end = 0;
    for (let at = from; at < to; at++) {
      const row = this.#rowSize(at);
      const mayEnd = at - from >= rowsPerPageMin && size + row > threshold;
      if (end === 0 && (mayEnd || at === to - rowsPerPageMin)) end = at;
      size += row;
      if (end !== 0 && size >= pageSize) return end;
    }
    return 0;
  }

  #rowSize(index: number): number {
    return elementSize + this.#source.keySize(index) + this.#source.value(index).length;
  }

  #sizeOf(from: number, to: number): number {
    let size = pageHeaderSize;
    for (let at = from; at < to; at++) size += this.#rowSize(at);
    return size;
  }

  #keyOf(index: number): Uint8Array {
    const key = new Uint8Array(this.#source.keySize(index));
    this.#source.writeKey(index, key, 0);
    return key;
  }

  #pushRow(tail: Node, index: number): void {
    tail.keys.push(this.#keyOf(index));
    tail.values.push(this.#source.value(index));
    tail.flags.push(0);
    this.#tailSize += this.#rowSize(index);
  }

  #settle(tail: Node, split: number): void {
    const id = this.#tx.writeRun(tail.sizeOf(0, split), (bytes, page, overflow) =>
      tail.write(bytes, 0, page, overflow, 0, split),
    );
    this.#bucket.settle(tail, tail.keys[0], id);
  }

  #writeLeaf(bytes: Uint8Array, id: number, overflow: number, from: number, to: number): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    const count = to - from;
    writePageHeader(words, 0, id, PageFlag.leaf, count, overflow);
    let word = pageHeaderSize / 4;
    let data = pageHeaderSize + count * elementSize;
    for (let at = from; at < to; at++) {
      const keySize = this.#source.keySize(at);
      const value = this.#source.value(at);
      words[word + 1] = data - word * 4;
      words[word + 2] = keySize;
      words[word + 3] = value.length;
      this.#source.writeKey(at, bytes, data);
      bytes.set(value, data + keySize);
      data += keySize + value.length;
      word += 4;
    }
  }
}

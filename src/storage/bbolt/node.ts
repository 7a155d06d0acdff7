/**
 * A page of the running write transaction, taken apart so that it can change. Nodes exist only along the paths that were
 * touched; at commit each becomes one or more new pages (copy on write).
 *
 * Keys and values are views of pages or the caller's bytes; nobody writes to either.
 */
import { assert } from "../../base/assert.ts";
import { bucketElement, elementCountMax, elementSize, PageFlag, pageHeaderSize, writePageHeader } from "./format.ts";
import type { Elements, Page } from "./page.ts";

/** A split leaves at least this many elements on either side. */
const splitElementsMin = 2;

export class Node implements Elements {
  isLeaf: boolean;
  parent: Node | undefined;
  /** Nodes below this one that exist in this transaction, in no order. */
  children: Node[] = [];
  /**
   * The page that the node replaces; 0 for a new root, negative for a new node that the parent refers to by this number
   * until it has a page.
   */
  page: number;
  /** The key under which the parent knows this node; it differs from the first key once that was deleted or preceded. */
  key: Uint8Array | undefined;
  /** An element was deleted: it may have to merge. */
  unbalanced = false;
  keys: Uint8Array[] = [];
  /** Leaf only, parallel to `keys`. */
  values: Uint8Array[] = [];
  /** Leaf only, parallel to `keys`. */
  flags: number[] = [];
  /** Branch only, parallel to `keys`. */
  pages: number[] = [];

  constructor(isLeaf: boolean, page: number, parent: Node | undefined) {
    this.isLeaf = isLeaf;
    this.page = page;
    this.parent = parent;
  }

  static of(source: Page, parent: Node | undefined): Node {
    const node = new Node(source.isLeaf, source.id, parent);
    for (let index = 0; index < source.count; index++) {
      node.keys.push(source.keyAt(index));
      if (source.isLeaf) {
        node.values.push(source.valueAt(index));
        node.flags.push(source.isBucketAt(index) ? bucketElement : 0);
      } else node.pages.push(source.childAt(index));
    }
    node.key = node.keys[0];
    return node;
  }

  get count(): number {
    return this.keys.length;
  }

  keyAt(index: number): Uint8Array {
    return this.keys[index];
  }

  valueAt(index: number): Uint8Array {
    return this.values[index];
  }

  isBucketAt(index: number): boolean {
    return this.flags[index] === bucketElement;
  }

  childAt(index: number): number {
    return this.pages[index];
  }

  lowerBound(key: Uint8Array): number {
    const keys = this.keys;
    let low = 0;
    let high = keys.length;
    // Appending is the common case.
    if (high > 0 && Buffer.compare(keys[high - 1], key) < 0) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(keys[middle], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  hasKeyAt(index: number, key: Uint8Array): boolean {
    return index < this.keys.length && Buffer.compare(this.keys[index], key) === 0;
  }

  /** Sets an element of a leaf. */
  put(key: Uint8Array, value: Uint8Array, flags: number): void {
    const index = this.lowerBound(key);
    if (this.hasKeyAt(index, key)) {
      this.values[index] = value;
      this.flags[index] = flags;
    } else if (index === this.keys.length) {
      this.keys.push(key);
      this.values.push(value);
      this.flags.push(flags);
    } else {
      this.keys.splice(index, 0, key);
      this.values.splice(index, 0, value);
      this.flags.splice(index, 0, flags);
    }
  }

  /** Makes the element of a branch that was known as `oldKey` point to `page` under `key`; adds it when there is none. */
  putChild(oldKey: Uint8Array, key: Uint8Array, page: number): void {
    const index = this.lowerBound(oldKey);
    if (this.hasKeyAt(index, oldKey)) {
      this.keys[index] = key;
      this.pages[index] = page;
    } else {
      this.keys.splice(index, 0, key);
      this.pages.splice(index, 0, page);
    }
  }

  /** Deletes an element if it is there. */
  delete(key: Uint8Array): boolean {
    const index = this.lowerBound(key);
    if (!this.hasKeyAt(index, key)) return false;
    this.keys.splice(index, 1);
    if (this.isLeaf) {
      this.values.splice(index, 1);
      this.flags.splice(index, 1);
    } else this.pages.splice(index, 1);
    this.unbalanced = true;
    return true;
  }

  /** Takes over all elements of the next sibling. */
  absorb(right: Node): void {
    this.keys = this.keys.concat(right.keys);
    this.values = this.values.concat(right.values);
    this.flags = this.flags.concat(right.flags);
    this.pages = this.pages.concat(right.pages);
  }

  removeChild(child: Node): void {
    const index = this.children.indexOf(child);
    if (index >= 0) this.children.splice(index, 1);
  }

  /** Bytes that the elements `[from, to)` need as a page. */
  sizeOf(from = 0, to: number = this.keys.length): number {
    let size = pageHeaderSize;
    for (let index = from; index < to; index++) size += this.elementSize(index);
    return size;
  }

  elementSize(index: number): number {
    return elementSize + this.keys[index].length + (this.isLeaf ? this.values[index].length : 0);
  }

  /** Ends (exclusive) of the pages that elements from `from` on are split into, as bbolt splits. */
  splitPoints(pageSize: number, threshold: number): number[] {
    const points: number[] = [];
    let from = 0;
    let rest = this.sizeOf();
    while (this.count - from > splitElementsMin * 2 && rest >= pageSize) {
      const at = this.splitPoint(from, threshold);
      rest -= this.sizeOf(from, at) - pageHeaderSize;
      points.push(at);
      from = at;
    }
    points.push(this.count);
    return points;
  }

  /** Where the first page of the elements from `from` on ends. */
  splitPoint(from: number, threshold: number): number {
    let size = pageHeaderSize;
    let index = from;
    for (; index < this.count - splitElementsMin; index++) {
      const element = this.elementSize(index);
      if (index - from >= splitElementsMin && size + element > threshold) break;
      size += element;
    }
    return index;
  }

  /** Writes the elements `[from, to)` as the page run `id` into `bytes` (zeroed; 4-byte aligned) at `start`. */
  write(bytes: Uint8Array, start: number, id: number, overflow: number, from = 0, to: number = this.count): void {
    const count = to - from;
    assert(count <= elementCountMax, "node: too many elements for one page");
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    writePageHeader(words, start >>> 2, id, this.isLeaf ? PageFlag.leaf : PageFlag.branch, count, overflow);
    let word = (start + pageHeaderSize) >>> 2;
    let data = start + pageHeaderSize + count * elementSize;
    for (let index = from; index < to; index++) {
      const key = this.keys[index];
      const position = data - word * 4;
      bytes.set(key, data);
      data += key.length;
      if (this.isLeaf) {
        const value = this.values[index];
        bytes.set(value, data);
        data += value.length;
        words[word] = this.flags[index];
        words[word + 1] = position;
        words[word + 2] = key.length;
        words[word + 3] = value.length;
      } else {
        const page = this.pages[index];
        words[word] = position;
        words[word + 1] = key.length;
        words[word + 2] = page >>> 0;
        words[word + 3] = Math.floor(page / 0x1_0000_0000);
      }
      word += 4;
    }
  }
}

/** The committed part of the database: the buckets of one bbolt snapshot. */
import { Page } from "../bbolt/page.ts";
import type { Bucket as TreeBucket } from "../bbolt/bucket.ts";
import type { Cursor } from "../bbolt/cursor.ts";
import type { Tx } from "../bbolt/tx.ts";
import { buckets, type Bucket } from "./bucket.ts";
import { isRowKey, readRowCounter, rowKeySize, tombstoneKeySize, writeRowKey } from "./row-key.ts";
import { RowFinder } from "./row-finder.ts";

export class TreeReader {
  readonly #tx: Tx;
  /** By position; null = looked for and missing (a file of another program, read by a tool). */
  readonly #buckets: (TreeBucket | null | undefined)[] = [];
  /** null = the tree has no pages to search. */
  #finder: RowFinder | null | undefined;
  readonly #key = new Uint8Array(tombstoneKeySize);
  readonly #plainKey = this.#key.subarray(0, rowKeySize);

  constructor(tx: Tx) {
    this.#tx = tx;
  }

  get tx(): Tx {
    return this.#tx;
  }

  bucket(bucket: Bucket): TreeBucket | undefined {
    let tree = this.#buckets[bucket.index];
    if (tree === undefined) {
      tree = this.#tx.bucket(bucket.bytes) ?? null;
      this.#buckets[bucket.index] = tree;
    }
    return tree ?? undefined;
  }

  getRow(main: number, sub: number, tombstone: boolean | undefined): Uint8Array | undefined {
    const tree = this.bucket(buckets.key);
    if (tree === undefined) return undefined;
    if (tombstone !== true) {
      if (this.#finder === undefined) this.#finder = RowFinder.of(this.#tx, tree) ?? null;
      const value = this.#finder?.get(main, sub);
      if (value !== undefined) return value;
    }
    writeRowKey(this.#key, 0, main, sub, true);
    if (tombstone !== true) {
      const value = tree.get(this.#plainKey);
      if (value !== undefined || tombstone === false) return value;
    }
    return tree.get(this.#key);
  }

  /** @param isTransient - values are looked at only until the next move. */
  rows(isTransient = false): TreeRows | undefined {
    const cursor = this.bucket(buckets.key)?.cursor();
    if (cursor === undefined) return undefined;
    cursor.isTransient = isTransient;
    return new TreeRows(this.#tx, cursor);
  }
}

/** A cursor over the rows of the tree that decodes keys and runs along pages without a call per row. */
export class TreeRows {
  readonly #tx: Tx;
  readonly #cursor: Cursor;
  #page: Page | undefined;
  #index = 0;
  main = 0;
  sub = 0;
  tombstone = false;
  #valueStart = 0;
  #valueSize = 0;

  constructor(tx: Tx, cursor: Cursor) {
    this.#tx = tx;
    this.#cursor = cursor;
  }

  /** Moves to the first row at or after a position. */
  seek(main: number, sub: number): boolean {
    const key = new Uint8Array(rowKeySize);
    writeRowKey(key, 0, main, sub, false);
    return this.#take(this.#cursor.seek(key));
  }

  last(): boolean {
    return this.#take(this.#cursor.last());
  }

  previous(): boolean {
    this.#cursor.index = this.#index;
    return this.#take(this.#cursor.previous());
  }

  next(): boolean {
    const page = this.#page;
    if (page === undefined) return false;
    if (++this.#index < page.count) {
      this.#decode(page);
      return true;
    }
    this.#cursor.index = page.count - 1;
    return this.#take(this.#cursor.nextLeaf());
  }

  /** A view. */
  get value(): Uint8Array {
    const page = this.#page;
    if (page === undefined) throw new RangeError("the cursor stands on no row");
    return page.bytes.subarray(this.#valueStart, this.#valueStart + this.#valueSize);
  }

  #take(found: boolean): boolean {
    const leaf = this.#cursor.leaf;
    if (!found || !(leaf instanceof Page)) {
      this.#page = undefined;
      return false;
    }
    this.#page = leaf;
    this.#index = this.#cursor.index;
    this.#decode(leaf);
    return true;
  }

  #decode(page: Page): void {
    const offset = page.keyOffset(this.#index);
    const size = page.keySize(this.#index);
    if (!isRowKey(page.bytes, offset, size)) {
      this.#tx.corrupt(`element ${this.#index}: its key is not a revision`, page.id);
    }
    this.main = readRowCounter(page.bytes, offset);
    this.sub = readRowCounter(page.bytes, offset + 9);
    this.tombstone = size === tombstoneKeySize;
    this.#valueStart = offset + size;
    this.#valueSize = page.valueSize(this.#index);
  }
}

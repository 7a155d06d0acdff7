/**
 * Finds one row of the `key` bucket by its revision. Keys are compared as numbers, not byte by byte, and the place inside
 * a leaf is guessed: revisions of neighbouring rows are mostly consecutive (the bytewise search of any bucket costs ten
 * times as much, and a list of pairs makes one for each of them).
 *
 * The leaf of the last row found is tried first: keys written one after the other lie in one leaf.
 *
 * A short cut only: among keys that are no row keys (a damaged file) the search may miss a row; its caller then looks
 * bytewise. It never returns another row than the one asked for.
 */
import type { Bucket as TreeBucket } from "../bbolt/bucket.ts";
import { Page } from "../bbolt/page.ts";
import { treeDepthMax } from "../bbolt/format.ts";
import type { Tx } from "../bbolt/tx.ts";
import { readRowCounter, rowKeySize } from "./row-key.ts";

export class RowFinder {
  readonly #tx: Tx;
  readonly #root: Page;
  #leaf: Page | undefined;
  #leafFirst = 0;
  /** First main revision of the leaf that follows. */
  #leafNext = 0;

  private constructor(tx: Tx, root: Page) {
    this.#tx = tx;
    this.#root = root;
  }

  /** @returns undefined when the tree has no pages of its own to search (an inline bucket). */
  static of(tx: Tx, tree: TreeBucket): RowFinder | undefined {
    const root = tree.rootElements();
    return tree.rootPage !== 0 && root instanceof Page ? new RowFinder(tx, root) : undefined;
  }

  /** The value of a row that is no tombstone: a view; undefined when this way does not lead to it. */
  get(main: number, sub: number): Uint8Array | undefined {
    if (main >= this.#leafFirst && main <= this.#leafNext && this.#leaf !== undefined) {
      const value = valueIn(this.#leaf, this.#leafFirst, main, sub);
      if (value !== undefined) return value;
    }
    const leaf = this.#descend(main, sub);
    return valueIn(leaf, this.#leafFirst, main, sub);
  }

  /** The leaf in which the row must lie. What the branch says of it saves reading its first and last key. */
  #descend(main: number, sub: number): Page {
    let page = this.#root;
    let first = 0;
    let next = Infinity;
    for (let depth = 0; !page.isLeaf; depth++) {
      if (depth === treeDepthMax) this.#tx.corrupt("the tree is too deep", page.id);
      const mains = (page.keyNumbers ??= readMains(page));
      const index = childIndex(page, mains, main, sub);
      first = mains[index];
      if (index + 1 < mains.length) next = mains[index + 1];
      page = this.#tx.page(page.childAt(index));
    }
    this.#leaf = page;
    this.#leafFirst = first;
    this.#leafNext = next;
    return page;
  }
}

/** Index of the child of a branch that may hold the plain row of a revision. */
function childIndex(branch: Page, mains: Float64Array, main: number, sub: number): number {
  let low = 0;
  let high = mains.length;
  // Invariant: element low (or the first) <= revision < element high.
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    const key = mains[middle];
    if (key < main || (key === main && compare(branch, middle, main, sub) <= 0)) low = middle;
    else high = middle;
  }
  return low;
}

/** A branch is read for every row looked up below it, so its numbers are worth keeping: a quarter of its size more. */
function readMains(page: Page): Float64Array {
  const mains = new Float64Array(page.count);
  for (let index = 0; index < mains.length; index++) mains[index] = readRowCounter(page.bytes, page.keyOffset(index));
  return mains;
}

function valueIn(leaf: Page, first: number, main: number, sub: number): Uint8Array | undefined {
  // One row a revision without gaps: the usual case, and the guess is right.
  const guess = main - first;
  if (guess >= 0 && guess < leaf.count && compare(leaf, guess, main, sub) === 0) return plainValue(leaf, guess);
  let low = 0;
  let high = leaf.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compare(leaf, middle, main, sub) < 0) low = middle + 1;
    else high = middle;
  }
  return low < leaf.count && compare(leaf, low, main, sub) === 0 ? plainValue(leaf, low) : undefined;
}

function plainValue(leaf: Page, index: number): Uint8Array | undefined {
  return leaf.isBucketAt(index) ? undefined : leaf.valueAt(index);
}

/** Negative when the element comes before the plain row of a revision; a tombstone comes after it. */
function compare(page: Page, index: number, main: number, sub: number): number {
  const { bytes } = page;
  const offset = page.keyOffset(index);
  const difference = readRowCounter(bytes, offset) - main;
  if (difference !== 0) return difference;
  return readRowCounter(bytes, offset + 9) - sub || page.keySize(index) - rowKeySize;
}

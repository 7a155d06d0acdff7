/**
 * A position in a bucket, in key order. Moves leaf by leaf; `leaf` and `index` are open so that a scan can run over the
 * elements of a leaf without a call per element.
 *
 * Termination on damaged files: a page's own keys ascend (checked when it was read), and a step to another leaf that
 * does not ascend is refused, so no ring of pages can keep a cursor busy.
 */
import { copyBytes } from "../../base/bytes.ts";
import { treeDepthMax } from "./format.ts";
import { childIndexFor, type Elements, type Page } from "./page.ts";

/** Where a cursor gets its pages: a bucket. */
export interface CursorSource {
  rootElements(): Elements;
  /** @param scan - reads around the page ahead when the cursor has proved to be a long scan. */
  childElements(page: number, scan: PageSource | undefined): Elements;
  /** @throws {CorruptionError} always. */
  corrupt(leaf: Elements, what: string): never;
  /** Read-ahead for a long scan; undefined inside a write transaction. See {@link Cursor.isTransient}. */
  openScan(isTransient: boolean): PageSource | undefined;
}

export interface PageSource {
  page(id: number): Page;
}

/** After so many leaves a cursor counts as a scan: it reads ahead, and past the page cache. */
const scanAfterLeaves = 16;

export class Cursor {
  readonly #source: CursorSource;
  readonly #path: Elements[] = [];
  readonly #indexes: number[] = [];
  #leaves = 0;
  #scan: PageSource | undefined;
  /** The leaf under the cursor; undefined before the first move and after the last element. */
  leaf: Elements | undefined;
  index = 0;
  /** Views of the elements are used only until the next move: a long scan may read its pages into the same memory again. */
  isTransient = false;

  constructor(source: CursorSource) {
    this.#source = source;
  }

  /** True when the cursor stands on an element. */
  get valid(): boolean {
    return this.leaf !== undefined;
  }

  /** A view. Only when `valid`. */
  get key(): Uint8Array {
    return this.#current().keyAt(this.index);
  }

  /** A view; for a sub-bucket its header (and inline page). Only when `valid`. */
  get value(): Uint8Array {
    return this.#current().valueAt(this.index);
  }

  get isBucket(): boolean {
    return this.#current().isBucketAt(this.index);
  }

  first(): boolean {
    this.#reset();
    return this.#settle(this.#descend(this.#source.rootElements(), undefined, false), 0);
  }

  last(): boolean {
    this.#reset();
    const leaf = this.#descend(this.#source.rootElements(), undefined, true);
    return this.#settle(leaf, leaf.count - 1);
  }

  /** Moves to the first element whose key is >= `key`. */
  seek(key: Uint8Array): boolean {
    this.#reset();
    const leaf = this.#descend(this.#source.rootElements(), key, false);
    const index = leaf.lowerBound(key);
    if (index < leaf.count) return this.#settle(leaf, index);
    return leaf.count === 0 ? this.#settle(leaf, 0) : this.#stepLeaf(leaf, 1);
  }

  next(): boolean {
    const leaf = this.leaf;
    if (leaf === undefined) return false;
    if (this.index + 1 < leaf.count) {
      this.index++;
      return true;
    }
    return this.#stepLeaf(leaf, 1);
  }

  previous(): boolean {
    const leaf = this.leaf;
    if (leaf === undefined) return false;
    if (this.index > 0) {
      this.index--;
      return true;
    }
    return this.#stepLeaf(leaf, -1);
  }

  /** Moves to the first element of the next leaf. */
  nextLeaf(): boolean {
    return this.leaf !== undefined && this.#stepLeaf(this.leaf, 1);
  }

  #current(): Elements {
    if (this.leaf === undefined) throw new RangeError("the cursor stands on no element");
    return this.leaf;
  }

  #reset(): void {
    this.#path.length = 0;
    this.#indexes.length = 0;
    this.#leaves = 0;
    this.leaf = undefined;
  }

  #settle(leaf: Elements, index: number): boolean {
    // A leaf that this very transaction emptied stays in its place until the commit.
    if (leaf.count === 0 && this.#path.length > 0) return this.#stepLeaf(leaf, index < 0 ? -1 : 1);
    this.leaf = index >= 0 && index < leaf.count ? leaf : undefined;
    this.index = index;
    return this.leaf !== undefined;
  }

  /** Follows branches down to a leaf: towards `key`, else to the leftmost or rightmost one. */
  #descend(from: Elements, key: Uint8Array | undefined, rightmost: boolean): Elements {
    let elements = from;
    while (!elements.isLeaf) {
      if (this.#path.length >= treeDepthMax) this.#source.corrupt(elements, "the tree is too deep");
      const edge = rightmost ? elements.count - 1 : 0;
      const index = key === undefined ? edge : childIndexFor(elements, key);
      this.#path.push(elements);
      this.#indexes.push(index);
      elements = this.#source.childElements(elements.childAt(index), this.#scan);
    }
    return elements;
  }

  #stepLeaf(from: Elements, direction: 1 | -1): boolean {
    let edge = from.count === 0 ? undefined : from.keyAt(direction === 1 ? from.count - 1 : 0);
    // Reading the next leaf may use the memory of this one.
    if (this.isTransient && edge !== undefined) edge = copyBytes(edge);
    if (++this.#leaves === scanAfterLeaves) this.#scan = this.#source.openScan(this.isTransient);
    const path = this.#path;
    while (path.length > 0) {
      const depth = path.length - 1;
      const branch = path[depth];
      const index = this.#indexes[depth] + direction;
      if (index < 0 || index >= branch.count) {
        path.pop();
        this.#indexes.pop();
        continue;
      }
      this.#indexes[depth] = index;
      const leaf = this.#descend(
        this.#source.childElements(branch.childAt(index), this.#scan),
        undefined,
        direction === -1,
      );
      if (leaf.count === 0) continue;
      const start = leaf.keyAt(direction === 1 ? 0 : leaf.count - 1);
      if (edge !== undefined && Buffer.compare(edge, start) * direction >= 0)
        this.#source.corrupt(leaf, "its keys do not follow its neighbour's");
      return this.#settle(leaf, direction === 1 ? 0 : leaf.count - 1);
    }
    this.leaf = undefined;
    return false;
  }
}

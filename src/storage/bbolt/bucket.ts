/**
 * A bucket: a tree of its own inside the file, whose header is the value of an element of its parent.
 *
 *     header, 16 bytes: u64 root page, u64 sequence
 *     root page 0: the bucket is *inline*; a leaf page image (id 0, no padding) follows the header
 *
 * Inside a write transaction the touched part of the tree lives in {@link Node}s. See etcd-io/bbolt bucket.go.
 */
import { assert } from "../../base/assert.ts";
import { type AppendSource, LeafAppender } from "./append.ts";
import { Cursor, type CursorSource, type PageSource } from "./cursor.ts";
import { bucketElement, bucketHeaderSize, keySizeMax, pageHeaderSize, treeDepthMax, valueSizeMax } from "./format.ts";
import { Node } from "./node.ts";
import { childIndexFor, type Elements, Page, pageFault } from "./page.ts";
import type { Tx } from "./tx.ts";

/** Fill of a split page unless the bucket is told otherwise. */
const fillPercentDefault = 0.5;

/** A call that the bucket cannot serve, such as a key that is a bucket. Nothing was changed. */
export class BucketError extends Error {
  override readonly name = "BucketError";
}

export class Bucket implements CursorSource {
  readonly #tx: Tx;
  /** Page of the root; 0 while inline. */
  #root: number;
  #sequence: bigint;
  #inline: Page | undefined;
  /** Root of the part that this transaction touched. */
  #rootNode: Node | undefined;
  /** The other nodes, by the page number under which their parent knows them. */
  readonly #nodes = new Map<number, Node>();
  readonly #buckets = new Map<string, Bucket>();
  #placeholder = 0;
  /** Share of a page that a split fills, 0.1 to 1; set it again in every transaction. */
  fillPercent = fillPercentDefault;

  private constructor(tx: Tx, root: number, sequence: bigint, inline: Page | undefined) {
    this.#tx = tx;
    this.#root = root;
    this.#sequence = sequence;
    this.#inline = inline;
  }

  /** The root bucket of a transaction. */
  static root(tx: Tx, root: number, sequence: bigint): Bucket {
    return new Bucket(tx, root, sequence, undefined);
  }

  /** A bucket from the value of its element. @throws {CorruptionError} */
  static fromValue(tx: Tx, name: Uint8Array, value: Uint8Array): Bucket {
    const title = `bucket ${Buffer.from(name).toString("latin1")}`;
    if (value.length < bucketHeaderSize) tx.corrupt(`${title} has a header of ${value.length} bytes`);
    const header = new DataView(value.buffer, value.byteOffset, value.byteLength);
    const root = Number(header.getBigUint64(0, true));
    const sequence = header.getBigUint64(8, true);
    if (root !== 0) return new Bucket(tx, root, sequence, undefined);
    // A copy: inline pages begin at any byte, and ours are read in words. They are at most a quarter page.
    const size = value.length - bucketHeaderSize;
    const padded = new Uint8Array((size + 3) & ~3);
    padded.set(value.subarray(bucketHeaderSize));
    const fault =
      size < pageHeaderSize ? "it is cut short" : pageFault(padded, new Uint32Array(padded.buffer), 0, size);
    if (fault !== undefined) tx.corrupt(`${title}, inline page: ${fault}`);
    const page = new Page(0, padded);
    if (!page.isLeaf) tx.corrupt(`${title}: its inline page is not a leaf`);
    return new Bucket(tx, 0, sequence, page);
  }

  /** Page of the tree's root, 0 while the bucket is inline. */
  get rootPage(): number {
    return this.#root;
  }

  get sequence(): bigint {
    return this.#sequence;
  }

  set sequence(value: bigint) {
    this.#tx.assertWritable();
    this.#materializedRoot();
    this.#sequence = value;
  }

  cursor(): Cursor {
    return new Cursor(this);
  }

  /** The value of a key: a view; undefined when absent or a bucket. */
  get(key: Uint8Array): Uint8Array | undefined {
    const leaf = this.#leafElements(key);
    const index = leaf.lowerBound(key);
    if (!leaf.hasKeyAt(index, key) || leaf.isBucketAt(index)) return undefined;
    return leaf.valueAt(index);
  }

  /** Sets a key. Key and value belong to the transaction until it ends. @throws {BucketError} */
  put(key: Uint8Array, value: Uint8Array): void {
    this.#tx.assertWritable();
    if (key.length === 0) throw new BucketError("key required");
    if (key.length > keySizeMax) throw new BucketError("key too large");
    if (value.length > valueSizeMax) throw new BucketError("value too large");
    const leaf = this.#leafNode(key);
    const index = leaf.lowerBound(key);
    if (leaf.hasKeyAt(index, key) && leaf.isBucketAt(index)) throw new BucketError("incompatible value");
    leaf.put(key, value, 0);
  }

  /** Removes a key if it is there. @throws {BucketError} when it is a bucket. */
  delete(key: Uint8Array): void {
    this.#tx.assertWritable();
    const leaf = this.#leafElements(key);
    const index = leaf.lowerBound(key);
    if (!leaf.hasKeyAt(index, key)) return;
    if (leaf.isBucketAt(index)) throw new BucketError("incompatible value");
    this.#leafNode(key).delete(key);
  }

  /** The bucket of that name, or undefined. @throws {CorruptionError} */
  bucket(name: Uint8Array): Bucket | undefined {
    const id = nameOf(name);
    const open = this.#buckets.get(id);
    if (open !== undefined) return open;
    const leaf = this.#leafElements(name);
    const index = leaf.lowerBound(name);
    if (!leaf.hasKeyAt(index, name) || !leaf.isBucketAt(index)) return undefined;
    const bucket = Bucket.fromValue(this.#tx, name, leaf.valueAt(index));
    if (this.#tx.writable) this.#buckets.set(id, bucket);
    return bucket;
  }

  /** Opens a bucket, creating it (empty) when it is not there. @throws {BucketError} when the name is an ordinary key. */
  createBucket(name: Uint8Array): Bucket {
    this.#tx.assertWritable();
    if (name.length === 0) throw new BucketError("bucket name required");
    const existing = this.bucket(name);
    if (existing !== undefined) return existing;
    if (this.get(name) !== undefined) throw new BucketError("incompatible value");
    const leaf = this.#leafNode(name);
    const value = inlineValue(0n, new Node(true, 0, undefined));
    leaf.put(name, value, bucketElement);
    const bucket = Bucket.fromValue(this.#tx, name, value);
    this.#buckets.set(nameOf(name), bucket);
    return bucket;
  }

  /** Removes a bucket with everything in it. False when there is none. */
  deleteBucket(name: Uint8Array): boolean {
    this.#tx.assertWritable();
    const bucket = this.bucket(name);
    if (bucket === undefined) return false;
    bucket.#freeAll();
    this.#buckets.delete(nameOf(name));
    this.#leafNode(name).delete(name);
    return true;
  }

  /**
   * Appends rows whose keys are greater than all keys of the bucket, building full pages straight from the source.
   *
   * @returns the appender: feed it in pieces as long as nobody else writes to the bucket.
   */
  appender(source: AppendSource): LeafAppender {
    this.#tx.assertWritable();
    return new LeafAppender(this.#tx, this, source);
  }

  // --- for the cursor ---

  rootElements(): Elements {
    return this.#rootNode ?? this.#inline ?? this.#tx.page(this.#root);
  }

  childElements(page: number, scan: PageSource | undefined): Elements {
    const node = this.#nodes.get(page);
    if (node !== undefined) return node;
    return scan === undefined ? this.#tx.page(page) : scan.page(page);
  }

  corrupt(elements: Elements, what: string): never {
    return this.#tx.corrupt(what, elements instanceof Page ? elements.id : undefined);
  }

  openScan(isTransient: boolean): PageSource | undefined {
    return this.#tx.openScan(isTransient);
  }

  // --- for the appender ---

  /** The rightmost leaf as a node, with the path above it. */
  tailNode(): Node {
    let node = this.#materializedRoot();
    while (!node.isLeaf) node = this.#childNode(node, node.count - 1);
    return node;
  }

  /** True when a row of this key and greater ones may be fed to an {@link appender}. */
  canAppend(key: Uint8Array): boolean {
    const tail = this.tailNode();
    // The parent of a leaf that was emptied still knows it by its old first key: what is less belongs elsewhere.
    const last = tail.count > 0 ? tail.keys[tail.count - 1] : tail.key;
    return last === undefined || (tail.parent === undefined && tail.count === 0) || Buffer.compare(last, key) < 0;
  }

  /** Gives a root that is about to get a sibling a parent. */
  ensureParent(node: Node): Node {
    if (node.parent !== undefined) return node.parent;
    assert(node === this.#rootNode, "bucket: a node without parent is the root");
    const parent = new Node(false, 0, undefined);
    parent.children.push(node);
    node.parent = parent;
    this.#rootNode = parent;
    const key = node.key ?? node.keys[0];
    this.#release(node);
    node.page = this.#nextPlaceholder();
    node.key = key;
    this.#nodes.set(node.page, node);
    parent.putChild(key, key, node.page);
    return parent;
  }

  /** Adds a new rightmost leaf below `parent`, known under the first of the keys it will get. */
  addTail(parent: Node, key: Uint8Array): Node {
    const node = new Node(true, this.#nextPlaceholder(), parent);
    node.key = key;
    parent.children.push(node);
    parent.putChild(key, key, node.page);
    this.#nodes.set(node.page, node);
    return node;
  }

  /** A leaf has its final page already: forgets the node. */
  settle(node: Node, firstKey: Uint8Array, page: number): void {
    const parent = node.parent;
    assert(parent !== undefined, "bucket: a settled leaf has a parent");
    this.#nodes.delete(node.page);
    this.#release(node);
    parent.removeChild(node);
    parent.putChild(node.key ?? firstKey, firstKey, page);
  }

  // --- commit ---

  /** Merges nodes that lost elements. Yields between nodes. See bbolt node.rebalance. */
  *rebalance(): Generator<void> {
    const candidates = [...this.#nodes.values()];
    if (this.#rootNode !== undefined) candidates.push(this.#rootNode);
    for (const node of candidates) {
      this.#rebalanceNode(node);
      yield;
    }
    for (const bucket of this.#buckets.values()) yield* bucket.rebalance();
  }

  /** Turns all nodes into pages, sub-buckets first. Yields between nodes. */
  *spill(): Generator<void> {
    for (const [name, bucket] of this.#buckets) {
      if (bucket.#isInlineable()) bucket.#becomeInline();
      else yield* bucket.spill();
      const value = bucket.#headerValue();
      if (value === undefined) continue;
      const key = new Uint8Array(Buffer.from(name, "latin1"));
      this.#leafNode(key).put(key, value, bucketElement);
    }
    if (this.#rootNode === undefined) return;
    let root = this.#rootNode;
    yield* this.#spillNode(root);
    while (root.parent !== undefined) {
      root = root.parent;
      yield* this.#spillNode(root);
    }
    this.#rootNode = root;
    this.#root = root.page;
    this.#inline = undefined;
  }

  *#spillNode(node: Node): Generator<void> {
    // In key order: an element that moves its first key must not meet the old key of a later sibling.
    node.children.sort((a, b) => Buffer.compare(a.keys[0], b.keys[0]));
    for (const child of node.children) yield* this.#spillNode(child);
    node.children = [];
    const tx = this.#tx;
    const ends = node.splitPoints(tx.pageSize, this.splitThreshold);
    this.#release(node);
    if (ends.length > 1 && node.parent === undefined) node.parent = new Node(false, 0, undefined);
    let from = 0;
    for (const to of ends) {
      const id = tx.writeRun(node.sizeOf(from, to), (bytes, page, overflow) =>
        node.write(bytes, 0, page, overflow, from, to),
      );
      if (from === 0) node.page = id;
      if (node.parent !== undefined) {
        const firstKey = node.keys[from];
        node.parent.putChild(from === 0 ? (node.key ?? firstKey) : firstKey, firstKey, id);
      }
      from = to;
    }
    yield;
  }

  /** Bytes at which a page counts as full. */
  get splitThreshold(): number {
    return Math.floor(this.#tx.pageSize * Math.min(Math.max(this.fillPercent, 0.1), 1));
  }

  #rebalanceNode(node: Node): void {
    let current: Node | undefined = node;
    while (current !== undefined && current.unbalanced) current = this.#mergeIfSmall(current);
  }

  /** @returns the parent when it lost an element and has to be looked at. */
  #mergeIfSmall(node: Node): Node | undefined {
    node.unbalanced = false;
    const sizeMin = Math.floor(Math.floor(this.#tx.pageSize * this.fillPercent) / 2);
    if (node.sizeOf() > sizeMin && node.count > (node.isLeaf ? 1 : 2)) return undefined;
    const parent = node.parent;
    if (parent === undefined) {
      this.#collapseRoot(node);
      return undefined;
    }
    if (node.count === 0) {
      this.#drop(node, parent);
      return parent;
    }
    // A lone child cannot merge; bbolt stops the process here, a foreign file is no reason for us to.
    if (parent.count < 2) return undefined;
    const index = childIndexFor(parent, node.key ?? node.keys[0]);
    const left = index === 0 ? node : this.#childNode(parent, index - 1);
    const right = index === 0 ? this.#childNode(parent, 1) : node;
    for (const child of right.children) {
      child.parent = left;
      left.children.push(child);
    }
    right.children = [];
    left.absorb(right);
    this.#drop(right, parent);
    return parent;
  }

  /** A root branch with one child is replaced by the child. */
  #collapseRoot(root: Node): void {
    if (root.isLeaf) return;
    // A branch that lost all its children was the last of the bucket: the root becomes an empty leaf.
    if (root.count === 0) {
      root.isLeaf = true;
      return;
    }
    if (root.count > 1) return;
    const child = this.#childNode(root, 0);
    root.isLeaf = child.isLeaf;
    root.keys = child.keys;
    root.values = child.values;
    root.flags = child.flags;
    root.pages = child.pages;
    root.children = child.children;
    for (const grandchild of root.children) grandchild.parent = root;
    this.#nodes.delete(child.page);
    this.#release(child);
    child.unbalanced = false;
    // The new root may itself be a branch with one child.
    this.#collapseRoot(root);
  }

  #drop(node: Node, parent: Node): void {
    const key = node.key ?? node.keys[0];
    assert(parent.delete(key), "bucket: the parent knows its child");
    parent.removeChild(node);
    this.#nodes.delete(node.page);
    this.#release(node);
    node.unbalanced = false;
  }

  /** Frees the page that a node replaces. */
  #release(node: Node): void {
    if (node.page > 0) this.#tx.free(node.page);
    node.page = 0;
  }

  #nextPlaceholder(): number {
    this.#placeholder--;
    return this.#placeholder;
  }

  #isInlineable(): boolean {
    const root = this.#rootNode;
    if (root === undefined || !root.isLeaf) return false;
    if (root.flags.includes(bucketElement)) return false;
    return root.sizeOf() <= this.#tx.pageSize / 4;
  }

  #becomeInline(): void {
    if (this.#rootNode !== undefined) this.#release(this.#rootNode);
    this.#root = 0;
  }

  /** The value of the element in the parent, or undefined when nothing was touched. */
  #headerValue(): Uint8Array | undefined {
    if (this.#rootNode === undefined) return undefined;
    if (this.#root === 0) return inlineValue(this.#sequence, this.#rootNode);
    const value = new Uint8Array(bucketHeaderSize);
    const view = new DataView(value.buffer);
    view.setBigUint64(0, BigInt(this.#root), true);
    view.setBigUint64(8, this.#sequence, true);
    return value;
  }

  #leafElements(key: Uint8Array): Elements {
    let elements = this.rootElements();
    for (let depth = 0; !elements.isLeaf; depth++) {
      if (depth >= treeDepthMax) this.corrupt(elements, "the tree is too deep");
      elements = this.childElements(elements.childAt(childIndexFor(elements, key)), undefined);
    }
    return elements;
  }

  #materializedRoot(): Node {
    if (this.#rootNode === undefined) {
      const page = this.#inline ?? this.#tx.page(this.#root);
      this.#rootNode = Node.of(page, undefined);
    }
    return this.#rootNode;
  }

  #leafNode(key: Uint8Array): Node {
    let node = this.#materializedRoot();
    for (let depth = 0; !node.isLeaf; depth++) {
      if (depth >= treeDepthMax) this.corrupt(node, "the tree is too deep");
      node = this.#childNode(node, childIndexFor(node, key));
    }
    return node;
  }

  #childNode(parent: Node, index: number): Node {
    const id = parent.pages[index];
    const known = this.#nodes.get(id);
    if (known !== undefined) {
      if (known.parent !== parent) this.corrupt(parent, `page ${id} is referred to twice`);
      return known;
    }
    const node = Node.of(this.#tx.page(id), parent);
    if (node.count === 0) this.corrupt(parent, `page ${id} below a branch is empty`);
    node.key = parent.keys[index];
    parent.children.push(node);
    this.#nodes.set(id, node);
    return node;
  }

  #freeAll(): void {
    const cursor = this.cursor();
    for (let more = cursor.first(); more; more = cursor.next()) {
      const child = cursor.isBucket ? this.bucket(cursor.key) : undefined;
      if (child !== undefined) child.#freeAll();
    }
    this.#freeTree(this.#root, this.#rootNode, 0);
  }

  #freeTree(id: number, node: Node | undefined, depth: number): void {
    if (id === 0 && node === undefined) return;
    const elements: Elements = node ?? this.#tx.page(id);
    if (depth > treeDepthMax) this.corrupt(elements, "the tree is too deep");
    if (!elements.isLeaf) {
      for (let index = 0; index < elements.count; index++) {
        const child = elements.childAt(index);
        this.#freeTree(child, this.#nodes.get(child), depth + 1);
      }
    }
    if (node !== undefined) this.#release(node);
    else this.#tx.free(id);
  }
}

function inlineValue(sequence: bigint, node: Node): Uint8Array {
  // Built aligned and a word longer than needed, then cut.
  const size = bucketHeaderSize + node.sizeOf();
  const bytes = new Uint8Array((size + 3) & ~3);
  new DataView(bytes.buffer).setBigUint64(8, sequence, true);
  node.write(bytes, bucketHeaderSize, 0, 0);
  return bytes.subarray(0, size);
}

function nameOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString("latin1");
}

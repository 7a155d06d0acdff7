/**
 * Reads through what is not committed yet: layers of stages, newest first, above the tree. The backend itself and pinned
 * views are both this.
 */
import type { Bucket as TreeBucket } from "../bbolt/bucket.ts";
import { assert } from "../../base/assert.ts";
import {
  buckets,
  type BackendReader,
  type Bucket,
  type PairVisitor,
  type RowPosition,
  type RowVisitor,
} from "./bucket.ts";
import { nameOf, type Stage, type StagedPair } from "./stage.ts";
import type { TreeReader, TreeRows } from "./tree-reader.ts";

/** A stage as one view sees it. */
export class Layer {
  readonly stage: Stage;
  readonly #rowsMax: number;

  /** @param rowsMax - rows beyond were appended after the view was pinned; infinite for the live view. */
  constructor(stage: Stage, rowsMax: number = Number.POSITIVE_INFINITY) {
    this.stage = stage;
    this.#rowsMax = rowsMax;
  }

  get rows(): number {
    const { length } = this.stage.puts;
    return length < this.#rowsMax ? length : this.#rowsMax;
  }
}

export class LayeredReader implements BackendReader {
  readonly #layers: readonly Layer[];
  readonly #tree: TreeReader;

  /** @param layers - newest first. */
  constructor(layers: readonly Layer[], tree: TreeReader) {
    this.#layers = layers;
    this.#tree = tree;
  }

  getRow(main: number, sub: number, tombstone?: boolean): Uint8Array | undefined {
    for (const { stage, rows } of this.#layers) {
      const put = stage.puts.find(main, sub, tombstone, rows);
      if (put >= 0) return stage.puts.values[put];
      const { deletes } = stage;
      if (deletes.length > 0 && deletes.find(main, sub, tombstone, deletes.length) >= 0) return undefined;
    }
    return this.#tree.getRow(main, sub, tombstone);
  }

  scanRows(from: RowPosition, to: RowPosition | undefined, visit: RowVisitor, isTransient = false): void {
    const endMain = to?.main ?? Number.MAX_SAFE_INTEGER;
    const endSub = to?.sub ?? Number.MAX_SAFE_INTEGER;
    const tree = this.#tree.rows(isTransient);
    let treeRow = tree !== undefined && tree.seek(from.main, from.sub);
    const next = this.#layers.map(({ stage, rows }) => stage.puts.lowerBound(from.main, from.sub, rows));
    for (;;) {
      const layer = this.#firstLayer(next);
      // The usual stretch: rows of the tree before anything that is buffered.
      while (treeRow && tree !== undefined && (layer < 0 || this.#compare(layer, next[layer], tree) > 0)) {
        if (tree.main > endMain || (tree.main === endMain && tree.sub >= endSub)) return;
        const visible = !this.#isDeleted(tree.main, tree.sub, tree.tombstone, this.#layers.length);
        if (visible && !visit(tree.main, tree.sub, tree.tombstone, tree.value)) return;
        treeRow = tree.next();
      }
      if (layer < 0) return;
      const { puts } = this.#layers[layer].stage;
      const index = next[layer];
      const main = puts.mains[index];
      const sub = puts.subs[index];
      const tombstone = puts.tombstones[index] === 1;
      if (main > endMain || (main === endMain && sub >= endSub)) return;
      // The newest layer that has the row decides; older ones and the tree are passed over.
      if (treeRow && tree !== undefined && this.#compare(layer, index, tree) === 0) treeRow = tree.next();
      this.#passOver(next, main, sub, tombstone);
      const value = puts.values[index];
      if (value !== undefined && !this.#isDeleted(main, sub, tombstone, layer) && !visit(main, sub, tombstone, value)) {
        return;
      }
    }
  }

  lastRow(): RowPosition | undefined {
    let last = this.#lastTreeRow();
    for (const [depth, { stage, rows }] of this.#layers.entries()) {
      const { puts } = stage;
      for (let index = rows - 1; index >= 0; index--) {
        const main = puts.mains[index];
        const sub = puts.subs[index];
        if (last !== undefined && (main < last.main || (main === last.main && sub <= last.sub))) break;
        const deleted =
          puts.values[index] === undefined || this.#isDeleted(main, sub, puts.tombstones[index] === 1, depth);
        if (!deleted) {
          last = { main, sub };
          break;
        }
      }
    }
    return last;
  }

  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    assertNotRows(bucket);
    const name = nameOf(key);
    for (const { stage } of this.#layers) {
      const pair = stage.pair(bucket, name);
      if (pair !== undefined) return pair.value;
    }
    return this.#tree.bucket(bucket)?.get(key);
  }

  range(bucket: Bucket, start: Uint8Array, end: Uint8Array | undefined, limit: number, visit: PairVisitor): void {
    assertNotRows(bucket);
    const staged = this.#stagedPairs(bucket, start, end);
    const tree = new PairCursor(this.#tree.bucket(bucket), start, end);
    let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
    let index = 0;
    while (left > 0) {
      const pair = index < staged.length ? staged[index] : undefined;
      const key = tree.key;
      if (pair === undefined && key === undefined) return;
      const order = pair === undefined ? -1 : key === undefined ? 1 : Buffer.compare(key, pair.key);
      if (order < 0 && key !== undefined) {
        if (!visit(key, tree.value)) return;
        left--;
      } else if (pair?.value !== undefined) {
        if (!visit(pair.key, pair.value)) return;
        left--;
      }
      if (order <= 0) tree.next();
      if (order >= 0) index++;
    }
  }

  /** The layer whose next row comes first; the newest of equals. -1 when all are through. */
  #firstLayer(next: readonly number[]): number {
    let first = -1;
    for (let depth = 0; depth < this.#layers.length; depth++) {
      const { stage, rows } = this.#layers[depth];
      if (next[depth] >= rows) continue;
      if (first < 0) {
        first = depth;
        continue;
      }
      const a = stage.puts;
      const b = this.#layers[first].stage.puts;
      const i = next[depth];
      const j = next[first];
      const order = a.mains[i] - b.mains[j] || a.subs[i] - b.subs[j] || a.tombstones[i] - b.tombstones[j];
      if (order < 0) first = depth;
    }
    return first;
  }

  #passOver(next: number[], main: number, sub: number, tombstone: boolean): void {
    for (let depth = 0; depth < this.#layers.length; depth++) {
      const { stage, rows } = this.#layers[depth];
      const at = next[depth];
      if (at >= rows || stage.puts.mains[at] !== main || stage.puts.subs[at] !== sub) continue;
      if ((stage.puts.tombstones[at] === 1) === tombstone) next[depth]++;
    }
  }

  #compare(layer: number, index: number, tree: TreeRows): number {
    const { puts } = this.#layers[layer].stage;
    return (
      puts.mains[index] - tree.main || puts.subs[index] - tree.sub || puts.tombstones[index] - (tree.tombstone ? 1 : 0)
    );
  }

  /** Deleted by one of the `depth` newest layers. */
  #isDeleted(main: number, sub: number, tombstone: boolean, depth: number): boolean {
    for (let index = 0; index < depth; index++) {
      const { deletes } = this.#layers[index].stage;
      if (deletes.length > 0 && deletes.find(main, sub, tombstone, deletes.length) >= 0) return true;
    }
    return false;
  }

  #lastTreeRow(): RowPosition | undefined {
    const tree = this.#tree.rows();
    if (tree === undefined) return undefined;
    for (let more = tree.last(); more; more = tree.previous()) {
      const { main, sub, tombstone } = tree;
      const hole = this.#layers.some(({ stage, rows }) => {
        const put = stage.puts.find(main, sub, tombstone, rows);
        return put >= 0 && stage.puts.values[put] === undefined;
      });
      if (!hole && !this.#isDeleted(main, sub, tombstone, this.#layers.length)) return { main, sub };
    }
    return undefined;
  }

  #stagedPairs(bucket: Bucket, start: Uint8Array, end: Uint8Array | undefined): StagedPair[] {
    let merged: Map<string, StagedPair> | undefined;
    for (let depth = this.#layers.length - 1; depth >= 0; depth--) {
      for (const [name, pair] of this.#layers[depth].stage.pairs(bucket) ?? []) {
        merged ??= new Map();
        merged.set(name, pair);
      }
    }
    if (merged === undefined) return [];
    return [...merged.values()]
      .filter(({ key }) => Buffer.compare(key, start) >= 0 && (end === undefined || Buffer.compare(key, end) < 0))
      .sort((a, b) => Buffer.compare(a.key, b.key));
  }
}

function assertNotRows(bucket: Bucket): void {
  assert(bucket !== buckets.key, "backend: rows are read by their revision");
}

/** The pairs of a tree bucket in `[start, end)`. */
class PairCursor {
  readonly #cursor: ReturnType<TreeBucket["cursor"]> | undefined;
  readonly #end: Uint8Array | undefined;
  key: Uint8Array | undefined;

  constructor(tree: TreeBucket | undefined, start: Uint8Array, end: Uint8Array | undefined) {
    this.#cursor = tree?.cursor();
    this.#end = end;
    if (this.#cursor === undefined) return;
    this.#take(start.length === 0 ? this.#cursor.first() : this.#cursor.seek(start));
  }

  get value(): Uint8Array {
    assert(this.#cursor !== undefined, "backend: the cursor stands on no pair");
    return this.#cursor.value;
  }

  next(): void {
    if (this.#cursor !== undefined) this.#take(this.#cursor.next());
  }

  #take(found: boolean): void {
    this.key = undefined;
    if (!found || this.#cursor === undefined) return;
    const { key } = this.#cursor;
    if (this.#end === undefined || Buffer.compare(key, this.#end) < 0) this.key = key;
  }
}

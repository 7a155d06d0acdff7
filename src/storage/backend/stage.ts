/**
 * What was written and is not in the tree yet. A stage collects the writes of one batch; when it is closed nobody changes
 * it again, and it stays readable until its contents are durable in the tree.
 *
 * Rows of the `key` bucket come by the hundred thousand a second and in order, so they lie in columns, sorted by
 * construction; the other buckets see few writes and are maps.
 */
import { assert } from "../../base/assert.ts";
import { allBuckets, type Bucket } from "./bucket.ts";
import { rowKeySize, tombstoneKeySize, writeRowKey } from "./row-key.ts";

const rowsInitial = 1024;
/** Counted for a write beside its bytes: the objects that hold it. */
const writeOverheadBytes = 64;

/** Rows in ascending order of (main, sub, tombstone). A row without value is one to be deleted. */
export class RowColumns {
  mains = new Float64Array(0);
  subs = new Float64Array(0);
  tombstones = new Uint8Array(0);
  readonly values: (Uint8Array | undefined)[] = [];
  length = 0;

  /** True when the row comes after all that are here. */
  isAfterLast(main: number, sub: number, tombstone: boolean): boolean {
    const last = this.length - 1;
    if (last < 0) return true;
    if (main !== this.mains[last]) return main > this.mains[last];
    if (sub !== this.subs[last]) return sub > this.subs[last];
    return tombstone && this.tombstones[last] === 0;
  }

  append(main: number, sub: number, tombstone: boolean, value: Uint8Array | undefined): void {
    const at = this.length;
    if (at === this.mains.length) this.#grow();
    this.mains[at] = main;
    this.subs[at] = sub;
    this.tombstones[at] = tombstone ? 1 : 0;
    this.values.push(value);
    this.length = at + 1;
  }

  /** Sets a row anywhere: linear when it does not come last. */
  set(main: number, sub: number, tombstone: boolean, value: Uint8Array | undefined): void {
    const found = this.find(main, sub, tombstone, this.length);
    if (found >= 0) {
      this.values[found] = value;
      return;
    }
    let at = this.lowerBound(main, sub, this.length);
    if (tombstone && at < this.length && this.mains[at] === main && this.subs[at] === sub) at++;
    this.append(main, sub, tombstone, value);
    this.mains.copyWithin(at + 1, at, this.length - 1);
    this.subs.copyWithin(at + 1, at, this.length - 1);
    this.tombstones.copyWithin(at + 1, at, this.length - 1);
    this.values.copyWithin(at + 1, at, this.length - 1);
    this.mains[at] = main;
    this.subs[at] = sub;
    this.tombstones[at] = tombstone ? 1 : 0;
    this.values[at] = value;
  }

  /** Index of the first of the first `limit` rows at or after (main, sub). */
  lowerBound(main: number, sub: number, limit: number): number {
    const { mains, subs } = this;
    let low = 0;
    let high = limit;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (mains[middle] < main || (mains[middle] === main && subs[middle] < sub)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Index of a row among the first `limit`, or -1. */
  find(main: number, sub: number, tombstone: boolean | undefined, limit: number): number {
    if (limit === 0 || main < this.mains[0] || main > this.mains[limit - 1]) return -1;
    for (let at = this.lowerBound(main, sub, limit); at < limit; at++) {
      if (this.mains[at] !== main || this.subs[at] !== sub) return -1;
      if (tombstone === undefined || tombstone === (this.tombstones[at] === 1)) return at;
    }
    return -1;
  }

  // --- the rows as a source of the tree's append path ---

  keySize(index: number): number {
    return this.tombstones[index] === 1 ? tombstoneKeySize : rowKeySize;
  }

  writeKey(index: number, target: Uint8Array, offset: number): void {
    writeRowKey(target, offset, this.mains[index], this.subs[index], this.tombstones[index] === 1);
  }

  value(index: number): Uint8Array {
    const value = this.values[index];
    assert(value !== undefined, "stage: a deleted row has no value");
    return value;
  }

  #grow(): void {
    const size = Math.max(rowsInitial, this.mains.length * 2);
    const mains = new Float64Array(size);
    mains.set(this.mains);
    this.mains = mains;
    const subs = new Float64Array(size);
    subs.set(this.subs);
    this.subs = subs;
    const tombstones = new Uint8Array(size);
    tombstones.set(this.tombstones);
    this.tombstones = tombstones;
  }
}

/** A written pair of another bucket; `value` undefined = deleted. */
export interface StagedPair {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export class Stage {
  /** Rows that were put (or put and deleted again), mostly the newest revisions. */
  readonly puts = new RowColumns();
  /** Rows that were deleted here and not put before: what a compaction removes. Invariant: no row is in both. */
  readonly deletes = new RowColumns();
  /** Some row of `puts` was deleted again. */
  hasHoles = false;
  /** By position of the bucket. */
  readonly #pairs: (Map<string, StagedPair> | undefined)[] = allBuckets.map(() => undefined);
  operations = 0;
  bytes = 0;
  /** A pinned view reads this stage: only rows that come last may still be added. */
  pinned = false;

  /** True when adding the row is an append, which pinned views do not see. */
  appends(main: number, sub: number, tombstone: boolean): boolean {
    return (
      this.puts.isAfterLast(main, sub, tombstone) &&
      (this.deletes.length === 0 || this.deletes.isAfterLast(main, sub, tombstone))
    );
  }

  appendRow(main: number, sub: number, tombstone: boolean, value: Uint8Array): void {
    this.puts.append(main, sub, tombstone, value);
    this.#count(rowKeySize + value.length);
  }

  /** Puts a row anywhere. */
  setRow(main: number, sub: number, tombstone: boolean, value: Uint8Array): void {
    this.puts.set(main, sub, tombstone, value);
    const deleted = this.deletes.find(main, sub, tombstone, this.deletes.length);
    // The put is merged after the deletes, so it wins; for readers the row must not be in both.
    if (deleted >= 0) this.#undelete(deleted);
    this.#count(rowKeySize + value.length);
  }

  deleteRow(main: number, sub: number, tombstone: boolean): void {
    const put = this.puts.find(main, sub, tombstone, this.puts.length);
    if (put >= 0) {
      this.puts.values[put] = undefined;
      this.hasHoles = true;
    } else if (this.deletes.isAfterLast(main, sub, tombstone)) this.deletes.append(main, sub, tombstone, undefined);
    else this.deletes.set(main, sub, tombstone, undefined);
    this.#count(rowKeySize);
  }

  setPair(bucket: Bucket, key: Uint8Array, value: Uint8Array | undefined): void {
    let pairs = this.#pairs[bucket.index];
    if (pairs === undefined) {
      pairs = new Map();
      this.#pairs[bucket.index] = pairs;
    }
    pairs.set(nameOf(key), { key, value });
    this.#count(key.length + (value?.length ?? 0));
  }

  pair(bucket: Bucket, name: string): StagedPair | undefined {
    return this.#pairs[bucket.index]?.get(name);
  }

  pairs(bucket: Bucket): ReadonlyMap<string, StagedPair> | undefined {
    return this.#pairs[bucket.index];
  }

  #count(bytes: number): void {
    this.operations++;
    this.bytes += bytes + writeOverheadBytes;
  }

  #undelete(index: number): void {
    const { deletes } = this;
    deletes.mains.copyWithin(index, index + 1, deletes.length);
    deletes.subs.copyWithin(index, index + 1, deletes.length);
    deletes.tombstones.copyWithin(index, index + 1, deletes.length);
    deletes.values.splice(index, 1);
    deletes.length--;
  }
}

/** The text under which a key stands in a map. */
export function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}

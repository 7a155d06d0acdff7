/**
 * A slow, obvious twin of the backend for tests of the layers above: rows in a sorted array, other buckets in maps. A pinned
 * view is a copy. `deleted` and `commits` let tests see what a compaction did.
 */
import type { RowStore } from "../../src/mvcc/row-store.ts";
import type { Bucket, PairVisitor, PinnedView, RowPosition, RowVisitor } from "../../src/storage/backend/bucket.ts";

interface Row {
  readonly main: number;
  readonly sub: number;
  readonly tombstone: boolean;
  readonly value: Uint8Array;
}

export class MemoryBackend implements RowStore, PinnedView {
  #rows: Row[] = [];
  #pairs = new Map<string, Map<string, Uint8Array>>();
  commits = 0;
  openViews = 0;

  get rows(): readonly Row[] {
    return this.#rows;
  }

  putRow(main: number, sub: number, tombstone: boolean, value: Uint8Array): void {
    this.#rows.splice(this.#lowerBound(main, sub), 0, { main, sub, tombstone, value });
  }

  deleteRow(main: number, sub: number, tombstone: boolean): void {
    const at = this.#lowerBound(main, sub);
    if (this.#rows[at]?.main !== main || this.#rows[at].sub !== sub || this.#rows[at].tombstone !== tombstone) {
      throw new Error(`no row ${main}.${sub} to delete`);
    }
    this.#rows.splice(at, 1);
  }

  getRow(main: number, sub: number, tombstone?: boolean): Uint8Array | undefined {
    const row = this.#rows[this.#lowerBound(main, sub)];
    if (row?.main !== main || row.sub !== sub) return undefined;
    return tombstone === undefined || tombstone === row.tombstone ? row.value : undefined;
  }

  scanRows(from: RowPosition, to: RowPosition | undefined, visit: RowVisitor): void {
    const end = to === undefined ? this.#rows.length : this.#lowerBound(to.main, to.sub);
    for (let at = this.#lowerBound(from.main, from.sub); at < end; at++) {
      const { main, sub, tombstone, value } = this.#rows[at];
      if (!visit(main, sub, tombstone, value)) return;
    }
  }

  lastRow(): RowPosition | undefined {
    return this.#rows.at(-1);
  }

  put(bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    this.#bucket(bucket).set(Buffer.from(key).toString("hex"), value);
  }

  delete(bucket: Bucket, key: Uint8Array): void {
    this.#bucket(bucket).delete(Buffer.from(key).toString("hex"));
  }

  get(bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return this.#bucket(bucket).get(Buffer.from(key).toString("hex"));
  }

  range(bucket: Bucket, start: Uint8Array, end: Uint8Array | undefined, limit: number, visit: PairVisitor): void {
    const first = Buffer.from(start).toString("hex");
    const last = end === undefined ? undefined : Buffer.from(end).toString("hex");
    let seen = 0;
    for (const key of [...this.#bucket(bucket).keys()].sort()) {
      if (key < first || (last !== undefined && key >= last)) continue;
      if (limit > 0 && seen++ === limit) return;
      if (!visit(new Uint8Array(Buffer.from(key, "hex")), this.#bucket(bucket).get(key)!)) return;
    }
  }

  commit(): Promise<void> {
    this.commits++;
    return Promise.resolve();
  }

  pin(): PinnedView {
    const view = new MemoryBackend();
    view.#rows = [...this.#rows];
    view.#pairs = new Map(Array.from(this.#pairs, ([name, pairs]) => [name, new Map(pairs)]));
    this.openViews++;
    view.#release = () => this.openViews--;
    return view;
  }

  #release: () => void = () => undefined;

  release(): void {
    this.#release();
    this.#release = () => undefined;
  }

  #bucket(bucket: Bucket): Map<string, Uint8Array> {
    let pairs = this.#pairs.get(bucket.name);
    if (pairs === undefined) this.#pairs.set(bucket.name, (pairs = new Map<string, Uint8Array>()));
    return pairs;
  }

  #lowerBound(main: number, sub: number): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = this.#rows[middle];
      if (row.main < main || (row.main === main && row.sub < sub)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Transactions. A read transaction is a snapshot: the tree below one meta. The one write transaction builds new pages
 * beside the old ones (copy on write) and becomes visible as a whole when its meta page is durable.
 *
 * Order of a commit, on which all crash safety rests:
 *
 *     merge and split nodes → grow the file → write pages → fdatasync → write the meta → fdatasync
 *
 * See etcd-io/bbolt tx.go.
 */
import { assert } from "../../base/assert.ts";
import { Bucket } from "./bucket.ts";
import type { Cursor, PageSource } from "./cursor.ts";
import { elementCountMax, encodeMetaPage, type Meta, PageFlag, pageHeaderSize, writePageHeader } from "./format.ts";
import { Page } from "./page.ts";
import type { TxHost } from "./tx-host.ts";

/** Lets long work be cut into slices that leave the event loop to others in between. */
export interface Pace {
  /** True when the current slice has lasted long enough. */
  due(): boolean;
  /** Resolves in a later turn of the loop; a new slice starts. */
  turn(): Promise<void>;
}

/** Pages allocated at once. The page cache moves a page out that outlives its neighbours, so a sheet is not pinned for long. */
const sheetPages = 16;
/** One `writev` takes at most so many buffers (IOV_MAX is 1024) and bytes, so that one write does not hog the disk. */
const writeBuffersMax = 512;
const writeBytesMax = 4 << 20;

export class Tx {
  readonly #host: TxHost;
  readonly writable: boolean;
  readonly root: Bucket;
  #meta: Meta;
  #highWater: number;
  #open = true;
  /** Memory for new pages, and how much of it is taken. */
  #sheet = new Uint8Array(0);
  #sheetUsed = 0;
  /** Runs allocated and built by this transaction. */
  readonly #dirty = new Map<number, Page>();

  /** For {@link BoltDb} only. */
  constructor(host: TxHost, writable: boolean) {
    this.#host = host;
    this.writable = writable;
    this.#meta = host.meta;
    this.#highWater = host.meta.highWater;
    this.root = Bucket.root(this, host.meta.root, host.meta.sequence);
  }

  /** The state that a read transaction sees, or that a write transaction started from. */
  get meta(): Meta {
    return this.#meta;
  }

  /** Of the state seen; a write transaction will commit the next. */
  get txid(): number {
    return this.writable ? this.#meta.txid + 1 : this.#meta.txid;
  }

  get pageSize(): number {
    return this.#meta.pageSize;
  }

  /** Bytes of the database as this transaction sees it. */
  get size(): number {
    return this.#highWater * this.pageSize;
  }

  bucket(name: Uint8Array): Bucket | undefined {
    return this.root.bucket(name);
  }

  /** Over the names of the top buckets. */
  cursor(): Cursor {
    return this.root.cursor();
  }

  assertWritable(): void {
    assert(this.writable && this.#open, "bbolt: the transaction is not open for writing");
  }

  /** Makes everything durable and visible. On a failed write the database refuses further writing. */
  async commit(pace?: Pace): Promise<void> {
    this.assertWritable();
    await this.#run(this.root.rebalance(), pace);
    await this.#run(this.root.spill(), pace);
    const { freelist } = this.#host;
    const stored = this.#meta.freelist;
    if (stored !== undefined) this.#freeRun(stored, this.#host.freelistRun(stored));
    const meta: Meta = {
      ...this.#meta,
      root: this.root.rootPage,
      txid: this.txid,
      freelist: this.#host.storesFreelist ? this.#writeFreelist() : undefined,
      highWater: this.#highWater,
    };
    assert(meta.root > 1 && meta.root < meta.highWater, "bbolt: the root page is below the high water mark");
    freelist.grow(meta.highWater);
    try {
      await this.#writePages();
      await this.#host.file.writeMany([encodeMetaPage(meta, meta.txid % 2)], (meta.txid % 2) * meta.pageSize);
      if (this.#host.syncs) await this.#host.file.datasync();
    } catch (error) {
      this.#open = false;
      this.#host.failed(error);
      throw error;
    }
    this.#open = false;
    this.#host.committed(meta);
  }

  /** Ends the transaction; a write transaction leaves no trace. Idempotent. */
  rollback(): void {
    if (!this.#open) return;
    this.#open = false;
    if (!this.writable) {
      this.#host.readerClosed(this.#meta.txid);
      return;
    }
    const { freelist } = this.#host;
    for (const page of this.#dirty.values()) freelist.giveBack(page.id, page.bytes.length / this.pageSize);
    freelist.rollback(this.txid, this.#meta.highWater);
    this.#host.rolledBack();
  }

  // --- for buckets, cursors and the check ---

  /** A branch or leaf page. @throws {CorruptionError} */
  page(id: number): Page {
    const dirty = this.writable ? this.#dirty.get(id) : undefined;
    return dirty ?? this.#host.page(id, this.#highWater);
  }

  openScan(isTransient: boolean): PageSource | undefined {
    return this.writable ? undefined : this.#host.readAhead(this.#highWater, isTransient);
  }

  corrupt(what: string, page?: number): never {
    return this.#host.corrupt(what, page);
  }

  /** Allocates a run for `size` bytes, has `fill` write it (zeroed memory) and returns its id. */
  writeRun(size: number, fill: (bytes: Uint8Array, id: number, overflow: number) => void): number {
    const count = Math.ceil(size / this.pageSize);
    const bytes = this.#pageMemory(count);
    const id = this.#allocate(count);
    fill(bytes, id, count - 1);
    this.#dirty.set(id, new Page(id, bytes));
    return id;
  }

  /** Frees a run. One of this transaction's own is free at once. */
  free(id: number): void {
    const page = this.page(id);
    const count = page.bytes.length / this.pageSize;
    if (this.#dirty.delete(id)) this.#host.freelist.giveBack(id, count);
    else this.#freeRun(id, count);
  }

  /** Zeroed memory of a run. Single pages are cut from bigger pieces: thousands of small buffers a second are a burden on the collector. */
  #pageMemory(count: number): Uint8Array {
    if (count > 1) return new Uint8Array(count * this.pageSize);
    if (this.#sheetUsed === this.#sheet.length) {
      this.#sheet = new Uint8Array(sheetPages * this.pageSize);
      this.#sheetUsed = 0;
    }
    this.#sheetUsed += this.pageSize;
    return this.#sheet.subarray(this.#sheetUsed - this.pageSize, this.#sheetUsed);
  }

  #freeRun(id: number, count: number): void {
    if (!this.#host.freelist.free(id, count, this.txid)) this.corrupt("a page in use is in the free list too", id);
  }

  #allocate(count: number): number {
    const { freelist } = this.#host;
    const reused = freelist.allocate(count, this.txid);
    if (reused !== 0) return reused;
    const id = this.#highWater;
    this.#highWater += count;
    assert(Number.isSafeInteger(this.#highWater * this.pageSize), "bbolt: the file is too large");
    freelist.grow(this.#highWater);
    freelist.noteWritten(id, this.txid);
    return id;
  }

  async #run(steps: Generator<void>, pace: Pace | undefined): Promise<void> {
    for (;;) {
      const { done } = steps.next();
      if (done === true) return;
      if (pace?.due() === true) await pace.turn();
    }
  }

  /** Stores the ids of all free and pending pages, its own excepted. */
  #writeFreelist(): number {
    const { freelist } = this.#host;
    const estimate = freelist.freeCount + freelist.pendingCount + 1;
    const count = Math.ceil((pageHeaderSize + estimate * 8) / this.pageSize);
    const id = this.#allocate(count);
    const ids = freelist.ids();
    const bytes = new Uint8Array(count * this.pageSize);
    const words = new Uint32Array(bytes.buffer);
    const fits = ids.length <= elementCountMax;
    writePageHeader(words, 0, id, PageFlag.freelist, fits ? ids.length : 0xffff, count - 1);
    const view = new DataView(bytes.buffer);
    let offset = pageHeaderSize;
    for (const value of fits ? ids : [ids.length, ...ids]) {
      view.setBigUint64(offset, BigInt(value), true);
      offset += 8;
    }
    this.#dirty.set(id, new Page(id, bytes));
    return id;
  }

  async #writePages(): Promise<void> {
    const { file, cache } = this.#host;
    if (this.#highWater > this.#meta.highWater) await this.#host.growFile(this.#highWater);
    const pages = [...this.#dirty.values()].sort((a, b) => a.id - b.id);
    let run: Uint8Array[] = [];
    let start = 0;
    let end = 0;
    let position = 0;
    for (const page of pages) {
      const offset = page.id * this.pageSize;
      if (offset !== end || run.length === writeBuffersMax || end - start >= writeBytesMax) {
        if (run.length > 0) await file.writeMany(run, position);
        run = [];
        start = offset;
        position = offset;
      }
      run.push(page.bytes);
      end = offset + page.bytes.length;
    }
    if (run.length > 0) await file.writeMany(run, position);
    if (this.#host.syncs) await file.datasync();
    // Only now: until it is written, a page of this number may still be needed from the disk by no one, but a failed
    // write must not leave pages in the cache that the file does not have.
    for (const page of pages) {
      if ((page.words[2] & PageFlag.freelist) === 0) cache.add(page);
      else cache.remove(page.id);
    }
  }
}

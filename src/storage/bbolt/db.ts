/**
 * A bbolt database file: opening, choosing the valid meta, reading pages (bounded cache, no mmap), the free list, growth
 * and the lock. See etcd-io/bbolt db.go.
 */
import { assert } from "../../base/assert.ts";
import { runAtOnce, type Steps } from "../../base/steps.ts";
import { CorruptionError } from "../../base/corruption.ts";
import type { Disk, DiskFile } from "../../platform/disk.ts";
import type { PageSource } from "./cursor.ts";
import { decodeMeta, defaultPageSize, encodeNewFile, type Meta, PageFlag, pageHeaderSize } from "./format.ts";
import { Freelist } from "./freelist.ts";
import { PageCache } from "./page-cache.ts";
import { Page, pageFault } from "./page.ts";
import { reachablePages } from "./reachable.ts";
import { ReadAhead } from "./read-ahead.ts";
import type { TxHost } from "./tx-host.ts";
import { Tx } from "./tx.ts";

export interface BoltOptions {
  /** For reading only: takes no lock, writes nothing. */
  readonly readOnly?: boolean;
  /** Store the free list with every commit. Default false, as etcd on Linux; it is then found by walking the tree at open. */
  readonly storeFreelist?: boolean;
  /** No fdatasync: a crash of the machine may leave a broken file. */
  readonly noSync?: boolean;
  /** Most bytes of pages kept in memory. Default 64 MiB. */
  readonly pageCacheBytes?: number;
  /** Page size of a new file (a power of two). Default 4096. */
  readonly pageSize?: number;
  /** bbolt's mapping size, which decides how the file grows; etcd asks for 10 GiB. Default 0. */
  readonly initialMmapSize?: number;
  /** Permissions of a new file. Default 0o600. */
  readonly permissions?: number;
}

/** Another process holds the file. Try again. */
export class DatabaseLockedError extends Error {
  override readonly name = "DatabaseLockedError";
}

const pageCacheBytesDefault = 64 << 20;
/** Once the mapping is larger than this, the file grows by so much more than is needed. */
const growBytes = 16 << 20;
const restoreAdvice = "restore the file from a snapshot, or remove the member and add it again";

/** The host, with what the database replaces. */
interface MutableHost extends TxHost {
  meta: Meta;
  freelist: Freelist;
  syncs: boolean;
}

export class BoltDb {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #options: BoltOptions;
  readonly #cache: PageCache;
  readonly #host: MutableHost;
  /** bbolt's mapping size, emulated for its growth rule. */
  #mapSize: number;
  #writing = false;
  #broken: unknown;
  #closed = false;
  #closeWhenIdle = false;
  #isRetired = false;
  #freeAfterCommit = 0;

  private constructor(file: DiskFile, path: string, options: BoltOptions, meta: Meta) {
    this.#file = file;
    this.path = path;
    this.#options = options;
    this.#cache = new PageCache(options.pageCacheBytes ?? pageCacheBytesDefault);
    this.#mapSize = mapSizeFor(Math.max(file.size(), options.initialMmapSize ?? 0));
    this.#host = this.#createHost(meta);
  }

  /**
   * Opens a file, or creates it when it is missing or empty. Reads synchronously: with no stored free list, the whole file once.
   *
   * @throws {DatabaseLockedError} another process holds the lock. @throws {CorruptionError} @throws {DiskError}
   */
  static open(disk: Disk, path: string, options: BoltOptions = {}): BoltDb {
    return runAtOnce(BoltDb.openInSteps(disk, path, options));
  }

  /** As {@link open}, with pauses while the file is read. What it throws comes from a step. */
  static *openInSteps(disk: Disk, path: string, options: BoltOptions = {}): Steps<BoltDb> {
    const readOnly = options.readOnly === true;
    const file = disk.open(path, readOnly ? "read" : "create", options.permissions ?? 0o600);
    try {
      if (!readOnly && !file.tryLock()) throw new DatabaseLockedError(`${path} is locked by another process`);
      if (!readOnly && isBlank(file)) {
        file.writeSync(encodeNewFile(options.pageSize ?? defaultPageSize), 0);
        file.datasyncSync();
      }
      const db = new BoltDb(file, path, options, readMeta(file));
      db.#checkBounds();
      if (!readOnly) db.#host.freelist = yield* db.#findFree();
      db.#freeAfterCommit = db.#host.freelist.freeCount;
      return db;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The newest committed state. */
  get meta(): Meta {
    return this.#host.meta;
  }

  /** Pages that were allocatable after the last commit, as bbolt's `FreePageN`. */
  get freePages(): number {
    return this.#freeAfterCommit;
  }

  get openReaders(): number {
    return this.#host.freelist.readerCount;
  }

  get cachedBytes(): number {
    return this.#cache.bytes;
  }

  /**
   * Starts a transaction. A read transaction holds the pages that it sees until `rollback`; of write transactions there
   * is one at a time.
   */
  begin(writable: boolean): Tx {
    assert(!this.#closed, "bbolt: the database is closed");
    if (!writable) {
      this.#host.freelist.addReader(this.#host.meta.txid);
      return new Tx(this.#host, false);
    }
    assert(this.#options.readOnly !== true, "bbolt: the database is open for reading only");
    assert(!this.#writing, "bbolt: a write transaction is open");
    if (this.#broken !== undefined) {
      throw new Error(`${this.path}: an earlier write failed, nothing more is written`, { cause: this.#broken });
    }
    this.#writing = true;
    this.#host.freelist.releasePending();
    return new Tx(this.#host, true);
  }

  /** A reader of the newest state that holds nothing: good until the next `commit` after this one completes. */
  peek(): Tx {
    return new Tx(this.#host, false);
  }

  /** Ids of the free and pending pages, for the check; found by walking the tree when the file is open for reading only. */
  freeIds(): number[] {
    return this.#options.readOnly === true ? runAtOnce(this.#findFree()).ids() : this.#host.freelist.ids();
  }

  /** Pages of the stored free list. Only when the meta names one. @throws {CorruptionError} */
  storedFreelistPages(): number {
    const { freelist } = this.#host.meta;
    assert(freelist !== undefined, "bbolt: no free list is stored");
    return this.#freelistHeader(freelist).run;
  }

  /** Reads raw bytes of the file, for copies. */
  readRaw(target: Uint8Array, position: number): Promise<number> {
    return this.#file.read(target, position);
  }

  /**
   * Makes everything durable that a database opened with `noSync` wrote, and syncs every commit from now on.
   */
  async startSyncing(): Promise<void> {
    await this.sync();
    this.#host.syncs = true;
  }

  /** Makes durable what was written so far; with `noSync` nothing else does. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  /** Closes the file once no transaction is open any more. */
  close(): void {
    this.#closeWhenIdle = true;
    this.#closeIfIdle();
  }

  /** As {@link close}, of a file that another one has replaced: giving back its blocks may take long, nobody waits for it. */
  retire(): void {
    this.#isRetired = true;
    this.close();
  }

  #closeIfIdle(): void {
    if (this.#closed || !this.#closeWhenIdle || this.#writing || this.#host.freelist.readerCount > 0) return;
    this.#closed = true;
    this.#cache.clear();
    if (this.#isRetired) this.#file.release();
    else this.#file.close();
  }

  #createHost(meta: Meta): MutableHost {
    return {
      file: this.#file,
      cache: this.#cache,
      storesFreelist: this.#options.storeFreelist === true,
      syncs: this.#options.noSync !== true,
      meta,
      freelist: new Freelist(),
      page: (id, highWater) => this.#page(id, highWater),
      readAhead: (highWater, isTransient) => this.#readAhead(highWater, isTransient),
      freelistRun: (id) => this.#freelistHeader(id).run,
      growFile: (highWater) => this.#growFile(highWater),
      corrupt: (what, page) => this.#corrupt(what, page),
      committed: (next) => {
        this.#host.meta = next;
        this.#freeAfterCommit = this.#host.freelist.freeCount;
        this.#writing = false;
        this.#closeIfIdle();
      },
      rolledBack: () => {
        this.#writing = false;
        this.#closeIfIdle();
      },
      failed: (error) => {
        this.#broken = error;
        this.#writing = false;
        this.#closeIfIdle();
      },
      readerClosed: (txid) => {
        this.#host.freelist.removeReader(txid);
        this.#closeIfIdle();
      },
    };
  }

  #page(id: number, highWater: number): Page {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const page = this.#load(id, highWater);
    this.#cache.add(page);
    return page;
  }

  #readAhead(highWater: number, isTransient: boolean): PageSource {
    return new ReadAhead({
      file: this.#file,
      pageSize: this.#host.meta.pageSize,
      highWater,
      cached: (id) => this.#cache.get(id),
      load: (id) => this.#load(id, highWater),
      isTransient,
    });
  }

  #load(id: number, highWater: number): Page {
    const { pageSize } = this.#host.meta;
    if (!(id >= 2 && id < highWater)) this.#corrupt(`a reference to page ${id}, outside [2, ${highWater})`);
    let bytes: Uint8Array = new Uint8Array(pageSize);
    if (this.#file.readSync(bytes, id * pageSize) < pageSize) this.#corrupt("the file ends inside the page", id);
    const words = new Uint32Array(bytes.buffer);
    if (words[0] + words[1] * 0x1_0000_0000 !== id) this.#corrupt(`the page carries number ${words[0]}`, id);
    const run = words[3] + 1;
    if (id + run > highWater) this.#corrupt(`a run of ${run} pages goes beyond page ${highWater}`, id);
    if (run > 1) {
      bytes = new Uint8Array(run * pageSize);
      if (this.#file.readSync(bytes, id * pageSize) < bytes.length) this.#corrupt("the file ends inside the page", id);
    }
    const fault = pageFault(bytes, new Uint32Array(bytes.buffer), 0, bytes.length);
    if (fault !== undefined) this.#corrupt(fault, id);
    return new Page(id, bytes);
  }

  #corrupt(what: string, page?: number): never {
    const text = page === undefined ? what : `page ${page}: ${what}`;
    const place =
      page === undefined ? { path: this.path } : { path: this.path, offset: page * this.#host.meta.pageSize };
    throw new CorruptionError(place, text, restoreAdvice);
  }

  #checkBounds(): void {
    const { root, highWater, pageSize, freelist } = this.#host.meta;
    const size = this.#file.size();
    if (size < pageSize * 2) this.#corrupt(`file size too small ${size}`);
    if (highWater * pageSize > size) {
      this.#corrupt(`the file has ${size} bytes, its meta page speaks of ${highWater * pageSize}: it was cut short`);
    }
    if (root < 2 || root >= highWater) this.#corrupt(`root page ${root} outside [2, ${highWater})`);
    if (freelist !== undefined && (freelist < 2 || freelist >= highWater)) {
      this.#corrupt(`freelist page ${freelist} outside [2, ${highWater})`);
    }
  }

  /** Takes the stored list, or finds what is not reachable. Either way every reachable page is seen once and checked. */
  *#findFree(): Steps<Freelist> {
    const freelist = new Freelist();
    const { highWater, freelist: stored } = this.#host.meta;
    freelist.grow(highWater);
    const reachable = yield* reachablePages({
      file: this.#file,
      meta: this.#host.meta,
      page: (id) => this.#page(id, highWater),
      corrupt: (what, page) => this.#corrupt(what, page),
    });
    if (stored === undefined) {
      for (let id = 2; id < highWater; id++) if (reachable[id] === 0) freelist.addFree(id);
    } else {
      for (const id of this.#readFreelist(stored)) {
        if (id < 2 || id >= highWater) this.#corrupt(`free page ${id} outside [2, ${highWater})`, stored);
        if (reachable[id] !== 0) this.#corrupt(`page ${id} is in use and in the free list`, stored);
        if (!freelist.addFree(id)) this.#corrupt(`page ${id} is twice in the free list`, stored);
      }
    }
    return freelist;
  }

  #freelistHeader(id: number): { run: number; count: number } {
    const { pageSize, highWater } = this.#host.meta;
    const bytes = new Uint8Array(pageHeaderSize + 8);
    this.#file.readSync(bytes, id * pageSize);
    const words = new Uint32Array(bytes.buffer);
    const run = words[3] + 1;
    const few = words[2] >>> 16;
    const count = few < 0xffff ? few : words[4] + words[5] * 0x1_0000_0000;
    if (words[0] !== id >>> 0 || (words[2] & 0xffff) !== PageFlag.freelist) this.#corrupt("not a freelist page", id);
    const size = pageHeaderSize + (few < 0xffff ? count : count + 1) * 8;
    if (id + run > highWater || size > run * pageSize) this.#corrupt(`a free list of ${count} pages does not fit`, id);
    return { run, count };
  }

  #readFreelist(id: number): number[] {
    const { count } = this.#freelistHeader(id);
    const start = pageHeaderSize + (count < 0xffff ? 0 : 8);
    const bytes = new Uint8Array(count * 8);
    this.#file.readSync(bytes, id * this.#host.meta.pageSize + start);
    const words = new Uint32Array(bytes.buffer);
    return Array.from({ length: count }, (_, index) => words[index * 2] + words[index * 2 + 1] * 0x1_0000_0000);
  }

  async #growFile(highWater: number): Promise<void> {
    const needed = (highWater + 1) * this.#host.meta.pageSize;
    if (needed >= this.#mapSize) this.#mapSize = mapSizeFor(needed);
    if (needed <= this.#file.size()) return;
    this.#file.truncate(this.#mapSize <= growBytes ? this.#mapSize : needed + growBytes);
    if (this.#host.syncs) await this.#file.sync();
  }
}

/** bbolt's mapping sizes: powers of two from 32 KiB to 1 GiB, then whole gigabytes. */
function mapSizeFor(size: number): number {
  const gigabyte = 2 ** 30;
  if (size > gigabyte) return Math.ceil(size / gigabyte) * gigabyte;
  let mapped = 1 << 15;
  while (mapped < size) mapped *= 2;
  return mapped;
}

/**
 * A file with nothing in it: empty, or a creation that a crash interrupted (no longer than a new file and all zeros).
 * bbolt refuses the second; no data can be lost by starting it anew.
 */
function isBlank(file: DiskFile): boolean {
  const size = file.size();
  if (size === 0) return true;
  if (size > 4 * 65536) return false;
  const bytes = new Uint8Array(size);
  file.readSync(bytes, 0);
  return bytes.every((byte) => byte === 0);
}

/** The newer valid meta. @throws {CorruptionError} when neither is valid. */
function readMeta(file: DiskFile): Meta {
  const pageSize = findPageSize(file);
  const read = (page: number): Meta | string => {
    const bytes = new Uint8Array(Math.max(pageSize, 128));
    const count = file.readSync(bytes, page * pageSize);
    return decodeMeta(bytes.subarray(0, count));
  };
  const first = read(0);
  const second = read(1);
  if (typeof first === "string") {
    if (typeof second !== "string") return second;
    throw new CorruptionError(
      { path: file.path, offset: 0 },
      `${first}: both meta pages are damaged (page 0: ${first}, page 1: ${second})`,
      restoreAdvice,
    );
  }
  return typeof second === "string" || first.txid > second.txid ? first : second;
}

/** The page size is in the metas, and where the second one lies depends on it. */
function findPageSize(file: DiskFile): number {
  const bytes = new Uint8Array(128);
  for (let position = 0; position < file.size(); position = position === 0 ? 1024 : position * 2) {
    const count = file.readSync(bytes, position);
    const meta = decodeMeta(bytes.subarray(0, count));
    if (typeof meta !== "string") return meta.pageSize;
    if (position >= 1024 << 14) break;
  }
  return defaultPageSize;
}

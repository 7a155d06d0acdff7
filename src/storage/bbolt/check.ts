/**
 * The consistency check of a database as a transaction sees it: what `bbolt check` and `etcdutl snapshot status` report.
 * Pages reached twice or free as well, free twice, or neither reached nor free; keys out of order; pages of a wrong kind.
 * See etcd-io/bbolt tx_check.go.
 */
import { CorruptionError } from "../../base/corruption.ts";
import type { Bucket } from "./bucket.ts";
import type { BoltDb } from "./db.ts";
import { treeDepthMax } from "./format.ts";
import type { Page } from "./page.ts";
import type { Tx } from "./tx.ts";

/** Faults listed at most; a badly damaged file would list every page. */
const faultsMax = 100;

/** Checks the newest committed state. @returns what is wrong, in words; empty when the file is sound. */
export function checkDatabase(db: BoltDb): string[] {
  const tx = db.begin(false);
  try {
    return new Check(tx, db).run();
  } finally {
    tx.rollback();
  }
}

class Check {
  readonly #tx: Tx;
  readonly #db: BoltDb;
  readonly #faults: string[] = [];
  readonly #reached: Uint8Array;
  readonly #freed: Uint8Array;

  constructor(tx: Tx, db: BoltDb) {
    this.#tx = tx;
    this.#db = db;
    this.#reached = new Uint8Array(tx.meta.highWater);
    this.#freed = new Uint8Array(tx.meta.highWater);
  }

  run(): string[] {
    try {
      for (const id of this.#db.freeIds()) if (id < this.#freed.length) this.#freed[id] = 1;
      this.#reached.fill(1, 0, 2);
      const { freelist } = this.#tx.meta;
      if (freelist !== undefined) this.#reached.fill(1, freelist, freelist + this.#db.storedFreelistPages());
      this.#checkBucket(this.#tx.root);
      for (let id = 2; id < this.#reached.length; id++) {
        if (this.#reached[id] === 0 && this.#freed[id] === 0) this.#report(`page ${id}: unreachable unfreed`);
      }
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#report(error.message);
    }
    return this.#faults;
  }

  #report(fault: string): void {
    if (this.#faults.length < faultsMax) this.#faults.push(fault);
  }

  #checkBucket(bucket: Bucket): void {
    if (bucket.rootPage === 0) return;
    this.#checkPage(bucket, bucket.rootPage, undefined, undefined, 0);
  }

  /** @param first - the key by which the parent knows the page. @param end - the first key that must not be below it. */
  #checkPage(
    bucket: Bucket,
    id: number,
    first: Uint8Array | undefined,
    end: Uint8Array | undefined,
    depth: number,
  ): void {
    const page = this.#tx.page(id);
    if (depth > treeDepthMax || !this.#reach(page)) return;
    this.#checkKeys(page, first, end);
    for (let index = 0; index < page.count; index++) {
      if (!page.isLeaf) {
        const next = index + 1 < page.count ? page.keyAt(index + 1) : end;
        this.#checkPage(bucket, page.childAt(index), page.keyAt(index), next, depth + 1);
      } else if (page.isBucketAt(index)) {
        const child = bucket.bucket(page.keyAt(index));
        if (child === undefined) this.#report(`page ${id}: bucket ${index} cannot be found by its name`);
        else this.#checkBucket(child);
      }
    }
    if (page.count === 0 && depth > 0) this.#report(`page ${id}: empty below a branch`);
  }

  /** False when the page was reached before: its subtree is not walked again. */
  #reach(page: Page): boolean {
    let fresh = true;
    for (let id = page.id; id < page.id + page.bytes.length / this.#tx.pageSize; id++) {
      if (this.#reached[id] === 1) {
        this.#report(`page ${id}: multiple references`);
        fresh = false;
      }
      this.#reached[id] = 1;
      if (this.#freed[id] === 1) this.#report(`page ${id}: reachable freed`);
    }
    return fresh;
  }

  /** Order inside the page was checked when it was read; here its place among its neighbours. */
  #checkKeys(page: Page, first: Uint8Array | undefined, end: Uint8Array | undefined): void {
    if (page.count === 0) return;
    // Equality, not only order: bbolt finds a child in its parent by the child's first key when it rewrites the path.
    if (first !== undefined && Buffer.compare(page.keyAt(0), first) !== 0) {
      this.#report(`page ${page.id}: its first key is not the one its parent knows it by`);
    }
    if (end !== undefined && Buffer.compare(page.keyAt(page.count - 1), end) >= 0) {
      this.#report(`page ${page.id}: its last key is not less than the next page's first`);
    }
  }
}

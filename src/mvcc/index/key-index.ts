/**
 * The key index: every key with its revisions, in memory, without an object per key.
 *
 * A key's life is a list of revisions, oldest first; a tombstone ends a generation:
 *
 *     put 2, put 3, delete 4, put 6      { 2, 3, 4(t) } { 6 }
 *
 * The newest revision, and create revision and version of the living generation, are columns; older ones are in the
 * revision pool, which most keys do not touch. What holds at revision r is the newest entry with main <= r, and there is
 * nothing when that is a tombstone.
 *
 * `compactSlot(c)` keeps from the newest entry with main <= c on; when that is a tombstone it stays only if its main is
 * c itself (a watcher may still start there). So:
 *
 *     compact 2: { 2, 3, 4(t) } { 6 }     compact 3: { 3, 4(t) } { 6 }     compact 4: { 4(t) } { 6 }     compact 5: { 6 }
 *
 * Source: etcd server/storage/mvcc/{index,key_index}.go. Where etcd walks, this searches; results are equal. One case
 * differs: a key put again in the very transaction that deleted it, compacted at that revision. etcd loses the row and
 * crashes on the next read; here the put stays.
 */
import { assert } from "../../base/assert.ts";
import type { Steps } from "../../base/steps.ts";
import { Columns, leasedBit, subMask } from "./columns.ts";
import { HashTable } from "./hash-table.ts";
import { hashKey, type HashSeed } from "./key-hash.ts";
import { KeySlabs } from "./key-slabs.ts";
import { noHistory, RevisionPool, tombstoneBit } from "./revision-pool.ts";
import { type KeysOfSlots, sortSlots } from "./sort-slots.ts";
import { bulkSlots, SortedSlots } from "./sorted-slots.ts";

/** What {@link KeyIndex.endLoad} does between two yields: about a millisecond. */
const slotsPerStep = 100_000;
const chunksPerStep = 8;

export class KeyIndex {
  readonly #columns = new Columns();
  readonly #slabs = new KeySlabs();
  readonly #pool = new RevisionPool();
  /** The slots in key order; changed only here, read by KeyRanges. */
  readonly order = new SortedSlots(this.#columns, this.#slabs);
  readonly #table = new HashTable(this);
  readonly #seedLow: number;
  readonly #seedHigh: number;
  #liveCount = 0;
  #isLoading = false;

  /** Outputs of {@link findAt}: two numbers, without an object for them. */
  foundMain = 0;
  foundSub = 0;

  /** @param seed - secret numbers for the hash of keys; without one clients could choose colliding keys. */
  constructor(seed: HashSeed = { low: 0, high: 0 }) {
    this.#seedLow = seed.low;
    this.#seedHigh = seed.high;
  }

  /** Keys that exist now. */
  get liveCount(): number {
    return this.#liveCount;
  }

  /** Every slot number is below it. */
  get slotCount(): number {
    return this.#columns.slotCount;
  }

  get allocatedBytes(): number {
    return (
      this.#columns.allocatedBytes +
      this.#slabs.allocatedBytes +
      this.#pool.allocatedBytes +
      this.order.allocatedBytes +
      this.#table.allocatedBytes
    );
  }

  /** Slot of a key that has revisions (deleted ones included), or -1. */
  find(key: Uint8Array): number {
    return this.#table.find(key, this.#hash(key));
  }

  slotHasKey(slot: number, key: Uint8Array): boolean {
    return this.#slabs.equals(this.#columns.address(slot), key);
  }

  slotHash(slot: number): number {
    return this.#hash(this.key(slot));
  }

  keyMoved(key: Uint8Array, address: number): void {
    const slot = this.find(key);
    this.#columns.page(slot).address[this.#columns.at(slot)] = address;
    this.order.moved(slot, address);
  }

  /** A view of bytes that never change. */
  key(slot: number): Uint8Array {
    return this.#slabs.view(this.#columns.address(slot));
  }

  /** Whether the key exists now. */
  isLive(slot: number): boolean {
    return this.#columns.isLive(slot);
  }

  /** Of the living generation. */
  createRevision(slot: number): number {
    return this.#columns.create(slot);
  }

  /** Puts in the living generation; 0 when deleted. */
  version(slot: number): number {
    return this.#columns.version(slot);
  }

  /** Whether the newest row of the key names a lease. */
  isLeased(slot: number): boolean {
    return (this.#columns.page(slot).sub[this.#columns.at(slot)] & leasedBit) !== 0;
  }

  /** Records a put; `slot` is what {@link find} said (-1: a new key). Returns the slot. */
  put(slot: number, key: Uint8Array, main: number, sub: number, isLeased: boolean): number {
    const flagged = isLeased ? (sub | leasedBit) >>> 0 : sub;
    if (slot < 0) return this.#create(key, main, flagged, main, 1);
    const version = this.version(slot);
    const create = version === 0 ? main : this.createRevision(slot);
    this.#pushNewest(slot, main, flagged);
    this.#columns.setCreate(slot, create);
    this.#columns.setVersion(slot, version + 1);
    const chunk = this.order.chunkOf(slot);
    if (version === 0) {
      chunk.live++;
      this.#liveCount++;
    }
    chunk.maxMain = main;
    return slot;
  }

  /** Records the deletion of a living key. */
  tombstone(slot: number, main: number, sub: number): void {
    assert(this.isLive(slot), "tombstone on a deleted key");
    this.#pushNewest(slot, main, (sub | tombstoneBit) >>> 0);
    this.#columns.setVersion(slot, 0);
    const chunk = this.order.chunkOf(slot);
    chunk.live--;
    chunk.maxMain = main;
    this.#liveCount--;
  }

  /** Whether the key exists at `main`; then its revision is in {@link foundMain} and {@link foundSub}. */
  findAt(slot: number, main: number): boolean {
    const page = this.#columns.page(slot);
    const at = this.#columns.at(slot);
    let foundMain = page.main[at];
    let foundSub = page.sub[at];
    if (foundMain > main) {
      const history = page.history[at];
      const index = this.#pool.lastUpTo(history, main);
      if (index < 0) return false;
      foundMain = this.#pool.main(history, index);
      foundSub = this.#pool.sub(history, index);
    }
    if (foundSub >= tombstoneBit) return false;
    this.foundMain = foundMain;
    this.foundSub = foundSub & subMask;
    return true;
  }

  /** Whether the key's oldest revision is this one. After compaction at c it is the only one with main <= c. */
  isOldest(slot: number, main: number, sub: number): boolean {
    const page = this.#columns.page(slot);
    const at = this.#columns.at(slot);
    const history = page.history[at];
    if (history === noHistory) return page.main[at] === main && (page.sub[at] & subMask) === sub;
    return this.#pool.main(history, 0) === main && (this.#pool.sub(history, 0) & subMask) === sub;
  }

  /**
   * Compacts one slot at `main` (unused slots are skipped); a key without anything left is removed.
   *
   * @returns whether a revision with main <= `main` stays.
   */
  compactSlot(slot: number, main: number): boolean {
    if (!this.#columns.isUsed(slot)) return false;
    const page = this.#columns.page(slot);
    const at = this.#columns.at(slot);
    const history = page.history[at];
    if (page.main[at] <= main) {
      // The newest revision is the one to keep, or the tombstone that ends the key.
      const isTombstone = page.sub[at] >= tombstoneBit;
      if (isTombstone && page.main[at] < main) {
        this.#remove(slot);
        return false;
      }
      this.#pool.free(history);
      page.history[at] = noHistory;
      return true;
    }
    const index = this.#pool.lastUpTo(history, main);
    if (index < 0) return false;
    const isDropped = this.#pool.sub(history, index) >= tombstoneBit && this.#pool.main(history, index) < main;
    page.history[at] = this.#pool.dropOldest(history, isDropped ? index + 1 : index);
    return !isDropped;
  }

  /** Gives back the memory of removed keys, a slab at a time; call it {@link slabCount} times for a whole round. */
  evacuateSlab(): void {
    this.#slabs.evacuate(this);
  }

  get slabCount(): number {
    return this.#slabs.slabCount;
  }

  /** From here to {@link endLoad} only {@link load} may be called; the index must be empty. */
  beginLoad(): void {
    assert(this.#columns.slotCount === 0, "bulk load into an index that is not empty");
    this.#isLoading = true;
    this.#table.beginLoad();
  }

  /**
   * Records a row met at start, in revision order. `create` and `version` are those of the row.
   *
   * @returns the slot, or -1 for a tombstone of a key already deleted, which is ignored as etcd does.
   */
  load(
    key: Uint8Array,
    main: number,
    sub: number,
    isTombstone: boolean,
    create: number,
    version: number,
    isLeased: boolean,
  ): number {
    assert(this.#isLoading, "load outside of a bulk load");
    const hash = this.#hash(key);
    const slot = this.#table.find(key, hash);
    const flags = isTombstone ? tombstoneBit : isLeased ? leasedBit : 0;
    const flagged = (sub | flags) >>> 0;
    const storedVersion = isTombstone ? 0 : Math.max(version, 1);
    if (slot < 0) return this.#allocate(key, hash, main, flagged, create, storedVersion);
    if (isTombstone && !this.isLive(slot)) return -1;
    this.#pushNewest(slot, main, flagged);
    this.#columns.setCreate(slot, create);
    this.#columns.setVersion(slot, storedVersion);
    return slot;
  }

  /** Sorts what was loaded. Nothing else may be called before its last step. */
  *endLoad(): Steps<void> {
    this.#table.endLoad();
    const { slotCount } = this.#columns;
    const slots = new Uint32Array(slotCount);
    for (let slot = 0; slot < slotCount; slot++) {
      slots[slot] = slot;
      if (slot % slotsPerStep === 0) yield;
    }
    yield* sortSlots(slots, new SlotKeyBytes(this.#columns, this.#slabs));
    for (let start = 0; start < slotCount; start += bulkSlots) {
      this.#appendChunk(slots.subarray(start, start + bulkSlots));
      if (this.order.chunks.length % chunksPerStep === 0) yield;
    }
    this.#isLoading = false;
  }

  /** @param slots - in key order. */
  #appendChunk(slots: Uint32Array): void {
    const chunk = this.order.append(slots);
    for (const slot of slots) {
      const page = this.#columns.page(slot);
      const at = this.#columns.at(slot);
      if (page.version[at] !== 0) chunk.live++;
      if (page.main[at] > chunk.maxMain) chunk.maxMain = page.main[at];
    }
    this.#liveCount += chunk.live;
  }

  /** The revisions of a key as etcd's comments write them, for tests and debugging: `{2, 3, 4(t)}{6}`. */
  describe(key: Uint8Array): string {
    const slot = this.find(key);
    if (slot < 0) return "";
    const page = this.#columns.page(slot);
    const at = this.#columns.at(slot);
    const history = page.history[at];
    let text = "";
    let open = false;
    const add = (main: number, sub: number): void => {
      const revision = (sub & subMask) === 0 ? `${main}` : `${main}.${sub & subMask}`;
      text += open ? `, ${revision}` : `{${revision}`;
      open = sub < tombstoneBit;
      if (!open) text += "(t)}";
    };
    for (let index = 0; index < this.#pool.count(history); index++) {
      add(this.#pool.main(history, index), this.#pool.sub(history, index));
    }
    add(page.main[at], page.sub[at]);
    return open ? `${text}}` : text;
  }

  #hash(key: Uint8Array): number {
    return hashKey(key, this.#seedLow, this.#seedHigh);
  }

  #create(key: Uint8Array, main: number, flaggedSub: number, create: number, version: number): number {
    const slot = this.#allocate(key, this.#hash(key), main, flaggedSub, create, version);
    const chunk = this.order.insert(slot, key);
    chunk.live++;
    chunk.maxMain = main;
    this.#liveCount++;
    return slot;
  }

  #allocate(key: Uint8Array, hash: number, main: number, flaggedSub: number, create: number, version: number): number {
    const slot = this.#columns.allocate();
    const page = this.#columns.page(slot);
    const at = this.#columns.at(slot);
    page.address[at] = this.#slabs.add(key);
    page.main[at] = main;
    page.sub[at] = flaggedSub;
    this.#columns.setCreate(slot, create);
    this.#columns.setVersion(slot, version);
    page.history[at] = noHistory;
    this.#table.add(hash, slot);
    return slot;
  }

  #pushNewest(slot: number, main: number, flaggedSub: number): void {
    const page = this.#columns.page(slot);
    const at = this.#columns.at(slot);
    const oldMain = page.main[at];
    const oldSub = page.sub[at];
    assert(
      main > oldMain || (main === oldMain && (flaggedSub & subMask) > (oldSub & subMask)),
      "revision of a key goes back",
    );
    page.history[at] = this.#pool.append(page.history[at], oldMain, (oldSub & ~leasedBit) >>> 0);
    page.main[at] = main;
    page.sub[at] = flaggedSub;
  }

  #remove(slot: number): void {
    const page = this.#columns.page(slot);
    const at = this.#columns.at(slot);
    const address = page.address[at];
    const key = this.#slabs.view(address);
    this.order.remove(key);
    this.#table.remove(this.#hash(key), slot);
    this.#pool.free(page.history[at]);
    this.#slabs.remove(address);
    this.#columns.release(slot);
  }
}

/** The bytes of keys by slot, for sorting. */
class SlotKeyBytes implements KeysOfSlots {
  readonly #columns: Columns;
  readonly #slabs: KeySlabs;

  constructor(columns: Columns, slabs: KeySlabs) {
    this.#columns = columns;
    this.#slabs = slabs;
  }

  length(slot: number): number {
    return this.#slabs.length(this.#columns.address(slot));
  }

  view(slot: number): Uint8Array {
    return this.#slabs.view(this.#columns.address(slot));
  }

  wordAt(slot: number, depth: number): number {
    return this.#slabs.wordAt(this.#columns.address(slot), depth);
  }

  sharesBytes(slot: number, other: number, length: number): boolean {
    return this.#slabs.sharesBytes(this.#columns.address(slot), this.#columns.address(other), length);
  }

  commonPrefix(slot: number, key: Uint8Array, from: number): number {
    return this.#slabs.commonPrefix(this.#columns.address(slot), key, from);
  }

  orderAfter(slot: number, key: Uint8Array, common: number): number {
    return this.#slabs.orderAfter(this.#columns.address(slot), key, common);
  }
}

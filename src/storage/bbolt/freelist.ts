/**
 * Which pages may be reused, and from when on.
 *
 * A page that transaction F frees was written by some transaction A <= F. Exactly the snapshots r with A <= r < F can
 * see it. It stays *pending* until no open reader is in that interval, and at least until the next write transaction:
 * a crash during F must find the state before F whole.
 *
 * Free pages are bits; a run is taken at the lowest place where it fits. bbolt offers "array" (same policy) and
 * "hashmap" (random placement); the file is equally valid with any of them, and low places keep sequential scans
 * sequential. `#hints` make the search for small runs amortised constant.
 *
 * See etcd-io/bbolt internal/freelist.
 */
import { assert } from "../../base/assert.ts";

/** Run lengths that have a hint of their own; longer ones start at the last hint. */
const hintMax = 16;

interface Pending {
  readonly txid: number;
  ids: number[];
  /** Transaction that wrote the page, 0 when that was before the oldest reader. Parallel to `ids`. */
  writtenBy: number[];
  /** Value of `#closings` when this entry was last looked through in vain. */
  examined: number;
}

export class Freelist {
  /** One bit a page: may be allocated. */
  #free = new Uint32Array(64);
  /** One bit a page: free or pending. */
  #released = new Uint32Array(64);
  /** Pages known, = high water mark. */
  #limit = 0;
  #freeCount = 0;
  #pendingCount = 0;
  #pending: Pending[] = [];
  /** Invariant: no free run of `n` pages starts before `#hints[n]`. */
  readonly #hints: number[] = Array.from({ length: hintMax + 1 }, () => 0);
  /** Transactions of the open readers; a small, unsorted multiset. */
  readonly #readers: number[] = [];
  /** Readers closed so far: pending entries need a new look only after that. */
  #closings = 0;
  /** Who wrote a page, for pages written while a reader was open. */
  readonly #writtenBy = new Map<number, number>();

  /** Pages that can be allocated now. */
  get freeCount(): number {
    return this.#freeCount;
  }

  get pendingCount(): number {
    return this.#pendingCount;
  }

  get readerCount(): number {
    return this.#readers.length;
  }

  /** Adds a free page at start-up. False when it is free already. */
  addFree(id: number): boolean {
    this.grow(id + 1);
    if (this.isReleased(id)) return false;
    setBit(this.#free, id);
    setBit(this.#released, id);
    this.#freeCount++;
    return true;
  }

  isReleased(id: number): boolean {
    return id < this.#limit && hasBit(this.#released, id);
  }

  addReader(txid: number): void {
    this.#readers.push(txid);
  }

  removeReader(txid: number): void {
    const index = this.#readers.indexOf(txid);
    assert(index >= 0, "freelist: this reader is not open");
    this.#readers[index] = this.#readers[this.#readers.length - 1];
    this.#readers.pop();
    this.#closings++;
    if (this.#readers.length === 0) this.#writtenBy.clear();
  }

  /** Makes pending pages that nobody can see allocatable. Call when a write transaction begins. */
  releasePending(): void {
    const kept: Pending[] = [];
    for (const entry of this.#pending) {
      if (entry.examined !== this.#closings || this.#readers.length === 0) this.#releaseUnseen(entry);
      if (entry.ids.length > 0) kept.push(entry);
    }
    this.#pending = kept;
  }

  /** Lowest run of `count` free pages, or 0. */
  allocate(count: number, txid: number): number {
    assert(count > 0, "freelist: an empty run");
    if (count > this.#freeCount) return 0;
    const hint = count < hintMax ? count : hintMax;
    const start = this.#findRun(this.#hints[hint], count);
    if (count <= hintMax) this.#hints[hint] = start === 0 ? this.#limit : start + count;
    if (start === 0) return 0;
    for (let id = start; id < start + count; id++) {
      clearBit(this.#free, id);
      clearBit(this.#released, id);
    }
    this.#freeCount -= count;
    this.noteWritten(start, txid);
    return start;
  }

  /** Remembers who wrote a run (allocated here or beyond the old high water mark). */
  noteWritten(id: number, txid: number): void {
    if (this.#readers.length > 0) this.#writtenBy.set(id, txid);
  }

  /** Frees a run that a committed transaction wrote. @returns false when a page of it is free already (a damaged file). */
  free(id: number, count: number, txid: number): boolean {
    assert(id > 1, "freelist: the meta pages are never free");
    this.grow(id + count);
    const writtenBy = this.#writtenBy.get(id) ?? 0;
    this.#writtenBy.delete(id);
    let entry = this.#pending.at(-1);
    if (entry === undefined || entry.txid !== txid) {
      entry = { txid, ids: [], writtenBy: [], examined: -1 };
      this.#pending.push(entry);
    }
    for (let page = id; page < id + count; page++) {
      if (hasBit(this.#released, page)) return false;
      setBit(this.#released, page);
      entry.ids.push(page);
      entry.writtenBy.push(writtenBy);
    }
    this.#pendingCount += count;
    return true;
  }

  /** Takes back a run that the running transaction allocated: nobody has seen it, it is free at once. */
  giveBack(id: number, count: number): void {
    this.grow(id + count);
    for (let page = id; page < id + count; page++) {
      assert(!hasBit(this.#released, page), "freelist: a page in use is given back twice");
      setBit(this.#free, page);
      setBit(this.#released, page);
    }
    this.#freeCount += count;
    this.#lowerHints(id);
    this.#writtenBy.delete(id);
  }

  /** Undoes what `txid` freed and forgets pages from `limit` on. What it allocated was given back before. */
  rollback(txid: number, limit: number): void {
    const entry = this.#pending.at(-1);
    if (entry !== undefined && entry.txid === txid) {
      for (const id of entry.ids) clearBit(this.#released, id);
      this.#pendingCount -= entry.ids.length;
      this.#pending.pop();
    }
    for (let id = limit; id < this.#limit; id++) {
      if (hasBit(this.#free, id)) this.#freeCount--;
      clearBit(this.#free, id);
      clearBit(this.#released, id);
    }
    this.#limit = Math.min(this.#limit, limit);
  }

  /** All free and pending pages, ascending. Owned. */
  ids(): number[] {
    const ids: number[] = [];
    for (let id = 0; id < this.#limit; id++) if (hasBit(this.#released, id)) ids.push(id);
    return ids;
  }

  /** Makes room for pages below `limit`. */
  grow(limit: number): void {
    if (limit <= this.#limit) return;
    this.#limit = limit;
    const words = (limit + 31) >>> 5;
    if (words <= this.#free.length) return;
    const size = Math.max(words, this.#free.length * 2);
    const free = new Uint32Array(size);
    free.set(this.#free);
    this.#free = free;
    const released = new Uint32Array(size);
    released.set(this.#released);
    this.#released = released;
  }

  #releaseUnseen(entry: Pending): void {
    const ids: number[] = [];
    const writtenBy: number[] = [];
    for (let index = 0; index < entry.ids.length; index++) {
      const id = entry.ids[index];
      const from = entry.writtenBy[index];
      if (this.#readers.some((reader) => reader >= from && reader < entry.txid)) {
        ids.push(id);
        writtenBy.push(from);
        continue;
      }
      setBit(this.#free, id);
      this.#freeCount++;
      this.#pendingCount--;
      this.#lowerHints(id);
    }
    entry.ids = ids;
    entry.writtenBy = writtenBy;
    entry.examined = this.#closings;
  }

  /** A run that contains `id` starts at most its length minus one before it. */
  #lowerHints(id: number): void {
    const hints = this.#hints;
    for (let length = 1; length < hintMax; length++) {
      const start = id - length + 1;
      if (start < hints[length]) hints[length] = start < 0 ? 0 : start;
    }
    // Runs of any greater length share the last hint, so nothing is known about where they start.
    hints[hintMax] = 0;
  }

  #findRun(from: number, count: number): number {
    const free = this.#free;
    let run = 0;
    let id = from;
    while (id < this.#limit) {
      const word = free[id >>> 5];
      if ((id & 31) === 0 && (word === 0 || (word === 0xffff_ffff && run + 32 < count))) {
        run = word === 0 ? 0 : run + 32;
        id += 32;
        continue;
      }
      run = (word & (1 << (id & 31))) === 0 ? 0 : run + 1;
      id++;
      if (run === count) return id - count;
    }
    return 0;
  }
}

function hasBit(bits: Uint32Array, id: number): boolean {
  return (bits[id >>> 5] & (1 << (id & 31))) !== 0;
}

function setBit(bits: Uint32Array, id: number): void {
  bits[id >>> 5] |= 1 << (id & 31);
}

function clearBit(bits: Uint32Array, id: number): void {
  bits[id >>> 5] &= ~(1 << (id & 31));
}

/**
 * A log in memory that follows what a member has made durable: the core's view of the WAL. Mirrors `MemoryStorage` in
 * etcd-io/raft storage.go.
 *
 * ```text
 *    compacted |  entries[0] .. entries[n-1]
 *    ----------+----------------------------
 *        ^offset                  ^offset + n = lastIndex
 *        its term is kept, for matching
 * ```
 */
import { assert, InvariantError } from "../base/assert.ts";
import { createSnapshot, NONE } from "../wire/raft/types.ts";
import type { ConfState, Entry, HardState, Snapshot } from "../wire/raft/types.ts";
import { endOfRun } from "./entries.ts";
import { StorageError } from "./errors.ts";
import type { Storage } from "./storage.ts";

export class MemoryStorage implements Storage {
  #hardState: HardState = { term: 0, vote: NONE, commit: 0 };
  #snapshot: Snapshot = createSnapshot();
  /** Index of the entry before the first one. */
  #offset = 0;
  #offsetTerm = 0;
  #entries: Entry[] = [];
  #appendedBytes = 0;

  initialState(): { hardState: HardState; confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#snapshot.metadata.confState };
  }

  setHardState(state: HardState): void {
    this.#hardState = state;
  }

  firstIndex(): number {
    return this.#offset + 1;
  }

  lastIndex(): number {
    return this.#offset + this.#entries.length;
  }

  /** Data of all entries that were ever appended, in bytes. Only grows. */
  get appendedBytes(): number {
    return this.#appendedBytes;
  }

  /** Lowest index from which on the entries hold at most `bytesMax`; `lastIndex + 1` when the last one alone holds more. */
  firstWithin(bytesMax: number): number {
    let first = this.#entries.length;
    for (let bytes = 0; first > 0; first--) {
      bytes += this.#entries[first - 1].data.length;
      if (bytes > bytesMax) break;
    }
    return this.#offset + first + 1;
  }

  term(index: number): number | undefined {
    if (index === this.#offset) return this.#offsetTerm;
    return this.#entries[index - this.#offset - 1]?.term;
  }

  entries(low: number, high: number, bytesMax: number): Entry[] | undefined {
    if (low <= this.#offset) return undefined;
    if (high > this.lastIndex() + 1) {
      throw new InvariantError(`entries' hi(${high}) is out of bound lastindex(${this.lastIndex()})`);
    }
    const start = low - this.#offset - 1;
    return this.#entries.slice(start, endOfRun(this.#entries, start, high - this.#offset - 1, bytesMax));
  }

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  /**
   * Replaces everything by a snapshot.
   * @throws {StorageError} `snapshotOutOfDate` when there is a newer one already.
   */
  applySnapshot(snapshot: Snapshot): void {
    if (this.#snapshot.metadata.index >= snapshot.metadata.index) throw new StorageError("snapshotOutOfDate");
    this.#snapshot = snapshot;
    this.#offset = snapshot.metadata.index;
    this.#offsetTerm = snapshot.metadata.term;
    this.#entries = [];
  }

  /**
   * Records a snapshot of the state machine at `index`; the entries stay until {@link compact}.
   * @throws {StorageError} `snapshotOutOfDate` when there is one at that index or later.
   */
  createSnapshot(index: number, confState: ConfState, data: Uint8Array): Snapshot {
    if (index <= this.#snapshot.metadata.index) throw new StorageError("snapshotOutOfDate");
    const term = this.term(index);
    if (term === undefined) {
      throw new InvariantError(`snapshot ${index} is out of bound lastindex(${this.lastIndex()})`);
    }
    this.#snapshot = { data, metadata: { confState, index, term } };
    return this.#snapshot;
  }

  /**
   * Drops the entries through `index`. The caller has applied them.
   * @throws {StorageError} `compacted` when they are gone already.
   */
  compact(index: number): void {
    if (index <= this.#offset) throw new StorageError("compacted");
    const term = this.term(index);
    if (term === undefined) {
      throw new InvariantError(`compact ${index} is out of bound lastindex(${this.lastIndex()})`);
    }
    this.#entries = this.#entries.slice(index - this.#offset);
    this.#offset = index;
    this.#offsetTerm = term;
  }

  /** Adds entries that follow the log, or replaces its tail from the first one on. The list is borrowed. */
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const first = entries[0].index;
    // Entries that a snapshot already covers are dropped.
    const skip = Math.max(0, this.#offset + 1 - first);
    if (skip >= entries.length) return;
    const start = first + skip - this.#offset - 1;
    if (start > this.#entries.length) {
      throw new InvariantError(`missing log entry [last: ${this.lastIndex()}, append at: ${first}]`);
    }
    this.#entries.length = start;
    for (let i = skip; i < entries.length; i++) {
      this.#entries.push(entries[i]);
      this.#appendedBytes += entries[i].data.length;
    }
    assert(this.lastIndex() === entries[entries.length - 1].index, "the log has no gap");
  }
}

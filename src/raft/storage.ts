/**
 * What the raft core reads of its log: everything that is durable, since the last compaction. Mirrors the interface in
 * etcd-io/raft storage.go; where that returns `ErrCompacted` or `ErrUnavailable`, this returns `undefined`.
 *
 * A method that cannot answer for another reason (the disk is broken) throws; nobody catches that.
 */
import type { ConfState, Entry, HardState, Snapshot } from "../wire/raft/types.ts";

export interface Storage {
  /** Read once, when the core is constructed. */
  initialState(): { hardState: HardState; confState: ConfState };
  /** Index of the first entry that is still there; the one before it is in the snapshot. 1 when nothing was compacted. */
  firstIndex(): number;
  /** Index of the last entry, or `firstIndex() - 1` if there is none. */
  lastIndex(): number;
  /** Term of the entry at `index`, known for `[firstIndex - 1, lastIndex]`; `undefined` outside. */
  term(index: number): number | undefined;
  /**
   * Entries `[low, high)`, cut off before their encoded size exceeds `bytesMax`, but at least one. The list is the
   * caller's; the entries are shared and never modified. `undefined` if `low` is compacted.
   * `high <= lastIndex() + 1`.
   */
  entries(low: number, high: number, bytesMax: number): Entry[] | undefined;
  /** The latest snapshot, or `undefined` while one is still being made: the core will ask again. */
  snapshot(): Snapshot | undefined;
}

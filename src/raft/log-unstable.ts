/**
 * The tail of the log that is not known to be durable: new entries, and possibly a received snapshot, until storage has
 * them. It keeps what is being written, so that the log can be read as a whole meanwhile. Mirrors etcd-io/raft
 * log_unstable.go.
 *
 * ```text
 *     entries   [ in progress ............ | to be handed out ..... ]
 *     index       ^offset                    ^offsetInProgress        ^end
 * ```
 *
 * `offset` may lie below what storage holds: the next write then truncates storage.
 */
import { assert, InvariantError } from "../base/assert.ts";
import type { Entry, Snapshot } from "../wire/raft/types.ts";
import type { RaftLogger } from "./logger.ts";

export class UnstableLog {
  /** A snapshot that replaces the log, until storage has it. */
  snapshot: Snapshot | undefined;
  /** Index of `entries[0]`, if there is one. */
  offset: number;
  /** Entries below this index are being written. Invariant: offset <= offsetInProgress <= end. */
  offsetInProgress: number;

  #entries: Entry[] = [];
  #snapshotInProgress = false;
  readonly #logger: RaftLogger;

  /** Starts empty, behind a storage that ends at `offset - 1`. */
  constructor(offset: number, logger: RaftLogger) {
    this.offset = offset;
    this.offsetInProgress = offset;
    this.#logger = logger;
  }

  get length(): number {
    return this.#entries.length;
  }

  /** Index behind the last entry. */
  get end(): number {
    return this.offset + this.#entries.length;
  }

  /** Index behind the snapshot, which is where the whole log starts, or `undefined` without one. */
  firstIndex(): number | undefined {
    return this.snapshot === undefined ? undefined : this.snapshot.metadata.index + 1;
  }

  /** Index of the last entry, or of the snapshot, or `undefined` if storage knows better. */
  lastIndex(): number | undefined {
    if (this.#entries.length > 0) return this.offset + this.#entries.length - 1;
    return this.snapshot?.metadata.index;
  }

  /** Term of the entry at `index`, or of the snapshot if it ends there. */
  term(index: number): number | undefined {
    if (index >= this.offset) return this.#entries[index - this.offset]?.term;
    return this.snapshot?.metadata.index === index ? this.snapshot.metadata.term : undefined;
  }

  get hasNextEntries(): boolean {
    return this.end > this.offsetInProgress;
  }

  /** Entries that nobody writes yet. The list is the caller's. */
  nextEntries(): Entry[] {
    const start = this.offsetInProgress - this.offset;
    return start === this.#entries.length ? [] : this.#entries.slice(start);
  }

  /** The snapshot, if nobody writes it yet. */
  nextSnapshot(): Snapshot | undefined {
    return this.#snapshotInProgress ? undefined : this.snapshot;
  }

  /** Everything here was handed out for writing. */
  acceptInProgress(): void {
    this.offsetInProgress = this.end;
    if (this.snapshot !== undefined) this.#snapshotInProgress = true;
  }

  /**
   * Storage has the entries through (`index`, `term`), and no write is under way that could change them. An answer that
   * no longer fits what is here is ignored.
   */
  stableTo(index: number, term: number): void {
    const ourTerm = this.term(index);
    if (ourTerm === undefined) {
      this.#logger.info(`entry at index ${index} missing from unstable log; ignoring`);
      return;
    }
    if (index < this.offset) {
      this.#logger.info(`entry at index ${index} matched unstable snapshot; ignoring`);
      return;
    }
    if (ourTerm !== term) {
      this.#logger.info(
        `entry at (index,term)=(${index},${term}) mismatched with entry at (${index},${ourTerm}) in unstable log; ignoring`,
      );
      return;
    }
    this.#entries = index + 1 === this.end ? [] : this.#entries.slice(index + 1 - this.offset);
    this.offset = index + 1;
    this.offsetInProgress = Math.max(this.offsetInProgress, this.offset);
  }

  /** Storage has the snapshot that ends at `index`. */
  stableSnapshotTo(index: number): void {
    if (this.snapshot?.metadata.index !== index) return;
    this.snapshot = undefined;
    this.#snapshotInProgress = false;
  }

  /** Replaces everything by a snapshot. */
  restore(snapshot: Snapshot): void {
    this.offset = snapshot.metadata.index + 1;
    this.offsetInProgress = this.offset;
    this.#entries = [];
    this.snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /**
   * Adds entries (at least one) from their first index on; whatever was there from that index is replaced. What is being
   * written keeps that status only in front of it. The list is borrowed, the entries are kept.
   */
  truncateAndAppend(entries: readonly Entry[]): void {
    assert(entries.length > 0, "there is something to append");
    const first = entries[0].index;
    if (first > this.end) throw new InvariantError(`unstable log ends at ${this.end}, append starts at ${first}`);
    if (first === this.end) {
      // The common case: nothing to say.
    } else if (first <= this.offset) {
      this.#logger.info(`replace the unstable entries from index ${first}`);
      this.#entries = [];
      this.offset = first;
      this.offsetInProgress = first;
    } else {
      this.#logger.info(`truncate the unstable entries before index ${first}`);
      this.#entries.length = first - this.offset;
      this.offsetInProgress = Math.min(this.offsetInProgress, first);
    }
    for (const entry of entries) this.#entries.push(entry);
  }

  /** The list that holds all entries from `offset` on. Borrowed: valid until the next change, never written to. */
  borrow(): readonly Entry[] {
    return this.#entries;
  }
}

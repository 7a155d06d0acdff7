/**
 * The replicated log as the core sees it: durable entries in storage, the rest in {@link UnstableLog}, and three marks.
 * Mirrors etcd-io/raft log.go.
 *
 * ```text
 *     first .......... applied ..... applying ..... committed ......... last
 *     |---------- storage ----------------------|------ unstable -----------|
 *                                               ^unstable.offset (may be anywhere behind first)
 * ```
 */
import { assert, InvariantError, verify } from "../base/assert.ts";
import { sizeOfEntry } from "../wire/raft/entry-codec.ts";
import type { Entry, Snapshot } from "../wire/raft/types.ts";
import { encodedSize, endOfRun } from "./entries.ts";
import { UnstableLog } from "./log-unstable.ts";
import type { RaftLogger } from "./logger.ts";
import type { Storage } from "./storage.ts";

/** Names one entry: there is only one leader in a term, and it writes an index once. */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}

export class RaftLog {
  readonly unstable: UnstableLog;
  /** A quorum holds the log up to here. Never falls. */
  committed: number;
  /** The application was told to apply up to here. Invariant: applied <= applying <= committed. */
  applying: number;
  /** The application has applied up to here. */
  applied: number;
  /** Encoded bytes that may be with the application, to be applied, at a time. */
  readonly applyingBytesMax: number;

  readonly #storage: Storage;
  readonly #logger: RaftLogger;
  #applyingBytes = 0;
  #applyingPaused = false;

  constructor(storage: Storage, logger: RaftLogger, applyingBytesMax: number) {
    const firstIndex = storage.firstIndex();
    this.#storage = storage;
    this.#logger = logger;
    this.unstable = new UnstableLog(storage.lastIndex() + 1, logger);
    this.applyingBytesMax = applyingBytesMax;
    this.committed = firstIndex - 1;
    this.applying = firstIndex - 1;
    this.applied = firstIndex - 1;
  }

  firstIndex(): number {
    return this.unstable.firstIndex() ?? this.#storage.firstIndex();
  }

  lastIndex(): number {
    return this.unstable.lastIndex() ?? this.#storage.lastIndex();
  }

  lastEntryId(): EntryId {
    const index = this.lastIndex();
    return { term: this.lastTerm(), index };
  }

  lastTerm(): number {
    const term = this.term(this.lastIndex());
    if (term === undefined)
      throw new InvariantError(`unexpected error when getting the last term at ${this.lastIndex()}`);
    return term;
  }

  /** Term at `index`, or `undefined` if it is compacted away or beyond the end. */
  term(index: number): number | undefined {
    const unstableTerm = this.unstable.term(index);
    if (unstableTerm !== undefined) return unstableTerm;
    // The entry before the first one is gone, but its term is known, as appends behind it must match.
    if (index + 1 < this.firstIndex() || index > this.lastIndex()) return undefined;
    return this.#storage.term(index);
  }

  matchTerm(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Whether a log that ends in (`term`, `index`) has everything that ours could have committed. */
  isUpToDate(term: number, index: number): boolean {
    const ourTerm = this.lastTerm();
    return term > ourTerm || (term === ourTerm && index >= this.lastIndex());
  }

  snapshot(): Snapshot | undefined {
    return this.unstable.snapshot ?? this.#storage.snapshot();
  }

  // ------------------------------------------------------------------------------------------------------ appending

  /**
   * A follower's append: `entries` follow (`prevTerm`, `prevIndex`) in the leader's log, which is committed up to
   * `committed`. Returns the index of the last of them, or `undefined` if our log does not have the previous one.
   */
  maybeAppend(prevTerm: number, prevIndex: number, entries: readonly Entry[], committed: number): number | undefined {
    if (!this.matchTerm(prevIndex, prevTerm)) return undefined;
    const lastNew = prevIndex + entries.length;
    const conflict = this.#findConflict(entries);
    if (conflict !== 0) {
      if (conflict <= this.committed) {
        throw new InvariantError(`entry ${conflict} conflict with committed entry [committed(${this.committed})]`);
      }
      const skip = conflict - (prevIndex + 1);
      this.append(skip === 0 ? entries : entries.slice(skip));
    }
    this.commitTo(Math.min(committed, lastNew));
    return lastNew;
  }

  /** Appends, replacing the tail from the first entry's index on. Returns the last index. The list is borrowed. */
  append(entries: readonly Entry[]): number {
    if (entries.length > 0) {
      if (entries[0].index - 1 < this.committed) {
        throw new InvariantError(`after(${entries[0].index - 1}) is out of range [committed(${this.committed})]`);
      }
      this.unstable.truncateAndAppend(entries);
    }
    return this.lastIndex();
  }

  /** Index of the first entry that our log does not have, with that term; 0 if it has them all. */
  #findConflict(entries: readonly Entry[]): number {
    for (const { index, term } of entries) {
      const ourTerm = this.term(index);
      if (ourTerm === term) continue;
      if (index <= this.lastIndex()) {
        this.#logger.info(
          `found conflict at index ${index} [existing term: ${ourTerm ?? 0}, conflicting term: ${term}]`,
        );
      }
      return index;
    }
    return 0;
  }

  /**
   * Guesses where this log agrees with another of which one entry (`term`, `index`) is known: the last of our entries,
   * at or before `index`, whose term is not greater. An entry of unknown term is taken for a match, with term 0.
   */
  findConflictByTerm(index: number, term: number): EntryId {
    for (; index > 0; index--) {
      const ourTerm = this.term(index);
      if (ourTerm === undefined) return { index, term: 0 };
      if (ourTerm <= term) return { index, term: ourTerm };
    }
    return { index: 0, term: 0 };
  }

  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    this.#logger.info(`log [${this.toString()}] starts to restore snapshot [index: ${index}, term: ${term}]`);
    this.committed = index;
    this.unstable.restore(snapshot);
  }

  // ----------------------------------------------------------------------------------------------------- committing

  commitTo(index: number): void {
    if (index <= this.committed) return;
    if (index > this.lastIndex()) {
      throw new InvariantError(
        `tocommit(${index}) is out of range [lastIndex(${this.lastIndex()})]. Was the raft log corrupted, truncated, or lost?`,
      );
    }
    this.committed = index;
    verify(() => this.#checkMarks());
  }

  /** Commits up to `index` if it is of the leader's own `term`: only then can no later leader undo it. */
  maybeCommit(term: number, index: number): boolean {
    if (index <= this.committed || term === 0 || !this.matchTerm(index, term)) return false;
    this.commitTo(index);
    return true;
  }

  // ------------------------------------------------------------------------------------------------------- applying

  /** Committed entries that the application has not been given yet. With `allowUnstable` they may not be durable here. */
  nextCommittedEntries(allowUnstable: boolean): Entry[] {
    if (!this.hasNextCommittedEntries(allowUnstable)) return [];
    const bytesMax = this.applyingBytesMax - this.#applyingBytes;
    assert(bytesMax > 0, "application is paused when the limit is reached");
    const entries = this.slice(this.applying + 1, this.#maxAppliable(allowUnstable) + 1, bytesMax);
    assert(entries !== undefined, "entries that are not applied are not compacted");
    return entries;
  }

  hasNextCommittedEntries(allowUnstable: boolean): boolean {
    // While a snapshot is on its way it comes first: what to apply next would not be clear.
    if (this.#applyingPaused || this.unstable.snapshot !== undefined) return false;
    return this.applying < this.#maxAppliable(allowUnstable);
  }

  /** The application was given the entries through `index`, of `bytes` encoded size. */
  acceptApplying(index: number, bytes: number, allowUnstable: boolean): void {
    if (index > this.committed) {
      throw new InvariantError(
        `applying(${index}) is out of range [prevApplying(${this.applying}), committed(${this.committed})]`,
      );
    }
    this.applying = index;
    this.#applyingBytes += bytes;
    // Also paused if the run was cut short: the next entry would cross the limit.
    this.#applyingPaused = this.#applyingBytes >= this.applyingBytesMax || index < this.#maxAppliable(allowUnstable);
  }

  /** The application has applied through `index`, which frees `bytes` of the limit. */
  appliedTo(index: number, bytes: number): void {
    if (index > this.committed || index < this.applied) {
      throw new InvariantError(
        `applied(${index}) is out of range [prevApplied(${this.applied}), committed(${this.committed})]`,
      );
    }
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.applyingBytesMax;
  }

  #maxAppliable(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  // -------------------------------------------------------------------------------------------------------- reading

  /** Entries from `index` to the end, up to `bytesMax`, at least one if there is any; `undefined` if compacted away. */
  entries(index: number, bytesMax: number): Entry[] | undefined {
    const last = this.lastIndex();
    return index > last ? [] : this.slice(index, last + 1, bytesMax);
  }

  /**
   * Entries `[low, high)`, up to `bytesMax` of encoded size, at least one; `undefined` if `low` is compacted away. The
   * list is the caller's.
   */
  slice(low: number, high: number, bytesMax: number): Entry[] | undefined {
    assert(low <= high, "a slice does not end before it starts");
    if (low < this.firstIndex()) return undefined;
    if (high > this.lastIndex() + 1) {
      throw new InvariantError(`slice[${low},${high}) out of bound [${this.firstIndex()},${this.lastIndex()}]`);
    }
    if (low === high) return [];
    const { offset } = this.unstable;
    if (low >= offset) return this.#sliceUnstable(low, high, bytesMax);

    const cut = Math.min(high, offset);
    const entries = this.#storage.entries(low, cut, bytesMax);
    if (entries === undefined) return undefined;
    // A short answer has reached the limit.
    if (high <= offset || entries.length < cut - low) return entries;
    return this.#extendFromUnstable(entries, high, bytesMax);
  }

  #sliceUnstable(low: number, high: number, bytesMax: number): Entry[] {
    const { offset } = this.unstable;
    const all = this.unstable.borrow();
    return all.slice(low - offset, endOfRun(all, low - offset, high - offset, bytesMax));
  }

  #extendFromUnstable(entries: Entry[], high: number, bytesMax: number): Entry[] {
    if (bytesMax === Infinity) return entries.concat(this.#sliceUnstable(this.unstable.offset, high, Infinity));
    let size = encodedSize(entries);
    const all = this.unstable.borrow();
    for (let i = 0; i < high - this.unstable.offset; i++) {
      size += sizeOfEntry(all[i]);
      if (size > bytesMax) break;
      entries.push(all[i]);
    }
    return entries;
  }

  /**
   * Whether `test` holds for an entry in `[low, high)`. Reads page by page, so that a long range does not come into
   * memory at once.
   */
  some(low: number, high: number, pageBytesMax: number, test: (entry: Entry) => boolean): boolean {
    while (low < high) {
      const page = this.slice(low, high, pageBytesMax);
      if (page === undefined || page.length === 0) {
        throw new InvariantError(`error scanning unapplied entries [${low}, ${high})`);
      }
      if (page.some(test)) return true;
      low += page.length;
    }
    return false;
  }

  toString(): string {
    const { offset, offsetInProgress, length } = this.unstable;
    return (
      `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, ` +
      `unstable.offset=${offset}, unstable.offsetInProgress=${offsetInProgress}, len(unstable.Entries)=${length}`
    );
  }

  #checkMarks(): void {
    assert(this.applied <= this.applying, "what is applied was handed out before");
    assert(this.applying <= this.committed, "only committed entries are handed out");
    assert(this.committed <= this.lastIndex(), "what is committed is in the log");
    assert(this.unstable.offset <= this.unstable.offsetInProgress, "in-progress entries are in the unstable log");
  }
}

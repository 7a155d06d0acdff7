/**
 * Answers to range requests, given again to serializable reads. What a write of the proxy's own clients touches is
 * forgotten when the write is sent and again when it is answered; a read that was under way meanwhile is not kept. Writes
 * that do not come through the proxy are not seen: an answer is therefore kept only for a short while.
 *
 * @see etcd server/proxy/grpcproxy/cache, which keeps answers without end, for any caller
 */
import { assert } from "../../base/assert.ts";
import { overlap, type KeyRange } from "./key-range.ts";

/** As etcd's. */
const entriesMax = 2048;
/** Memory of all answers together, and of one. */
const bytesMax = 64 << 20;
const entryBytesMax = 1 << 20;
/** How old an answer may be. */
const ageMsMax = 5000;

interface Entry extends KeyRange {
  readonly id: string;
  /** Of the revision asked for; 0: the newest. */
  readonly revision: bigint;
  readonly response: Uint8Array;
  /** The store's revision that the response shows. */
  readonly shown: bigint;
  readonly keptAt: number;
}

/** A range request that was sent to a member. */
export interface PendingRead extends KeyRange {
  readonly id: string;
  readonly revision: bigint;
  /** A write has touched the range since. */
  isOutdated: boolean;
}

export class RangeCache {
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  /** Entries of single keys by the key as a byte string, and those of ranges: a put touches few of the first. */
  readonly #points = new Map<string, Set<Entry>>();
  readonly #ranges = new Set<Entry>();
  readonly #pending = new Set<PendingRead>();
  readonly #now: () => number;
  #bytes = 0;
  #compacted = -1n;
  hits = 0;
  misses = 0;

  /** @param now - monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Whether reads at a revision are known to find it compacted. */
  isCompacted(revision: bigint): boolean {
    return revision > 0n && revision < this.#compacted;
  }

  compacted(revision: bigint): void {
    if (revision > this.#compacted) this.#compacted = revision;
  }

  /**
   * The answer to the same request of the same caller, if it is still to be given.
   *
   * @param id - of caller and request.
   * @param shownMin - least revision of the store that it must show.
   */
  find(id: string, shownMin: bigint): Uint8Array | undefined {
    const entry = this.#entries.get(id);
    if (entry !== undefined && this.#now() - entry.keptAt > ageMsMax) this.#remove(entry);
    else if (entry !== undefined && entry.shown >= shownMin) {
      this.#entries.delete(id);
      this.#entries.set(id, entry);
      this.hits++;
      return entry.response;
    }
    this.misses++;
    return undefined;
  }

  /** A read begins; give it to {@link keep} or {@link forget}. */
  begin(id: string, { key, rangeEnd }: KeyRange, revision: bigint): PendingRead {
    const read = { id, key, rangeEnd, revision, isOutdated: false };
    this.#pending.add(read);
    return read;
  }

  forget(read: PendingRead): void {
    this.#pending.delete(read);
  }

  /** @param response - owned by the cache from now on, and not changed by anybody. */
  keep(read: PendingRead, response: Uint8Array, shown: bigint): void {
    this.forget(read);
    if (read.isOutdated || response.length > entryBytesMax || this.isCompacted(read.revision)) return;
    const { id, key, rangeEnd, revision } = read;
    const former = this.#entries.get(id);
    if (former !== undefined) this.#remove(former);
    const entry = { id, key, rangeEnd, revision, response, shown, keptAt: this.#now() };
    this.#entries.set(id, entry);
    this.#bytes += response.length;
    // What a revision held does not change.
    if (revision === 0n) this.#index(entry);
    for (const oldest of this.#entries.values()) {
      if (this.#entries.size <= entriesMax && this.#bytes <= bytesMax) return;
      this.#remove(oldest);
    }
  }

  /** A write touches these keys. */
  invalidate(range: KeyRange): void {
    for (const read of this.#pending) if (overlap(read, range)) read.isOutdated = true;
    for (const entry of this.#ranges) if (overlap(entry, range)) this.#remove(entry);
    if (range.rangeEnd.length === 0) {
      for (const entry of this.#points.get(keyText(range.key)) ?? []) this.#remove(entry);
      return;
    }
    for (const entries of this.#points.values()) {
      for (const entry of entries) if (overlap(entry, range)) this.#remove(entry);
    }
  }

  #index(entry: Entry): void {
    if (entry.rangeEnd.length > 0) {
      this.#ranges.add(entry);
      return;
    }
    const text = keyText(entry.key);
    const entries = this.#points.get(text);
    if (entries === undefined) this.#points.set(text, new Set([entry]));
    else entries.add(entry);
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.id);
    this.#bytes -= entry.response.length;
    assert(this.#bytes >= 0, "an answer is counted once");
    this.#ranges.delete(entry);
    const text = keyText(entry.key);
    const entries = this.#points.get(text);
    entries?.delete(entry);
    if (entries?.size === 0) this.#points.delete(text);
  }
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

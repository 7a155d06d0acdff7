/**
 * A big range answer in slices: first every key of the range is looked at once to know the exact size (gRPC wants it up
 * front), then the pairs are encoded chunk by chunk as the client takes them. The state is that of the start: a pinned
 * view of the rows; what the index said is kept as 16 bytes a key, so that compactions go on while a client reads slowly.
 */
import { assert } from "../base/assert.ts";
import type { PinnedView } from "../storage/backend/bucket.ts";
import { SortOrder, SortTarget, type RangeRequest } from "../wire/hot/types.ts";
import { sizeOfLength, writeBytes } from "../wire/hot/wire-writer.ts";
import { requireRow, type Core } from "./core.ts";
import { goSort } from "../base/go-sort.ts";
import type { RangeWalk } from "./index/key-ranges.ts";
import { RevisionList } from "./index/revision-list.ts";
import { executeRange, fetchLimit, hasBounds, isWithinBounds, numericTarget, sortOf } from "./range.ts";
import { PairReader } from "./stored-pair.ts";

/** Tag of `kvs`, field 2 of RangeResponse. */
const kvsTag = 0x12;

export class RangeCursor {
  /** Revision for the answer's header. */
  readonly revision: number;
  /** Keys in the range, whatever limit and bounds. */
  readonly count: number;
  readonly #core: Core;
  readonly #request: RangeRequest;
  readonly #readRevision: number;
  readonly #walk: RangeWalk;
  readonly #rangeEnd: Uint8Array;
  readonly #fetchMax: number;
  readonly #found = new RevisionList();
  /** What passed the bounds; its `slot` column holds the size of the pair. */
  readonly #pairs = new RevisionList();
  readonly #sortKeys: number[] = [];
  readonly #pair = new PairReader();
  #view: PinnedView | undefined;
  #isReadingIndex = true;
  #isMeasured = false;
  #next = 0;
  /** Only for a sort by value, which needs all values at once. */
  #sorted: readonly Uint8Array[] | undefined;

  more = false;
  pairCount = 0;
  /** Exact size of all `kvs` fields, tags and lengths included. */
  bytes = 0;

  /** @throws {EtcdError} `compacted`, `futureRevision`. */
  constructor(core: Core, request: RangeRequest) {
    this.#core = core;
    this.#request = request;
    this.revision = core.currentRevision;
    this.#readRevision = core.readableRevision(request.revision, core.currentRevision);
    // The request's bytes are borrowed; this lives on.
    const key = new Uint8Array(request.key);
    this.#rangeEnd = new Uint8Array(request.rangeEnd);
    this.#walk = { nextKey: key };
    this.count = core.ranges.count(key, this.#rangeEnd, this.#readRevision);
    const most = fetchLimit(request);
    this.#fetchMax = most === 0 ? Infinity : most;
    this.#view = core.rows.pin();
    core.addIndexReader(this.#readRevision);
  }

  /** Looks at up to `maxKeys` more keys; true when `more`, `pairCount` and `bytes` are known. */
  measure(maxKeys: number): boolean {
    if (this.#isMeasured) return true;
    if (this.#sortsByValue()) {
      this.#measureSortedByValue();
      return true;
    }
    this.#found.clear();
    this.#collect(maxKeys);
    for (let at = 0; at < this.#found.length && this.#pairs.length < this.#fetchMax; at++) {
      this.#measurePair(this.#found.main[at], this.#found.sub[at]);
    }
    if (this.#walk.nextKey !== undefined && this.#pairs.length < this.#fetchMax) return false;
    this.#finishMeasure();
    return true;
  }

  /** The next encoded `kvs` fields, about `maxBytes` but at least one pair; owned by the caller. undefined at the end. */
  next(maxBytes: number): Uint8Array | undefined {
    assert(this.#isMeasured, "cursor read before it is measured");
    if (this.#next === this.pairCount) return undefined;
    let end = this.#next;
    let size = 0;
    while (end < this.pairCount) {
      const pairBytes = sizeOfLength(this.#pairs.slot[end]);
      if (size > 0 && size + pairBytes > maxBytes) break;
      size += pairBytes;
      end++;
    }
    const chunk = new Uint8Array(size);
    let offset = 0;
    for (; this.#next < end; this.#next++) {
      const pair = this.#encodedPair(this.#next);
      offset = writeBytes(chunk, offset, kvsTag, pair);
    }
    assert(offset === size, "a pair changed between measuring and reading");
    return chunk;
  }

  /** Releases the pinned view. Idempotent. */
  close(): void {
    if (this.#view === undefined) return;
    this.#view.release();
    this.#view = undefined;
    this.#sorted = undefined;
    this.#releaseIndex();
  }

  /** One key has no order to walk. */
  #collect(maxKeys: number): void {
    const { ranges } = this.#core;
    const { nextKey } = this.#walk;
    if (nextKey === undefined) return;
    if (this.#rangeEnd.length > 0) {
      ranges.collectSome(this.#walk, this.#rangeEnd, this.#readRevision, maxKeys, this.#found);
    } else {
      ranges.collect(nextKey, this.#rangeEnd, this.#readRevision, 0, this.#found);
      this.#walk.nextKey = undefined;
    }
  }

  #measurePair(main: number, sub: number): void {
    const row = requireRow(this.#pinned(), main, sub);
    const pair = this.#pair.read(row);
    if (hasBounds(this.#request) && !isWithinBounds(this.#request, pair)) return;
    this.#pairs.push(main, sub, this.#request.keysOnly ? pair.sizeWithoutValue : row.length);
    if (sortOf(this.#request) !== SortOrder.None) this.#sortKeys.push(numericTarget(pair, this.#request.sortTarget));
  }

  #finishMeasure(): void {
    this.#sort();
    const { limit } = this.#request;
    this.more = limit > 0 && this.#pairs.length > limit;
    this.pairCount = this.more ? limit : this.#pairs.length;
    for (let at = 0; at < this.pairCount; at++) this.bytes += sizeOfLength(this.#pairs.slot[at]);
    this.#isMeasured = true;
    this.#releaseIndex();
  }

  #sort(): void {
    const order = sortOf(this.#request);
    if (order !== SortOrder.Ascend && order !== SortOrder.Descend) return;
    const { length } = this.#pairs;
    const keys = this.#sortKeys;
    const places = Array.from({ length }, (_, at) => at);
    if (this.#request.sortTarget === SortTarget.Key) places.reverse();
    else if (order === SortOrder.Ascend) goSort(places, (a, b) => keys[a] < keys[b]);
    else goSort(places, (a, b) => keys[b] < keys[a]);
    const { main, sub, slot } = this.#pairs;
    this.#pairs.main = Float64Array.from(places, (place) => main[place]);
    this.#pairs.sub = Uint32Array.from(places, (place) => sub[place]);
    this.#pairs.slot = Uint32Array.from(places, (place) => slot[place]);
  }

  #sortsByValue(): boolean {
    return this.#request.sortTarget === SortTarget.Value && sortOf(this.#request) !== SortOrder.None;
  }

  #measureSortedByValue(): void {
    const response = executeRange(this.#core, this.#request, this.#readRevision, Infinity)!;
    this.#sorted = response.kvs;
    this.more = response.more;
    this.pairCount = response.kvs.length;
    for (const pair of response.kvs) {
      this.#pairs.push(0, 0, pair.length);
      this.bytes += sizeOfLength(pair.length);
    }
    this.#isMeasured = true;
    this.#releaseIndex();
  }

  #encodedPair(at: number): Uint8Array {
    if (this.#sorted !== undefined) return this.#sorted[at];
    const row = requireRow(this.#pinned(), this.#pairs.main[at], this.#pairs.sub[at]);
    return this.#request.keysOnly ? this.#pair.read(row).withoutValue() : row;
  }

  #pinned(): PinnedView {
    assert(this.#view !== undefined, "cursor used after close");
    return this.#view;
  }

  #releaseIndex(): void {
    if (!this.#isReadingIndex) return;
    this.#isReadingIndex = false;
    this.#core.removeIndexReader(this.#readRevision);
  }
}

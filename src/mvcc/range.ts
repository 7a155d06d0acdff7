/**
 * Range requests: index lookup, row lookup, then etcd's order of work on the pairs: drop by revision bounds, sort, cut to
 * the limit, strip values. Pairs stay encoded throughout; only fields that decide something are read.
 *
 * etcd's quirks, kept: with a limit, no order and no bounds only limit + 1 keys are fetched, so a sort target other
 * than KEY then sorts among those; a target without an order sorts ascending; `count` ignores limit and bounds.
 * Source: etcd server/etcdserver/txn/txn.go (executeRange), release 3.6.
 */
import { compareBytes } from "../base/bytes.ts";
import { SortOrder, SortTarget, type RangeRequest, type RangeResponse } from "../wire/hot/types.ts";
import { requireRow, type Core } from "./core.ts";
import { goSort } from "../base/go-sort.ts";
import { PairReader } from "./stored-pair.ts";

const noPairs: readonly Uint8Array[] = [];
/** More keys than this are not answered at once when the caller sets a byte limit: collecting them alone takes too long. */
const keysAtOnceMax = 4000;

/**
 * @param current - what revision 0 means: the store's, or one more inside a transaction that has changed something.
 * @param bytesMax - gives up with undefined when the fetched rows exceed this (or are too many); Infinity: never.
 * @throws {EtcdError} `compacted`, `futureRevision`.
 */
export function executeRange(
  core: Core,
  request: RangeRequest,
  current: number,
  bytesMax: number,
): RangeResponse | undefined {
  core.counters.ranges++;
  const revision = core.readableRevision(request.revision, current);
  const { ranges, rows, list } = core;
  if (request.countOnly) {
    return { kvs: noPairs, more: false, count: ranges.count(request.key, request.rangeEnd, revision) };
  }
  const limit = fetchLimit(request);
  if (bytesMax !== Infinity && request.rangeEnd.length > 0 && (limit === 0 || limit > keysAtOnceMax)) {
    if (ranges.count(request.key, request.rangeEnd, revision) > keysAtOnceMax) return undefined;
  }
  list.clear();
  const count = ranges.collect(request.key, request.rangeEnd, revision, limit, list);
  // The sentinel beyond the limit only says `more`; it needs no row unless a sort may bring it forward.
  const isPlain = !hasBounds(request) && sortOf(request) === SortOrder.None;
  const fetched = isPlain && request.limit > 0 ? Math.min(request.limit, list.length) : list.length;
  let kvs: Uint8Array[] = [];
  let bytes = 0;
  for (let at = 0; at < fetched; at++) {
    const row = requireRow(rows, list.main[at], list.sub[at]);
    bytes += row.length;
    if (bytes > bytesMax) return undefined;
    kvs.push(row);
  }
  let more = list.length > fetched;
  if (!isPlain) {
    if (hasBounds(request)) kvs = kvs.filter((row) => isWithinBounds(request, core.pair.read(row)));
    sortPairs(kvs, request);
    more = request.limit > 0 && kvs.length > request.limit;
    if (more) kvs.length = request.limit;
  }
  if (request.keysOnly) for (let at = 0; at < kvs.length; at++) kvs[at] = core.pair.read(kvs[at]).withoutValue();
  return { kvs, more, count };
}

/** How many keys to fetch: one more than asked shows `more`; 0 is all. */
export function fetchLimit(request: RangeRequest): number {
  if (request.sortOrder !== SortOrder.None || hasBounds(request) || request.limit <= 0) return 0;
  return request.limit + 1;
}

export function hasBounds(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  );
}

export function isWithinBounds(request: RangeRequest, pair: PairReader): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return (
    (maxModRevision === 0 || pair.modRevision <= maxModRevision) &&
    (minModRevision === 0 || pair.modRevision >= minModRevision) &&
    (maxCreateRevision === 0 || pair.createRevision <= maxCreateRevision) &&
    (minCreateRevision === 0 || pair.createRevision >= minCreateRevision)
  );
}

/** The order to sort in; None when pairs are already right. Unknown numbers (refused by the API) do not sort. */
export function sortOf(request: RangeRequest): number {
  const { sortOrder, sortTarget } = request;
  if (sortOrder === SortOrder.None && sortTarget !== SortTarget.Key) return SortOrder.Ascend;
  if (sortOrder === SortOrder.Ascend && sortTarget === SortTarget.Key) return SortOrder.None;
  return sortOrder;
}

function sortPairs(kvs: Uint8Array[], request: RangeRequest): void {
  const order = sortOf(request);
  if (order !== SortOrder.Ascend && order !== SortOrder.Descend) return;
  const isAscending = order === SortOrder.Ascend;
  const target = request.sortTarget;
  if (target === SortTarget.Key) {
    // Fetched in key order.
    if (!isAscending) kvs.reverse();
  } else if (target === SortTarget.Value) {
    sortBy(
      kvs,
      isAscending,
      (pair) => pair.value,
      (a, b) => compareBytes(a, b) < 0,
    );
  } else {
    sortBy(
      kvs,
      isAscending,
      (pair) => numericTarget(pair, target),
      (a, b) => a < b,
    );
  }
}

/** The number a numeric sort target names; 0 for an unknown one, which keeps the order. */
export function numericTarget(pair: PairReader, sortTarget: number): number {
  if (sortTarget === SortTarget.Version) return pair.version;
  if (sortTarget === SortTarget.Create) return pair.createRevision;
  return sortTarget === SortTarget.Mod ? pair.modRevision : 0;
}

function sortBy<Target>(
  kvs: Uint8Array[],
  isAscending: boolean,
  targetOf: (pair: PairReader) => Target,
  less: (a: Target, b: Target) => boolean,
): void {
  const pair = new PairReader();
  const keyed = kvs.map((row) => ({ row, target: targetOf(pair.read(row)) }));
  if (isAscending) goSort(keyed, (a, b) => less(a.target, b.target));
  else goSort(keyed, (a, b) => less(b.target, a.target));
  for (let at = 0; at < kvs.length; at++) kvs[at] = keyed[at].row;
}

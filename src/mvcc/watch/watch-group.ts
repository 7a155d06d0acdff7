/** Watchers of the same range: their events are found and encoded once. */
import type { Interval, IntervalEnd } from "./interval-array.ts";
import type { Watcher } from "./watcher.ts";

export class WatchGroup implements Interval {
  readonly start: Uint8Array;
  /** As asked for: empty for a single key. */
  readonly rangeEnd: Uint8Array;
  readonly end: IntervalEnd;
  /** Unordered. */
  readonly watchers: Watcher[] = [];
  /** Events of the transaction being delivered; owned by whoever delivers. */
  pending: number[] = [];

  constructor(start: Uint8Array, rangeEnd: Uint8Array) {
    this.start = start;
    this.rangeEnd = rangeEnd;
    // One zero byte means every key from `start` on.
    this.end = rangeEnd.length === 1 && rangeEnd[0] === 0 ? null : rangeEnd;
  }
}

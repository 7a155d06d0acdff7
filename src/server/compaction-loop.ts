/**
 * Carries out the store's compactions in the background: a slice a turn of the loop, and a pause after each batch, so
 * that requests and commits get their turn (`--compaction-sleep-interval`).
 */
import { formatDuration } from "../base/duration.ts";
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { Store } from "../mvcc/store.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Backend } from "../storage/backend/backend.ts";

/** How long a slice may hold the loop; the next one looks at fewer keys or rows when it was longer, at more when shorter. */
const SLICE_MS = 2;
const UNITS_PER_SLICE_MIN = 32;
const UNITS_PER_SLICE_MAX = 2_000;

/** How long compactions hold the loop, and take as a whole, in milliseconds as etcd measures them. */
export class CompactionMetrics {
  /** Slices over the index. */
  readonly indexPauseMs = new Histogram(exponentialBounds(0.5, 2, 14));
  /** Slices over the rows. */
  readonly rowsPauseMs = new Histogram(exponentialBounds(1, 2, 13));
  /** From the first slice to the last, pauses included; several that were ordered at once count as one. */
  readonly totalMs = new Histogram(exponentialBounds(100, 2, 14));
}

export interface CompactionLoopOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly backend: Pick<Backend, "size" | "sizeInUse">;
  /** `--compaction-sleep-interval`. */
  readonly pauseMs: number;
}

export class CompactionLoop {
  readonly metrics = new CompactionMetrics();
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #pauseMs: number;
  #unitsPerSlice = 256;
  #isScheduled = false;
  #isStopped = false;
  #timer: Timer | undefined;
  /** Monotonic time of the first slice; undefined while there is nothing to do. */
  #startedMs: number | undefined;

  constructor({ store, clock, log, backend, pauseMs }: CompactionLoopOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#pauseMs = pauseMs;
    store.onWork = () => this.#schedule();
    store.onCompacted = (revision) => {
      store.counters.lastCompactionSeconds = clock.now() / 1000;
      // Tools wait for this line.
      log.withCaller("server/compaction-loop.ts").info("finished scheduled compaction", {
        "compact-revision": revision,
        took: formatDuration(clock.monotonic() - (this.#startedMs ?? clock.monotonic())),
        "current-db-size-bytes": backend.size,
        "current-db-size-in-use-bytes": backend.sizeInUse,
      });
    };
    // One that the last run did not finish may be waiting already.
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    this.#clock.nextTurn(this.#step);
  }

  readonly #step = (): void => {
    this.#isScheduled = false;
    if (this.#isStopped) return;
    switch (this.#measuredStep()) {
      case "more":
        return this.#schedule();
      case "pause":
        this.#isScheduled = true;
        this.#timer = this.#clock.setTimer(this.#step, this.#pauseMs);
        return;
      case "idle":
    }
  };

  #measuredStep(): "idle" | "more" | "pause" {
    const { isCompactingIndex, pendingCompactions } = this.#store;
    const startedMs = this.#clock.monotonic();
    if (pendingCompactions > 0) this.#startedMs ??= startedMs;
    const result = this.#store.stepCompaction(this.#unitsPerSlice);
    if (pendingCompactions === 0) return result;
    const endedMs = this.#clock.monotonic();
    this.#adapt(endedMs - startedMs);
    (isCompactingIndex ? this.metrics.indexPauseMs : this.metrics.rowsPauseMs).observe(endedMs - startedMs);
    if (this.#store.pendingCompactions === 0) {
      this.metrics.totalMs.observe(endedMs - (this.#startedMs ?? startedMs));
      this.#startedMs = undefined;
    }
    return result;
  }

  /** Rows are of any size, and what is not in the cache is read. */
  #adapt(tookMs: number): void {
    if (tookMs > SLICE_MS) this.#unitsPerSlice = Math.max(this.#unitsPerSlice >>> 1, UNITS_PER_SLICE_MIN);
    else if (tookMs < SLICE_MS / 2) this.#unitsPerSlice = Math.min(this.#unitsPerSlice * 2, UNITS_PER_SLICE_MAX);
  }
}

/**
 * Carries out the store's compactions in the background: a slice a turn of the loop, and a pause after each batch, so
 * that requests and commits get their turn (`--compaction-sleep-interval`).
 */
import type { Store } from "../mvcc/store.ts";
import type { Clock, Timer } from "../platform/clock.ts";

/** Keys or rows looked at in one turn: about a millisecond. */
const UNITS_PER_SLICE = 1_000;

export class CompactionLoop {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #pauseMs: number;
  #isScheduled = false;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(store: Store, clock: Clock, pauseMs: number) {
    this.#store = store;
    this.#clock = clock;
    this.#pauseMs = pauseMs;
    store.onWork = () => this.#schedule();
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
    switch (this.#store.stepCompaction(UNITS_PER_SLICE)) {
      case "more":
        return this.#schedule();
      case "pause":
        this.#isScheduled = true;
        this.#timer = this.#clock.setTimer(this.#step, this.#pauseMs);
        return;
      case "idle":
    }
  };
}

/** Cuts long work into slices of the event loop. */
import type { Clock } from "../../platform/clock.ts";
import type { Pace } from "../bbolt/tx.ts";

/** Longest time that merging, hashing or copying holds the loop in one go. */
const sliceMs = 2;

export class LoopPace implements Pace {
  readonly #clock: Clock;
  #started: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#started = clock.monotonic();
  }

  due(): boolean {
    return this.#clock.monotonic() - this.#started >= sliceMs;
  }

  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.nextTurn(() => {
        this.#started = this.#clock.monotonic();
        resolve();
      });
    });
  }
}

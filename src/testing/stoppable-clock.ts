/** The clock of a member that may die in the middle of its process: once stopped, nothing that was set on it fires. */
import type { Clock, Timer } from "../platform/clock.ts";
import { CrashedError } from "../platform/virtual/index.ts";

export class StoppableClock implements Clock {
  readonly #clock: Clock;
  #isStopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    return this.#clock.setTimer(() => this.#run(callback), delayMs);
  }

  setTicker(callback: () => void, periodMs: number): Timer {
    const timer = this.#clock.setTicker(() => {
      if (this.#isStopped) timer.cancel();
      this.#run(callback);
    }, periodMs);
    return timer;
  }

  nextTurn(callback: () => void): void {
    this.#clock.nextTurn(() => this.#run(callback));
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** A callback in which the disk dies ends there, as its process would. */
  #run(callback: () => void): void {
    if (this.#isStopped) return;
    try {
      callback();
    } catch (error) {
      if (!(error instanceof CrashedError)) throw error;
      this.#isStopped = true;
    }
  }
}

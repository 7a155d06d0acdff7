/** The clock of a member that may die in the middle of its process: once stopped, nothing that was set on it fires. */
import type { Clock, Timer } from "../platform/clock.ts";
import { CrashedError, type ProcessClock } from "../platform/virtual/index.ts";

export class StoppableClock implements ProcessClock {
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
    return this.#clock.setTimer(() => this.run(callback), delayMs);
  }

  setTicker(callback: () => void, periodMs: number): Timer {
    const timer = this.#clock.setTicker(() => {
      if (this.#isStopped) timer.cancel();
      this.run(callback);
    }, periodMs);
    return timer;
  }

  nextTurn(callback: () => void): void {
    this.#clock.nextTurn(() => this.run(callback));
  }

  worldMs(): number {
    return this.#clock.monotonic();
  }

  afterInWorld(delayMs: number, callback: () => void): void {
    this.#clock.setTimer(callback, delayMs);
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** A callback in which the disk dies ends there, as its process would. */
  /** A turn of the process; nothing happens when it is dead. */
  run(callback: () => void): void {
    if (this.#isStopped) return;
    try {
      callback();
    } catch (error) {
      if (!(error instanceof CrashedError)) throw error;
      this.#isStopped = true;
    }
  }
}

/** A clock that stands still until the test moves it; timers fire in order of their time. */
import type { Clock, Timer } from "../../src/platform/clock.ts";

interface Due {
  atMs: number;
  readonly periodMs: number | undefined;
  readonly callback: () => void;
}

export class ManualClock implements Clock {
  #nowMs = 0;
  #due: Due[] = [];

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    return this.#add({ atMs: this.#nowMs + delayMs, periodMs: undefined, callback });
  }

  setTicker(callback: () => void, periodMs: number): Timer {
    return this.#add({ atMs: this.#nowMs + periodMs, periodMs, callback });
  }

  nextTurn(callback: () => void): void {
    this.setTimer(callback, 0);
  }

  /** Moves time on, running what becomes due on the way. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#due.reduce<Due | undefined>(
        (soonest, due) => (soonest === undefined || due.atMs < soonest.atMs ? due : soonest),
        undefined,
      );
      if (next === undefined || next.atMs > untilMs) break;
      this.#nowMs = next.atMs;
      if (next.periodMs === undefined) this.#due = this.#due.filter((due) => due !== next);
      else next.atMs += next.periodMs;
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  #add(due: Due): Timer {
    this.#due.push(due);
    return { cancel: () => (this.#due = this.#due.filter((other) => other !== due)) };
  }
}

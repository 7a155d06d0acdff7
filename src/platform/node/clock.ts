/** Time of the Node binding: the wall clock, the monotonic clock, and the timers of the event loop. */
import type { Clock, Timer } from "../clock.ts";

/** Longest delay Node's timers take; a longer one would fire at once (and warn), so it is waited for in parts. */
const DELAY_MS_MAX = 0x7fff_ffff;

export class NodeClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    return new OneShot(callback, delayMs);
  }

  setTicker(callback: () => void, periodMs: number): Timer {
    const handle = setInterval(callback, Math.min(periodMs, DELAY_MS_MAX));
    return { cancel: () => clearInterval(handle) };
  }

  nextTurn(callback: () => void): void {
    setImmediate(callback);
  }
}

class OneShot implements Timer {
  readonly #callback: () => void;
  #handle: ReturnType<typeof setTimeout> | undefined;

  constructor(callback: () => void, delayMs: number) {
    this.#callback = callback;
    this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  #arm(delayMs: number): void {
    if (delayMs > DELAY_MS_MAX) this.#handle = setTimeout(() => this.#arm(delayMs - DELAY_MS_MAX), DELAY_MS_MAX);
    else this.#handle = setTimeout(this.#callback, delayMs);
  }
}

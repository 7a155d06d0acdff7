/** Keeps the log readable: what a peer repeats ten times a second is said once a minute. */
import type { Clock } from "../platform/clock.ts";

/** The same cause is logged again after this long. */
const repeatMs = 60_000;
/** Causes remembered; beyond that the oldest is forgotten, and at worst logged once more. */
const causesMax = 256;

export class CauseLog {
  readonly #clock: Clock;
  readonly #saidMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True when `cause` is to be logged now. */
  isNews(cause: string): boolean {
    const nowMs = this.#clock.monotonic();
    const saidMs = this.#saidMs.get(cause);
    if (saidMs !== undefined && nowMs - saidMs < repeatMs) return false;
    this.#saidMs.delete(cause);
    this.#saidMs.set(cause, nowMs);
    if (this.#saidMs.size > causesMax) {
      for (const oldest of this.#saidMs.keys()) {
        this.#saidMs.delete(oldest);
        break;
      }
    }
    return true;
  }

  /** All is well again: the next trouble is news. */
  clear(): void {
    this.#saidMs.clear();
  }
}

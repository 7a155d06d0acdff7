/** Time, and the turns of the event loop. */
export interface Clock {
  /** Wall clock, milliseconds since 1970, whole. May jump; never used to measure a duration. */
  now(): number;
  /** Monotonic, milliseconds with fraction, arbitrary origin. */
  monotonic(): number;
  /** Calls back once after `delayMs` (0 = a later turn of the loop). */
  setTimer(callback: () => void, delayMs: number): Timer;
  /** Calls back every `periodMs`, first after one period. */
  setTicker(callback: () => void, periodMs: number): Timer;
  /** Calls back in the next turn of the loop, after the I/O that is ready now. */
  nextTurn(callback: () => void): void;
}

/** Owned by whoever set it; `cancel` is idempotent and safe after it fired. */
export interface Timer {
  cancel(): void;
}

/** Callers that go on when this member has applied a certain entry, or a second later with an error. */
import type { Clock, Timer } from "../platform/clock.ts";
import { EtcdError, type ReasonName } from "../wire/errors.ts";

const WAIT_MS_MAX = 1_000;

interface Waiter {
  readonly index: number;
  readonly timer: Timer;
  readonly resolve: () => void;
  readonly reject: (error: EtcdError) => void;
}

export class AppliedWait {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#waiters.size;
  }

  /** Resolves when `index` is applied. @throws {EtcdError} by rejection: `timeoutWaitAppliedIndex`, `stopped`. */
  until(index: number, appliedIndex: number): Promise<void> {
    if (appliedIndex >= index) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(() => {
        this.#waiters.delete(waiter);
        reject(new EtcdError("timeoutWaitAppliedIndex"));
      }, WAIT_MS_MAX);
      const waiter = { index, timer, resolve, reject };
      this.#waiters.add(waiter);
    });
  }

  release(appliedIndex: number): void {
    for (const waiter of this.#waiters) {
      if (waiter.index > appliedIndex) continue;
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      waiter.resolve();
    }
  }

  failAll(reason: ReasonName): void {
    for (const { timer, reject } of this.#waiters) {
      timer.cancel();
      reject(new EtcdError(reason));
    }
    this.#waiters.clear();
  }
}

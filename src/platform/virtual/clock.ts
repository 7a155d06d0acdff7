/**
 * The clock of one process on a scheduler, and so its event loop: everything that a process does in virtual time runs
 * through {@link VirtualClock.run}. That is where a process can be stopped for good, paused (as SIGSTOP does), made slow,
 * and where its clocks can run fast or jump.
 */
import type { Timer } from "../clock.ts";
import { CrashedError } from "./drive.ts";
import type { ProcessClock } from "./network.ts";
import type { Scheduler } from "./scheduler.ts";

const EPOCH_MS = 1_700_000_000_000;

export class VirtualClock implements ProcessClock {
  readonly scheduler: Scheduler;
  /** Added to the wall clock: set it to let the clock jump. */
  wallOffsetMs = 0;
  /** What every turn of the process costs; meanwhile the next waits. 0: a process of endless speed. */
  turnCostMs = 0;
  /** What every look at the monotonic clock costs: long work, which looks at it to stop in time, gets the time it looks for. */
  lookCostMs = 0;
  /** An error that a turn did not handle: the end of a real process. Without it, it is thrown out of the scheduler. */
  onError: ((error: unknown) => void) | undefined;
  readonly #epochMs: number;
  #isStopped = false;
  #isPaused = false;
  /** Turns that wait, since the process is paused or busy, in order. */
  readonly #held: (() => void)[] = [];
  #busyUntilMs = 0;
  /** What the looks at the clock cost since the scheduler's time {@link #lookedAtMs}. */
  #lookedMs = 0;
  #lookedAtMs = 0;
  #isDraining = false;
  /** Own milliseconds per virtual one, since {@link #rateSinceMs}, when the monotonic clock showed {@link #monotonicMs}. */
  #rate = 1;
  #rateSinceMs = 0;
  #monotonicMs = 0;

  /** @param epochMs - wall-clock time at virtual time 0. */
  constructor(scheduler: Scheduler, epochMs = EPOCH_MS) {
    this.scheduler = scheduler;
    this.#epochMs = epochMs;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** How fast it runs; 1.01 gains a second in a hundred. Timers that are set keep their moment. */
  get rate(): number {
    return this.#rate;
  }

  set rate(rate: number) {
    this.#monotonicMs = this.#unlooked();
    this.#rateSinceMs = this.scheduler.nowMs;
    this.#rate = rate;
  }

  now(): number {
    return this.#epochMs + Math.floor(this.#unlooked() + this.wallOffsetMs);
  }

  monotonic(): number {
    const { nowMs } = this.scheduler;
    if (this.lookCostMs === 0 && this.#lookedAtMs !== nowMs) return this.#unlooked();
    if (this.#lookedAtMs !== nowMs) this.#lookedMs = 0;
    this.#lookedAtMs = nowMs;
    this.#lookedMs += this.lookCostMs;
    // Nothing else happens in the process before that time: its clock never goes back.
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs + this.#lookedMs / this.#rate);
    return this.#unlooked() + this.#lookedMs;
  }

  #unlooked(): number {
    return this.#monotonicMs + (this.scheduler.nowMs - this.#rateSinceMs) * this.#rate;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    return this.scheduler.after(delayMs / this.#rate, () => this.run(callback));
  }

  setTicker(callback: () => void, periodMs: number): Timer {
    let timer: Timer;
    let isCancelled = false;
    // As Node's: one that could not run in time runs once when it can, not once for each period that went by.
    const tick = (): void => {
      if (isCancelled) return;
      timer = this.setTimer(tick, periodMs);
      callback();
    };
    timer = this.setTimer(tick, periodMs);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  nextTurn(callback: () => void): void {
    this.scheduler.after(0, () => this.run(callback));
  }

  worldMs(): number {
    return this.scheduler.nowMs;
  }

  afterInWorld(delayMs: number, callback: () => void): void {
    this.scheduler.after(delayMs, callback);
  }

  /** Nothing set on this clock fires any more: the process is dead. */
  stop(): void {
    this.#isStopped = true;
    this.#held.length = 0;
  }

  /** The process stands still; what would happen in it waits. Its clocks go on. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#drainLater();
  }

  /** A turn of the process: now, or when it has time. */
  run(callback: () => void): void {
    if (this.#isStopped) return;
    if (this.#isPaused || this.#held.length > 0 || this.scheduler.nowMs < this.#busyUntilMs) {
      this.#held.push(callback);
      this.#drainLater();
      return;
    }
    this.#turn(callback);
  }

  #turn(callback: () => void): void {
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.scheduler.nowMs + this.turnCostMs);
    try {
      callback();
    } catch (error) {
      // A callback in which the power fails ends there, as the process does.
      if (error instanceof CrashedError) this.stop();
      else if (this.onError === undefined) throw error;
      else this.onError(error);
    }
  }

  /** One turn an event, so that the promises that it settles have run before the next. */
  #drainLater(): void {
    if (this.#isDraining || this.#isPaused || this.#held.length === 0) return;
    this.#isDraining = true;
    this.scheduler.at(this.#busyUntilMs, () => {
      this.#isDraining = false;
      if (this.#isPaused || this.#isStopped) return;
      const next = this.#held.shift();
      if (next !== undefined) this.#turn(next);
      this.#drainLater();
    });
  }
}

/**
 * Virtual time: a queue of events, run one by one in the order of their time, and of their making when the time is the
 * same. Time jumps from event to event; nothing waits for real.
 *
 * Determinism. Promises resolve on real microtasks, which the queue does not see. After each event the scheduler waits
 * for one real macrotask, so that every promise reaction the event set off (and those they set off) has run before the
 * next event is chosen. What runs is thus a function of the events alone, as long as the code under test waits for
 * nothing real: no Node timers, files or sockets, which the layer check forbids above the platform.
 */
import type { Timer } from "../clock.ts";

/** An event that fires at a virtual time; a binary heap orders them. */
interface Event {
  readonly atMs: number;
  readonly sequence: number;
  callback: (() => void) | undefined;
}

/** A run that goes on for longer is stuck. */
const EVENTS_MAX = 5_000_000;

export class Scheduler {
  /** Virtual milliseconds since the scheduler was made. */
  nowMs = 0;
  /** Events run so far. */
  eventCount = 0;
  /** Called before each event; what it is told is the same in every run of one seed. */
  onEvent: ((atMs: number, sequence: number) => void) | undefined;
  readonly #heap: Event[] = [];
  #sequence = 0;

  at(atMs: number, callback: () => void): Timer {
    const event: Event = { atMs: Math.max(atMs, this.nowMs), sequence: this.#sequence++, callback };
    push(this.#heap, event);
    return {
      cancel() {
        event.callback = undefined;
      },
    };
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.at(this.nowMs + Math.max(0, delayMs), callback);
  }

  /**
   * Runs events until `promise` settles, and gives its result.
   *
   * @throws {Error} when no event is left and it has not settled: somebody waits for what never comes.
   */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => void (isSettled = true);
    promise.then(settle, settle);
    await this.runUntil(() => isSettled);
    return promise;
  }

  /** Runs events until `isDone` holds. It is asked after every event. @throws {Error} when no event is left. */
  async runUntil(isDone: () => boolean): Promise<void> {
    const eventLimit = this.eventCount + EVENTS_MAX;
    await settlePromises();
    while (!isDone()) {
      if (this.eventCount >= eventLimit) throw new Error(`still not done after ${EVENTS_MAX} events`);
      if (!this.#step()) throw new Error(`nothing is left to happen at ${this.nowMs} ms, and it is not done`);
      await settlePromises();
    }
  }

  /** Lets `durationMs` of virtual time pass. */
  async runFor(durationMs: number): Promise<void> {
    let isOver = false;
    this.after(durationMs, () => (isOver = true));
    await this.runUntil(() => isOver);
  }

  #step(): boolean {
    for (;;) {
      const event = pop(this.#heap);
      if (event === undefined) return false;
      const { callback } = event;
      if (callback === undefined) continue;
      event.callback = undefined;
      this.nowMs = event.atMs;
      this.eventCount += 1;
      this.onEvent?.(event.atMs, event.sequence);
      callback();
      return true;
    }
  }
}

/** A macrotask begins only when no microtask is left. */
function settlePromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}

function push(heap: Event[], event: Event): void {
  let index = heap.length;
  heap.push(event);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!isBefore(event, heap[parent])) break;
    heap[index] = heap[parent];
    index = parent;
  }
  heap[index] = event;
}

function pop(heap: Event[]): Event | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (heap.length === 0 || last === undefined) return first;
  let index = 0;
  for (let child = 1; child < heap.length; child = 2 * index + 1) {
    if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child += 1;
    if (!isBefore(heap[child], last)) break;
    heap[index] = heap[child];
    index = child;
  }
  heap[index] = last;
  return first;
}

/**
 * Deadlines of running calls. Nearly every call is answered long before its deadline, so entering and leaving must cost
 * next to nothing and leave nothing behind: a wheel of linked lists, the links in the calls themselves. A call may be
 * up to one step late, never early. The timer runs only while there is a deadline.
 */
import type { Clock } from "../platform/clock.ts";

const stepMs = 16;
const slotCount = 512;

/** What a call has to carry to stand in the queue. */
export interface Deadline {
  /** Monotonic, milliseconds. */
  deadlineMs: number;
  deadlineNext: Deadline | undefined;
  deadlinePrevious: Deadline | undefined;
  /** Slot it stands in; -1 when in none. */
  deadlineSlot: number;
  expire(): void;
}

export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #heads: (Deadline | undefined)[] = Array.from<Deadline | undefined>({ length: slotCount }).fill(undefined);
  #count = 0;
  /** The last step whose slot was looked at. */
  #lastStep = 0;
  #ticking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get count(): number {
    return this.#count;
  }

  /** @param nowMs - monotonic, now or a little earlier. */
  add(entry: Deadline, nowMs: number): void {
    if (!this.#ticking) {
      this.#ticking = true;
      this.#lastStep = Math.floor(nowMs / stepMs);
      this.#clock.setTimer(this.#tick, stepMs);
    }
    // The step after the deadline: by then it has passed.
    const step = Math.max(Math.floor(entry.deadlineMs / stepMs), this.#lastStep) + 1;
    const slot = step % slotCount;
    const head = this.#heads[slot];
    entry.deadlineSlot = slot;
    entry.deadlineNext = head;
    entry.deadlinePrevious = undefined;
    if (head !== undefined) head.deadlinePrevious = entry;
    this.#heads[slot] = entry;
    this.#count++;
  }

  remove(entry: Deadline): void {
    if (entry.deadlineSlot < 0) return;
    const { deadlineNext: next, deadlinePrevious: previous } = entry;
    if (next !== undefined) next.deadlinePrevious = previous;
    if (previous === undefined) this.#heads[entry.deadlineSlot] = next;
    else previous.deadlineNext = next;
    entry.deadlineSlot = -1;
    entry.deadlineNext = undefined;
    entry.deadlinePrevious = undefined;
    this.#count--;
  }

  readonly #tick = (): void => {
    const nowMs = this.#clock.monotonic();
    const step = Math.floor(nowMs / stepMs);
    const first = Math.max(this.#lastStep + 1, step - slotCount + 1);
    for (let at = first; at <= step; at++) this.#expireSlot(at % slotCount, nowMs);
    this.#lastStep = Math.max(step, this.#lastStep);
    this.#ticking = this.#count > 0;
    if (this.#ticking) this.#clock.setTimer(this.#tick, stepMs);
  };

  #expireSlot(slot: number, nowMs: number): void {
    // Collected first: `expire` may remove other entries of this very list.
    const due: Deadline[] = [];
    for (let entry = this.#heads[slot]; entry !== undefined; entry = entry.deadlineNext) {
      if (entry.deadlineMs <= nowMs) due.push(entry);
    }
    for (const entry of due) {
      if (entry.deadlineSlot < 0) continue;
      this.remove(entry);
      entry.expire();
    }
  }
}

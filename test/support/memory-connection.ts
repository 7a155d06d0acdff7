/** Test doubles for the protocol layers: a clock that tests move, and a pair of connections without a network. */
import type { Clock, Timer } from "../../src/platform/clock.ts";
import type { Address, Connection, ConnectionHandlers, NetworkError } from "../../src/platform/network.ts";

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time stands still until {@link TestClock.advance}; turns of the loop run by {@link TestClock.settle}. */
export class TestClock implements Clock {
  #nowMs = 1000;
  #order = 0;
  #timers: Entry[] = [];
  #turns: (() => void)[] = [];

  now(): number {
    return Math.floor(this.#nowMs);
  }

  monotonic(): number {
    return this.#nowMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const entry = { at: this.#nowMs + delayMs, order: this.#order++, callback };
    this.#timers.push(entry);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== entry)) };
  }

  setTicker(callback: () => void, periodMs: number): Timer {
    let timer: Timer;
    const arm = (): void => {
      timer = this.setTimer(() => {
        arm();
        callback();
      }, periodMs);
    };
    arm();
    return { cancel: () => timer.cancel() };
  }

  nextTurn(callback: () => void): void {
    this.#turns.push(callback);
  }

  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Runs microtasks and turns until nothing is left to do without time passing. */
  async settle(): Promise<void> {
    for (;;) {
      for (let round = 0; round < 8; round++) await Promise.resolve();
      const turns = this.#turns;
      if (turns.length === 0) return;
      this.#turns = [];
      for (const turn of turns) turn();
    }
  }

  async advance(ms: number): Promise<void> {
    const until = this.#nowMs + ms;
    await this.settle();
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at || a.order - b.order)[0];
      if (next === undefined || next.at > until) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#nowMs = Math.max(this.#nowMs, next.at);
      next.callback();
      await this.settle();
    }
    this.#nowMs = until;
  }
}

const highWaterBytes = 256 * 1024;

/** One end of {@link connectionPair}. */
export class MemoryConnection implements Connection {
  readonly remote: Address = { host: "127.0.0.1", port: 1 };
  readonly local: Address = { host: "127.0.0.1", port: 2 };
  readonly tls = undefined;
  other!: MemoryConnection;
  /** Everything this end wrote, when nobody reads the other end by handlers. */
  readonly written: Uint8Array[] = [];
  /** A peer that does not read: what is written waits. */
  stalled = false;
  destroyed = false;
  ended = false;
  /** Cuts deliveries into pieces of at most this size. */
  pieceBytes = Number.POSITIVE_INFINITY;
  readonly #clock: Clock;
  #handlers: ConnectionHandlers | undefined;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #full = false;
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  setHandlers(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): boolean {
    if (this.destroyed || this.ended) return true;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#schedule();
    if (this.#waitingBytes <= highWaterBytes) return true;
    this.#full = true;
    return false;
  }

  /** Lets a stalled connection flow again. */
  flow(): void {
    this.stalled = false;
    this.#schedule();
  }

  cork(): void {
    // Delivery is deferred anyway.
  }

  uncork(): void {
    // See cork.
  }

  pause(): void {
    this.other.stalled = true;
  }

  resume(): void {
    this.other.flow();
  }

  end(): void {
    this.ended = true;
    this.#schedule();
  }

  destroy(): void {
    this.#close();
    this.#clock.nextTurn(() => this.other.#close());
  }

  detach(): unknown {
    return undefined;
  }

  /** Everything this end wrote so far, as one array. */
  takeWritten(): Uint8Array {
    const bytes = Buffer.concat(this.written);
    this.written.length = 0;
    return bytes;
  }

  #close(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#clock.nextTurn(() => this.#handlers?.closed(undefined as NetworkError | undefined));
  }

  #schedule(): void {
    if (this.#scheduled || this.stalled) return;
    this.#scheduled = true;
    this.#clock.nextTurn(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.stalled) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    // Copied before the owner may use its buffers again, as the kernel would.
    const copies = waiting.map((bytes) => new Uint8Array(bytes));
    this.#waitingBytes -= copies.reduce((sum, bytes) => sum + bytes.length, 0);
    for (const bytes of copies) this.other.#receive(bytes, this);
    if (this.ended && !this.destroyed) this.other.#handlers?.end();
    if (this.#full && this.#waitingBytes === 0) {
      this.#full = false;
      this.#handlers?.drained();
    }
  }

  #receive(bytes: Uint8Array, from: MemoryConnection): void {
    if (this.#handlers === undefined) {
      from.written.push(bytes);
      return;
    }
    for (let offset = 0; offset < bytes.length && !this.destroyed; offset += from.pieceBytes) {
      const piece = bytes.slice(offset, Math.min(bytes.length, offset + from.pieceBytes));
      this.#handlers.data(piece);
      piece.fill(0xee); // borrowed: whoever kept it without a copy finds rubbish
    }
  }
}

/** Two connected ends. */
export function connectionPair(clock: Clock): [MemoryConnection, MemoryConnection] {
  const a = new MemoryConnection(clock);
  const b = new MemoryConnection(clock);
  a.other = b;
  b.other = a;
  return [a, b];
}

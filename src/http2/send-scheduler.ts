/**
 * Data that could not be sent at once: a window is exhausted, the socket is full, or it is long. Streams with something
 * to send and an open window of their own stand in a line; each sends a slice and goes to the end of it. A connection
 * sends at most {@link turnBytes} of this kind per turn of the loop, so that one long answer delays nobody.
 */
import type { Clock } from "../platform/clock.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { Http2Session } from "./session.ts";
import type { Http2Stream } from "./stream.ts";

/** Most queued bytes one stream sends before the next one has its turn. */
export const sliceBytes = 64 * 1024;
/** Most queued bytes sent by one connection in one turn of the loop. */
const turnBytes = 128 * 1024;
/** Served entries at the head of a list are cut off when there are this many. */
const compactAt = 1024;

/** What is queued in all sessions of a server together. */
export class SharedQueue {
  bytes = 0;
  readonly bytesMax: number;
  /** Called while `bytes` is above `bytesMax`; it closes sessions. */
  readonly onFull: () => void;

  constructor(bytesMax: number, onFull: () => void) {
    this.bytesMax = bytesMax;
    this.onFull = onFull;
  }
}

export class SendScheduler {
  /** Bytes queued in all streams of the session. */
  queuedBytes = 0;
  readonly #session: Http2Session;
  readonly #clock: Clock;
  readonly #shared: SharedQueue;
  /** The line; served from `#head` on. */
  #line: Http2Stream[] = [];
  #head = 0;
  #scheduled = false;
  #running = false;

  constructor(session: Http2Session, clock: Clock, shared: SharedQueue) {
    this.#session = session;
    this.#clock = clock;
    this.#shared = shared;
  }

  /** Puts a piece behind what the stream has queued; the bytes belong to it from now on. */
  enqueue(stream: Http2Stream, piece: Uint8Array): void {
    if (stream.queue === undefined) stream.queue = [piece];
    else stream.queue.push(piece);
    stream.queuedBytes += piece.length;
    this.queuedBytes += piece.length;
    this.#shared.bytes += piece.length;
  }

  /** Lets a stream stand in line if it has something to send and may. */
  line(stream: Http2Stream): void {
    if (stream.listed || stream.queuedBytes === 0 || stream.sendWindow <= 0) return;
    stream.listed = true;
    this.#line.push(stream);
  }

  /** Drops what a stream that closes has queued. */
  drop(stream: Http2Stream): void {
    this.queuedBytes -= stream.queuedBytes;
    this.#shared.bytes -= stream.queuedBytes;
    stream.queuedBytes = 0;
    stream.queue = undefined;
  }

  clear(): void {
    this.#line = [];
    this.#head = 0;
  }

  /** Serves the line until it is empty, or the connection's window, the socket or this turn's share is exhausted. */
  run(): void {
    if (this.#running || this.#line.length === this.#head) return;
    const session = this.#session;
    this.#running = true;
    let budget = turnBytes;
    while (this.#head < this.#line.length && session.sendWindow > 0 && budget > 0 && !session.output.blocked) {
      const stream = this.#line[this.#head++];
      stream.listed = false;
      if (!stream.closed) {
        budget -= this.#sendSlice(stream, Math.min(budget, sliceBytes));
        this.line(stream);
      }
      if (this.#head > compactAt) {
        this.#line.splice(0, this.#head);
        this.#head = 0;
      }
    }
    if (this.#head === this.#line.length) {
      this.#line.length = 0;
      this.#head = 0;
    } else if (budget <= 0) {
      this.#runNextTurn();
    }
    this.#running = false;
  }

  #runNextTurn(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.nextTurn(() => {
      this.#scheduled = false;
      this.run();
    });
  }

  /** Sends up to `most` bytes of a stream's queue; returns how many. */
  #sendSlice(stream: Http2Stream, most: number): number {
    const session = this.#session;
    let sent = 0;
    while (stream.queuedBytes > 0 && sent < most) {
      const windows = Math.min(session.sendWindow, stream.sendWindow);
      const size = Math.min(stream.queuedBytes, session.peer.maxFrameSize, windows, most - sent);
      if (size <= 0) break;
      session.beginData(stream, size, false);
      this.#takeQueued(stream, size);
      sent += size;
      // `onQueueEmpty` may queue the next piece of a long answer.
      if (stream.queuedBytes === 0) stream.onQueueEmpty();
    }
    return sent;
  }

  /** Moves `size` bytes from the head of a stream's queue to the output. */
  #takeQueued(stream: Http2Stream, size: number): void {
    const { output } = this.#session;
    const queue = stream.queue!;
    let left = size;
    while (left > 0) {
      const piece = queue[stream.queueHead];
      const take = Math.min(left, piece.length - stream.queueOffset);
      output.bytes.set(piece.subarray(stream.queueOffset, stream.queueOffset + take), output.position);
      output.position += take;
      stream.queueOffset += take;
      left -= take;
      if (stream.queueOffset === piece.length) {
        queue[stream.queueHead++] = emptyBytes;
        stream.queueOffset = 0;
      }
    }
    stream.queuedBytes -= size;
    this.queuedBytes -= size;
    this.#shared.bytes -= size;
    if (stream.queueHead === queue.length) {
      stream.queue = undefined;
      stream.queueHead = 0;
    } else if (stream.queueHead > compactAt) {
      queue.splice(0, stream.queueHead);
      stream.queueHead = 0;
    }
  }
}

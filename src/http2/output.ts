/**
 * What waits to be written to one connection. Frames are written straight into a pooled buffer; everything of one turn
 * of the loop leaves in one write. A buffer is used again only after the socket has taken it; an idle connection holds none.
 *
 *     reserve(n) → bytes/position: write up to n bytes, advance position → ... → flush (in a microtask, by FlushQueue)
 */
import type { Connection } from "../platform/network.ts";
import { emptyBytes } from "../base/bytes.ts";

/** Size of a large buffer: four full frames, about what the kernel takes in one call. */
export const outputBufferSize = 64 * 1024 + 512;
/**
 * Size of a small one, for a connection with little to say. Of a turn that writes to a thousand connections only these stay in
 * the processor's cache, and the pool holds enough of them: with large ones alone it ran dry, and the collector after it.
 */
const smallBufferSize = 4096;
/** Free buffers kept by a pool: 32 MiB at most of each size. */
const pooledLargeMax = 512;
const pooledSmallMax = 8192;
/** A turn that produced this much is flushed without waiting for its end, so that backpressure can be seen. */
const flushAtBytes = 1024 * 1024;

/** Buffers shared by the connections of one server or client. */
export class BufferPool {
  readonly #large: Uint8Array[] = [];
  readonly #small: Uint8Array[] = [];

  /** A large buffer, or a small one. */
  take(isLarge: boolean): Uint8Array {
    return isLarge
      ? (this.#large.pop() ?? Buffer.allocUnsafeSlow(outputBufferSize))
      : (this.#small.pop() ?? Buffer.allocUnsafeSlow(smallBufferSize));
  }

  give(buffer: Uint8Array): void {
    if (buffer.length === smallBufferSize) {
      if (this.#small.length < pooledSmallMax) this.#small.push(buffer);
    } else if (this.#large.length < pooledLargeMax) {
      this.#large.push(buffer);
    }
  }
}

/** Flushes, at the end of the present callback, every output that was written to. */
export class FlushQueue {
  #waiting: Output[] = [];
  #spare: Output[] = [];
  readonly #run = (): void => {
    const outputs = this.#waiting;
    this.#waiting = this.#spare;
    for (const output of outputs) output.flush();
    outputs.length = 0;
    this.#spare = outputs;
  };

  add(output: Output): void {
    if (this.#waiting.push(output) === 1) queueMicrotask(this.#run);
  }
}

export class Output {
  /** The buffer being filled; write at `position` after {@link reserve}. */
  bytes: Uint8Array = emptyBytes;
  position = 0;
  /** The socket holds more than its high-water mark: queue instead of writing. Cleared by {@link drained}. */
  blocked = false;
  readonly #connection: Connection;
  readonly #pool: BufferPool;
  readonly #queue: FlushQueue;
  /** `bytes[#start, position)` is not flushed. */
  #start = 0;
  #queued = false;
  #closed = false;
  /** Contents of filled buffers, not yet given to the connection. */
  readonly #full: Uint8Array[] = [];
  #fullBytes = 0;
  /** Filled buffers whose contents are in `#full` or still waiting in the connection. */
  readonly #held: Uint8Array[] = [];
  /** The turn before, or this one, had more than a small buffer takes: the next is a large one. */
  #isBusy = false;
  #written = 0;

  constructor(connection: Connection, pool: BufferPool, queue: FlushQueue) {
    this.#connection = connection;
    this.#pool = pool;
    this.#queue = queue;
  }

  /** Bytes not yet taken by the system. */
  get waitingBytes(): number {
    return this.#fullBytes + this.position - this.#start + this.#connection.waitingBytes;
  }

  /** Makes room for `size` contiguous bytes (at most {@link outputBufferSize}) at `bytes[position]` and schedules a flush. */
  reserve(size: number): void {
    if (this.bytes.length - this.position < size) this.#nextBuffer(size);
    if (!this.#queued) {
      this.#queued = true;
      this.#queue.add(this);
    }
  }

  /** Copies `source` behind what is there. */
  append(source: Uint8Array): void {
    for (let offset = 0; offset < source.length; offset += outputBufferSize) {
      const part = source.subarray(offset, offset + outputBufferSize);
      this.reserve(part.length);
      this.bytes.set(part, this.position);
      this.position += part.length;
    }
  }

  /** Gives everything to the connection now. */
  flush(): void {
    this.#queued = false;
    if (this.#closed) return;
    const connection = this.#connection;
    let taken = true;
    if (this.#full.length > 0) {
      connection.cork();
      for (const part of this.#full) taken = this.#write(part) && taken;
      this.#full.length = 0;
      this.#fullBytes = 0;
      taken = this.#writeTail() && taken;
      connection.uncork();
    } else {
      this.#isBusy = this.position - this.#start > smallBufferSize / 2;
      taken = this.#writeTail();
    }
    if (connection.waitingBytes === 0) this.#release();
    else if (!taken) this.blocked = true;
  }

  /** Bytes that the system has taken since the start; standing still while bytes wait means a stalled peer. */
  get takenBytes(): number {
    return this.#written - this.#connection.waitingBytes;
  }

  /** The socket took everything it had refused before. */
  drained(): void {
    this.blocked = false;
    this.emptied();
  }

  /** The socket holds nothing any more. */
  emptied(): void {
    if (this.#full.length === 0 && this.#connection.waitingBytes === 0) this.#release();
  }

  /** The connection is gone: nothing is written any more, buffers are dropped. */
  close(): void {
    this.#closed = true;
    this.bytes = emptyBytes;
    this.position = 0;
    this.#start = 0;
    this.#full.length = 0;
    this.#fullBytes = 0;
    this.#held.length = 0;
  }

  #writeTail(): boolean {
    if (this.position === this.#start) return true;
    const tail = this.bytes.subarray(this.#start, this.position);
    this.#start = this.position;
    return this.#write(tail);
  }

  #write(bytes: Uint8Array): boolean {
    this.#written += bytes.length;
    return this.#connection.write(bytes);
  }

  #nextBuffer(size: number): void {
    this.#isBusy ||= this.bytes.length > 0 || size > smallBufferSize;
    if (this.position > this.#start) {
      this.#full.push(this.bytes.subarray(this.#start, this.position));
      this.#fullBytes += this.position - this.#start;
    }
    if (this.bytes.length > 0) this.#held.push(this.bytes);
    this.bytes = emptyBytes;
    this.position = 0;
    this.#start = 0;
    // Before the new buffer is taken: a socket that takes everything at once makes the flush release what is empty.
    if (this.#fullBytes >= flushAtBytes) this.flush();
    this.bytes = this.#pool.take(this.#isBusy);
  }

  /** The socket holds nothing: every buffer is free again. */
  #release(): void {
    for (const buffer of this.#held) this.#pool.give(buffer);
    this.#held.length = 0;
    if (this.bytes.length > 0 && this.position === this.#start) {
      this.#pool.give(this.bytes);
      this.bytes = emptyBytes;
      this.position = 0;
      this.#start = 0;
    }
  }
}

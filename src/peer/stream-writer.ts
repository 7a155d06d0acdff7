/**
 * The sending half of a stream: the peer has dialed, and what we send flows in the body of our answer. One writer per
 * peer and kind of stream; while no connection is attached the peer is told through other channels.
 *
 *     push* → flush: messages, joined where they can be, encoded behind each other into one chunk ─► one write per turn
 *
 * A connection that takes nothing leaves the messages in the queue; a full queue drops, which the core can live with.
 * Source: etcd rafthttp/stream.go, `streamWriter`.
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Connection } from "../platform/network.ts";
import { formatId } from "../membership/member.ts";
import type { Message } from "../wire/raft/types.ts";
import { chunkHeadBytes, chunkTailBytes, lastChunk, writeChunkHead, writeChunkTail } from "./http1/body.ts";
import {
  connectionTimeoutMs,
  lingerMs,
  linkHeartbeatMs,
  streamQueueBytesMax,
  streamQueueMax,
  streamWriteBytesMax,
} from "./limits.ts";
import { joinedMessage } from "./joined-message.ts";
import type { PeerCounters } from "./metrics.ts";
import type { PeerStatus } from "./peer-status.ts";
import { linkHeartbeat, type StreamEncoder } from "./stream-codec.ts";

/** Buffer that is used again while the socket takes what it is given at once. */
const bufferBytes = 64 << 10;

export interface StreamWriterParts {
  readonly localId: bigint;
  readonly peerId: bigint;
  /** etcd's name in logs: `stream Message`, `stream MsgApp v2`. */
  readonly name: string;
  readonly makeEncoder: () => StreamEncoder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly status: PeerStatus;
  readonly counters: PeerCounters;
  readonly reportUnreachable: (peerId: bigint) => void;
}

export class StreamWriter {
  readonly #parts: StreamWriterParts;
  #connection: Connection | undefined;
  #encoder: StreamEncoder;
  #ticker: Timer | undefined;
  #writtenBytes = 0;
  /** Of those, what the system had taken when it was last seen to take something. */
  #takenBytes = 0;
  #lastMovedMs = 0;
  /** The connection has more than enough waiting; `drained` clears it. */
  #isBlocked = false;
  #queue: Message[] = [];
  #queueBytes = 0;
  #buffer: Uint8Array | undefined;

  constructor(parts: StreamWriterParts) {
    this.#parts = parts;
    this.#encoder = parts.makeEncoder();
  }

  /** A connection is attached. */
  get isWorking(): boolean {
    return this.#connection !== undefined;
  }

  /** Owns a connection whose response head is written; replaces and closes an earlier one. */
  attach(connection: Connection): void {
    const hadOne = this.#connection !== undefined;
    this.#close();
    const { clock, log } = this.#parts;
    this.#connection = connection;
    this.#encoder = this.#parts.makeEncoder();
    this.#isBlocked = false;
    this.#writtenBytes = 0;
    this.#takenBytes = 0;
    this.#lastMovedMs = clock.monotonic();
    this.#ticker = clock.setTicker(this.#tick, linkHeartbeatMs);
    connection.setHandlers({
      data: () => undefined, // the request is over; nothing more is expected
      end: () => this.#lose(connection, "EOF"),
      drained: () => this.#drained(),
      closed: (error) => this.#lose(connection, error?.message ?? "closed"),
    });
    this.#parts.status.activate();
    if (hadOne) log.warn("closed TCP streaming connection with remote peer", this.#fields());
    log.info("established TCP streaming connection with remote peer", this.#fields());
  }

  /** Queues a message until {@link flush}; false when the queue is full. Call only while {@link isWorking}. */
  push(message: Message): boolean {
    const queue = this.#queue;
    const last = queue.length - 1;
    const joined = last < 0 ? undefined : joinedMessage(queue[last], message);
    if (joined === undefined && queue.length >= streamQueueMax) return false;
    const bytes = roughSizeOf(joined ?? message) - (joined === undefined ? 0 : roughSizeOf(queue[last]));
    if (this.#queueBytes + bytes > streamQueueBytesMax) return false;
    this.#queueBytes += bytes;
    if (joined === undefined) queue.push(message);
    else queue[last] = joined;
    return true;
  }

  /** Writes what is queued, as far as the connection takes it. */
  flush(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#isBlocked || this.#queue.length === 0) return;
    const queue = this.#queue;
    let next = 0;
    while (next < queue.length && !this.#isBlocked) next = this.#writeChunk(connection, queue, next);
    if (next === queue.length) {
      this.#queue = [];
      this.#queueBytes = 0;
    } else {
      for (let index = 0; index < next; index++) this.#queueBytes -= roughSizeOf(queue[index]);
      this.#queue = queue.slice(next);
    }
  }

  stop(): void {
    if (this.#connection !== undefined) {
      this.#parts.log.warn("closed TCP streaming connection with remote peer", this.#fields());
    }
    this.#close();
    this.#parts.log.info("stopped TCP streaming connection with remote peer", this.#fields());
  }

  /** Encodes messages from `next` on into one chunk and writes it; returns the first message that is left. */
  #writeChunk(connection: Connection, queue: readonly Message[], next: number): number {
    const frame = chunkHeadBytes + chunkTailBytes;
    let size = this.#encoder.size(queue[next]);
    const buffer = size + frame > bufferBytes ? Buffer.allocUnsafeSlow(size + frame) : this.#reusable();
    let end = chunkHeadBytes;
    for (;;) {
      end = this.#encoder.write(queue[next++], buffer, end);
      if (next === queue.length || end - chunkHeadBytes > streamWriteBytesMax) break;
      size = this.#encoder.size(queue[next]);
      if (end + size + chunkTailBytes > buffer.length) break;
    }
    this.#parts.counters.sentBytes += end - chunkHeadBytes;
    const start = writeChunkHead(end - chunkHeadBytes, buffer, chunkHeadBytes);
    const chunk = buffer.subarray(start, writeChunkTail(buffer, end));
    this.#writtenBytes += chunk.length;
    if (!connection.write(chunk)) this.#isBlocked = true;
    // What still waits belongs to the connection, its buffer too.
    if (buffer === this.#buffer && connection.waitingBytes > 0) this.#buffer = undefined;
    return next;
  }

  #reusable(): Uint8Array {
    this.#buffer ??= Buffer.allocUnsafeSlow(bufferBytes);
    return this.#buffer;
  }

  #drained(): void {
    this.#isBlocked = false;
    this.flush();
  }

  /** Says that we live; and notices when the peer takes nothing any more. */
  readonly #tick = (): void => {
    const connection = this.#connection;
    if (connection === undefined) return;
    const nowMs = this.#parts.clock.monotonic();
    const takenBytes = this.#writtenBytes - connection.waitingBytes;
    if (connection.waitingBytes === 0 || takenBytes > this.#takenBytes) this.#lastMovedMs = nowMs;
    this.#takenBytes = takenBytes;
    if (nowMs - this.#lastMovedMs >= connectionTimeoutMs) return this.#lose(connection, "i/o timeout");
    if (this.#queue.length === 0) this.push(linkHeartbeat);
    this.flush();
  };

  #lose(connection: Connection, reason: string): void {
    if (connection !== this.#connection) return;
    this.#parts.status.deactivate("write", this.#parts.name, reason);
    this.#parts.counters.sendFailures++;
    connection.destroy();
    this.#close();
    this.#parts.log.warn("lost TCP streaming connection with remote peer", this.#fields());
    this.#parts.reportUnreachable(this.#parts.peerId);
  }

  /** Ends the body properly, so that the peer sees an end and not a loss. */
  #close(): void {
    this.#ticker?.cancel();
    const connection = this.#connection;
    this.#connection = undefined;
    if (this.#queue.length > 0) this.#parts.reportUnreachable(this.#parts.peerId);
    this.#queue = [];
    this.#queueBytes = 0;
    this.#buffer = undefined;
    if (connection === undefined) return;
    const linger = this.#parts.clock.setTimer(() => connection.destroy(), lingerMs);
    connection.setHandlers({
      data: () => undefined,
      end: () => undefined,
      drained: () => undefined,
      closed: () => linger.cancel(),
    });
    connection.write(lastChunk);
    connection.end();
  }

  #fields(): Record<string, string> {
    return {
      "stream-writer-type": this.#parts.name,
      "local-member-id": formatId(this.#parts.localId),
      "remote-peer-id": formatId(this.#parts.peerId),
    };
  }
}

/** What a message holds in memory, for the limit of the queue. */
function roughSizeOf({ entries, context }: Message): number {
  let size = 64 + context.length;
  for (let index = 0; index < entries.length; index++) size += 32 + entries[index].data.length;
  return size;
}

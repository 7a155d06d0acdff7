/**
 * One HTTP/2 connection, server or client side (RFC 9113): its streams, flow control of what is sent, and its end. It knows
 * nothing of gRPC.
 *
 * Receiving: `frame-reader.ts` cuts chunks into frames, `frame-receiver.ts` says what they mean. Sending: frames go straight
 * into the {@link Output}; a stream that cannot send at once queues, and the {@link SendScheduler} serves the queued streams
 * in turn. `session-streams.ts` knows which streams there are, `control-frames.ts` writes what flow control does not hold back.
 *
 * Errors: a {@link ConnectionError} thrown while a frame is handled ends the connection with GOAWAY; a stream error resets
 * its stream. What a peer may do how often is in `limits.ts`.
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { Connection, NetworkError } from "../platform/network.ts";
import { assert } from "../base/assert.ts";
import { emptyBytes } from "../base/bytes.ts";
import { ControlFrames } from "./control-frames.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import {
  Flag,
  FrameType,
  defaultWindowSize,
  frameHeaderSize,
  streamIdOffset,
  writeFrameHeader,
  writeUint32,
} from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { FrameReceiver } from "./frame-receiver.ts";
import type { Http2Limits } from "./limits.ts";
import { Output } from "./output.ts";
import { PeerSettings } from "./peer-settings.ts";
import { SendScheduler, type SharedQueue } from "./send-scheduler.ts";
import type { SessionOptions, SessionOwner } from "./session-owner.ts";
import { SessionStreams } from "./session-streams.ts";
import type { Http2Stream } from "./stream.ts";

/** After GOAWAY and our FIN the peer has this long to close before we do. */
const lingerMs = 1000;
/** Of a connection's queues. */
const crowdedBytes = 16 * 1024 * 1024;

export class Http2Session {
  readonly connection: Connection;
  readonly output: Output;
  /** Monotonic time of the chunk being handled: one clock call per chunk, not per request. */
  now: number;
  /** SETTINGS of the peer. */
  readonly peer = new PeerSettings();
  /** HEADERS and DATA frames sent; lets a ping policy see that there was something to acknowledge. */
  framesSent = 0;
  /** What the peer lets us send on the whole connection. */
  sendWindow = defaultWindowSize;
  /** When the last bytes came, monotonic. */
  lastReceivedMs: number;
  /** The connection is ending, or gone: nothing more is received. */
  closing = false;

  // Shared with the receiving half and the scheduler.
  readonly streams: SessionStreams;
  readonly control: ControlFrames;
  readonly scheduler: SendScheduler;

  readonly #owner: SessionOwner;
  readonly #clock: Clock;
  readonly #limits: Http2Limits;
  readonly #isServer: boolean;
  readonly #receiver: FrameReceiver;
  readonly #reader: FrameReader;
  readonly #sharedQueue: SharedQueue;
  readonly #openedMs: number;
  #closed = false;
  #lingerTimer: Timer | undefined;
  /** When the socket last took something, and how much it had taken by then. */
  #takenBytes = 0;
  #takenAtMs: number;

  constructor(connection: Connection, options: SessionOptions) {
    const { limits, clock, owner } = options;
    const isServer = options.role === "server";
    this.connection = connection;
    this.output = new Output(connection, options.pool, options.flushQueue);
    this.#owner = owner;
    this.#clock = clock;
    this.#limits = limits;
    this.#sharedQueue = options.sharedQueue;
    this.#isServer = isServer;
    this.now = clock.monotonic();
    this.lastReceivedMs = this.now;
    this.#openedMs = this.now;
    this.#takenAtMs = this.now;
    this.streams = new SessionStreams({ isServer });
    this.control = new ControlFrames(this.output, limits, () => this.destroy());
    this.scheduler = new SendScheduler(this, clock, options.sharedQueue);
    this.#receiver = new FrameReceiver(this, owner, limits, isServer);
    this.#reader = new FrameReader(this.#receiver, { expectsPreface: isServer });
    this.control.start({ isServer });
  }

  /** Sets the connection's handlers; `firstBytes` are what was already read from it. */
  start(firstBytes: Uint8Array = emptyBytes): void {
    this.connection.setHandlers({
      data: (chunk) => this.receive(chunk),
      end: () => this.destroy(),
      drained: () => this.#drained(),
      emptied: () => this.output.emptied(),
      closed: (error) => this.#connectionClosed(error),
    });
    if (firstBytes.length > 0) this.receive(firstBytes);
  }

  /** While true the peer may send what its window holds, and no more. */
  holdWindow(holds: boolean): void {
    this.#receiver.holdsWindow = holds;
  }

  get streamCount(): number {
    return this.streams.open.count;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes queued in streams, waiting for windows or the socket. */
  get queuedBytes(): number {
    return this.scheduler.queuedBytes;
  }

  /** This connection's queues, or those of all, are far from empty, and far from the limit at which connections are closed. */
  get isCrowded(): boolean {
    const { bytes, bytesMax } = this.#sharedQueue;
    return this.scheduler.queuedBytes > crowdedBytes || bytes > bytesMax / 2;
  }

  /** The highest stream the peer opened. */
  get lastPeerStream(): number {
    return this.streams.lastOfPeer;
  }

  // ---- Receiving -------------------------------------------------------------------------------------------------

  /** Handles received bytes, borrowed until this returns. */
  receive(chunk: Uint8Array): void {
    if (this.closing) return;
    this.now = this.#clock.monotonic();
    this.lastReceivedMs = this.now;
    try {
      this.#reader.read(chunk, this.now);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.fail(error.code, error.message);
    }
  }

  // ---- Sending ---------------------------------------------------------------------------------------------------

  /** Registers a stream that {@link SessionOwner.accept} made. */
  register(stream: Http2Stream): void {
    this.streams.open.add(stream);
  }

  /** The identifier for the next stream of a client. */
  nextStreamId(): number {
    assert(!this.#isServer, "only a client opens streams");
    return this.streams.takeId();
  }

  /** False when a client has used up its stream identifiers. */
  get canOpen(): boolean {
    return !this.closing && this.streams.hasIds;
  }

  /**
   * True when a message of `size` bytes may go out in one DATA frame at once; the caller then uses {@link beginData}.
   * Otherwise it queues ({@link enqueue}).
   */
  canSendNow(stream: Http2Stream, size: number): boolean {
    return (
      stream.queuedBytes === 0 &&
      size <= stream.sendWindow &&
      size <= this.sendWindow &&
      size <= this.peer.maxFrameSize &&
      !this.output.blocked
    );
  }

  /**
   * Writes the header of a DATA frame and makes room for its `size` bytes, which the caller puts at
   * `output.bytes[output.position]`, advancing the position by exactly `size`.
   */
  beginData(stream: Http2Stream, size: number, endStream: boolean): void {
    const { output } = this;
    output.reserve(frameHeaderSize + size);
    stream.sendWindow -= size;
    this.sendWindow -= size;
    this.framesSent++;
    const flags = endStream ? Flag.endStream : Flag.none;
    output.position = writeFrameHeader(output.bytes, output.position, size, FrameType.data, flags, stream.id);
    if (endStream) stream.sentEnd = true;
  }

  /**
   * Sends a DATA frame that other streams get too, header included, by a copy with this stream's number. Only what
   * {@link canSendNow} allows.
   */
  sendFrame(stream: Http2Stream, frame: Uint8Array): void {
    const { output } = this;
    const size = frame.length - frameHeaderSize;
    output.reserve(frame.length);
    stream.sendWindow -= size;
    this.sendWindow -= size;
    this.framesSent++;
    const { bytes, position } = output;
    bytes.set(frame, position);
    writeUint32(bytes, position + streamIdOffset, stream.id);
    output.position = position + frame.length;
  }

  /** Sends an encoded header block, `block[start, end)`, in one HEADERS frame and CONTINUATION frames as needed. */
  sendHeaders(id: number, block: Uint8Array, start: number, end: number, endStream: boolean): void {
    const { output } = this;
    const first = Math.min(end - start, this.peer.maxFrameSize);
    this.control.reserve(frameHeaderSize + first);
    this.framesSent++;
    const last = first === end - start;
    const flags = (endStream ? Flag.endStream : 0) | (last ? Flag.endHeaders : 0);
    let position = writeFrameHeader(output.bytes, output.position, first, FrameType.headers, flags, id);
    const { bytes } = output;
    for (let index = start; index < start + first; index++) bytes[position++] = block[index]!;
    output.position = position;
    for (let offset = start + first; offset < end; offset += this.peer.maxFrameSize) {
      const part = block.subarray(offset, Math.min(end, offset + this.peer.maxFrameSize));
      this.control.reserve(frameHeaderSize + part.length);
      const partFlags = offset + part.length === end ? Flag.endHeaders : Flag.none;
      output.position = writeFrameHeader(
        output.bytes,
        output.position,
        part.length,
        FrameType.continuation,
        partFlags,
        id,
      );
      output.bytes.set(part, output.position);
      output.position += part.length;
    }
  }

  /** Queues a piece of a stream's data, which belongs to the session from now on; call {@link pumpStream} after the last piece. */
  enqueue(stream: Http2Stream, piece: Uint8Array): void {
    if (piece.length > 0 && !stream.closed) this.scheduler.enqueue(stream, piece);
  }

  /** Sends of a stream's queue what may go at once; the rest follows as windows and socket allow. */
  pumpStream(stream: Http2Stream): void {
    if (this.scheduler.queuedBytes > this.#limits.maxQueuedBytes) {
      this.fail(ErrorCode.enhanceYourCalm, "too much data waits for a slow reader");
      return;
    }
    if (this.#sharedQueue.bytes > this.#sharedQueue.bytesMax) this.#sharedQueue.onFull(); // which may close this session
    this.scheduler.line(stream);
    this.scheduler.run();
  }

  /** Ends our side with an empty DATA frame. */
  endStream(stream: Http2Stream): void {
    if (stream.closed || stream.sentEnd) return;
    this.beginData(stream, 0, true);
    this.closeWhenDone(stream);
  }

  /**
   * Our side of a stream is finished (END_STREAM is written). A server that has not seen the peer's end resets the
   * stream with NO_ERROR: what is still coming is of no use (RFC 9113 section 8.1, as grpc-go does).
   */
  finished(stream: Http2Stream): void {
    stream.sentEnd = true;
    if (stream.closed) return;
    if (this.#isServer && !stream.receivedEnd) {
      this.control.resetStream(stream.id, ErrorCode.noError);
      this.remove(stream, true);
    } else {
      this.closeWhenDone(stream);
    }
  }

  /** Ends a stream with RST_STREAM on our own account; `onAborted` is not called. */
  resetStream(stream: Http2Stream, code: ErrorCode): void {
    if (stream.closed) return;
    this.control.resetStream(stream.id, code);
    this.remove(stream, true);
  }

  /** Refuses a stream that {@link SessionOwner.accept} was asked about. */
  rejectStream(id: number, code: ErrorCode): void {
    this.streamError(id, code);
  }

  /** A stream that was answered without being registered; frames still in flight for it are ignored. */
  answeredAtOnce(id: number, receivedEnd: boolean): void {
    if (!receivedEnd) this.control.resetStream(id, ErrorCode.noError);
    this.streams.closed.add(id, true);
  }

  /** `size` bytes of a stream's body are used up: gives the peer room for more. */
  consumed(stream: Http2Stream, size: number): void {
    stream.consumedBytes += size;
    if (stream.receivedEnd || stream.closed || stream.consumedBytes < this.#limits.streamWindow / 2) return;
    this.control.windowUpdate(stream.id, stream.consumedBytes);
    stream.receivedBytes -= stream.consumedBytes;
    stream.consumedBytes = 0;
  }

  /** Sends a PING whose payload starts with `word`. */
  ping(word: number): void {
    this.control.ping(word);
  }

  /** Sends GOAWAY: streams of the peer above `lastStreamId` will not be served. The connection stays open. */
  goAway(lastStreamId: number, code: ErrorCode, debug: string): void {
    if (this.closing) return;
    this.streams.acceptUpTo = lastStreamId;
    this.control.goAway(lastStreamId, code, debug);
  }

  /** Ends the connection with GOAWAY and this code; running streams are lost. */
  fail(code: ErrorCode, debug: string): void {
    if (this.closing) return;
    this.goAway(this.#isServer ? this.streams.lastOfPeer : 0, code, debug);
    this.finishConnection();
  }

  /** Sends what is written, then closes; running streams are lost. */
  finishConnection(): void {
    if (this.closing) return;
    this.closing = true;
    this.#abortStreams();
    this.output.flush();
    this.connection.end();
    this.#lingerTimer = this.#clock.setTimer(() => this.connection.destroy(), lingerMs);
  }

  /** Closes at once. */
  destroy(): void {
    this.closing = true;
    this.#abortStreams();
    this.output.close();
    this.connection.destroy();
  }

  /** Enforces the limits that are times; called about once a second. */
  checkTimes(nowMs: number): void {
    if (this.closing) return;
    const limits = this.#limits;
    if (!this.#receiver.settingsSeen && nowMs - this.#openedMs > limits.prefaceTimeoutMs) {
      this.fail(ErrorCode.settingsTimeout, "no connection preface");
      return;
    }
    const { unfinishedSinceMs: frameMs = nowMs } = this.#reader;
    const { unfinishedSinceMs: blockMs = nowMs } = this.#receiver;
    if (nowMs - Math.min(frameMs, blockMs) > limits.frameTimeoutMs) {
      this.fail(ErrorCode.enhanceYourCalm, "frame not completed in time");
      return;
    }
    const taken = this.output.takenBytes;
    if (this.output.waitingBytes === 0 || taken !== this.#takenBytes) {
      this.#takenBytes = taken;
      this.#takenAtMs = nowMs;
    } else if (nowMs - this.#takenAtMs > limits.stallTimeoutMs) {
      this.destroy();
    }
  }

  // ---- For the receiving half ------------------------------------------------------------------------------------

  /** Resets a stream for an error of the peer, be it open or not. */
  streamError(id: number, code: ErrorCode): void {
    this.#receiver.meters.reset(this.now, "too many stream errors");
    this.control.resetStream(id, code);
    const stream = this.streams.open.get(id);
    if (stream === undefined) {
      this.streams.closed.add(id, true);
      return;
    }
    this.remove(stream, true);
    stream.onAborted("aborted", code);
  }

  closeWhenDone(stream: Http2Stream): void {
    if (stream.receivedEnd && stream.sentEnd && !stream.closed) this.remove(stream, false);
  }

  /** The stream is over, and what it has queued is dropped. @param reset - by us. */
  remove(stream: Http2Stream, reset: boolean): void {
    this.scheduler.drop(stream);
    this.streams.close(stream, reset);
    if (this.streams.open.count === 0) this.#owner.streamsGone(this);
  }

  #abortStreams(): void {
    for (const stream of this.streams.open.all()) {
      this.remove(stream, false);
      stream.onAborted("lost", ErrorCode.cancel);
    }
    this.scheduler.clear();
  }

  #drained(): void {
    this.output.drained();
    this.scheduler.run();
  }

  #connectionClosed(error: NetworkError | undefined): void {
    if (this.#closed) return;
    this.closing = true;
    this.#closed = true;
    this.#lingerTimer?.cancel();
    this.#abortStreams();
    this.output.close();
    this.#owner.sessionClosed(this, error);
  }
}

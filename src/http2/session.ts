/**
 * One HTTP/2 connection, server or client side (RFC 9113): the frame loop over received bytes, stream states, flow
 * control in both directions and the frames that keep the connection alive. It knows nothing of gRPC.
 *
 * Receiving: a chunk is borrowed; whole frames are handled where they lie, a partial one is copied and completed by the
 * next chunk. Sending: frames go straight into the {@link Output}. A stream that cannot send at once queues, and the
 * {@link SendScheduler} serves the queued streams in turn.
 *
 * Errors: a {@link ConnectionError} thrown anywhere in the frame loop ends the connection with GOAWAY; a stream error
 * resets its stream. What a peer may do how often is in `limits.ts`.
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { Connection, NetworkError } from "../platform/network.ts";
import { assert } from "../base/assert.ts";
import { emptyBytes } from "../base/bytes.ts";
import { ClosedStreams } from "./closed-streams.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import {
  Flag,
  FrameType,
  SettingId,
  defaultMaxFrameSize,
  defaultWindowSize,
  frameHeaderSize,
  goAwayFrame,
  maxMaxFrameSize,
  maxStreamId,
  maxWindowSize,
  readUint31,
  readUint32,
  settingsFrame,
  writeFrameHeader,
  writeUint32,
} from "./frame.ts";
import { HeaderBlock } from "./header-block.ts";
import { type HeaderList, HpackDecoder } from "./hpack-decoder.ts";
import { type Http2Limits, RateMeter } from "./limits.ts";
import { type BufferPool, type FlushQueue, Output } from "./output.ts";
import { PartialFrame } from "./partial-frame.ts";
import { clientPreface } from "./preface.ts";
import { SendScheduler, type SharedQueue, sliceBytes } from "./send-scheduler.ts";
import type { Http2Stream, StreamEnd } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/** After GOAWAY and our FIN the peer has this long to close before we do. */
const lingerMs = 1000;
/** A DATA frame of ours explains an update of its stream's window and of the connection's, in parts. */
const windowUpdatesPerFrame = 16;
/** What was sent long ago explains no more than this. */
const windowUpdatesDueMax = 100_000;

/** What a session tells its server or client. */
export interface SessionOwner {
  /**
   * The peer opened a stream; `end` when it has no body. The owner registers a stream object ({@link Http2Session.register}),
   * refuses ({@link Http2Session.rejectStream}) or answers at once ({@link Http2Session.answeredAtOnce}).
   * `list` is valid until this returns.
   */
  accept(session: Http2Session, id: number, list: HeaderList, end: boolean): void;
  /** A PING came (the acknowledgement is already written). */
  pingReceived(session: Http2Session): void;
  /** Our PING with this first word of payload came back. */
  pongReceived(session: Http2Session, word: number): void;
  settingsReceived(session: Http2Session): void;
  goAwayReceived(session: Http2Session, lastStreamId: number, code: number, debug: string): void;
  /** The last open stream closed. */
  streamsGone(session: Http2Session): void;
  /** Exactly once, last: the connection is gone and every stream has been told. */
  /** @param error - what the connection broke with; undefined for a proper end. */
  sessionClosed(session: Http2Session, error: NetworkError | undefined): void;
}

export interface SessionOptions {
  readonly role: "server" | "client";
  readonly owner: SessionOwner;
  readonly clock: Clock;
  readonly limits: Http2Limits;
  readonly pool: BufferPool;
  readonly flushQueue: FlushQueue;
  readonly sharedQueue: SharedQueue;
}

export class Http2Session {
  readonly connection: Connection;
  readonly output: Output;
  /** Monotonic time of the chunk being handled: one clock call per chunk, not per request. */
  now: number;
  /** SETTINGS of the peer. */
  peerInitialWindow = defaultWindowSize;
  peerMaxFrameSize = defaultMaxFrameSize;
  peerHeaderTableSize = 4096;
  peerMaxConcurrentStreams = 0xffff_ffff;
  /** HEADERS and DATA frames sent; lets a ping policy see that there was something to acknowledge. */
  framesSent = 0;
  /** When the last bytes came, monotonic. */
  lastReceivedMs: number;

  readonly #owner: SessionOwner;
  readonly #clock: Clock;
  readonly #limits: Http2Limits;
  readonly #isServer: boolean;
  readonly #decoder: HpackDecoder;
  readonly #streams = new StreamTable();

  // Input.
  #prefaceDone: number;
  #settingsSeen = false;
  readonly #partial = new PartialFrame();
  readonly #block: HeaderBlock;
  /** When the partial frame or open header block began, monotonic. */
  #unfinishedSinceMs = 0;
  #blockSelfDependent = false;
  readonly #openedMs: number;

  // Streams.
  #lastPeerStream = 0;
  #nextStream = 1;
  /** Streams above this were told to go elsewhere by our GOAWAY. */
  #acceptUpTo = maxStreamId;
  readonly #closedStreams = new ClosedStreams();

  // Flow control of the connection.
  /** What the peer lets us send on the whole connection. */
  sendWindow = defaultWindowSize;
  #receivedBytes = 0;
  /** WINDOW_UPDATE frames that what we sent explains, and how much of it was counted. */
  #windowUpdatesDue = 0;
  #framesSentSeen = 0;
  readonly #scheduler: SendScheduler;
  readonly #sharedQueue: SharedQueue;

  // End.
  #closing = false;
  #closed = false;
  #lingerTimer: Timer | undefined;

  // Meters and stall detection.
  readonly #resets: RateMeter;
  readonly #settings: RateMeter;
  readonly #pings: RateMeter;
  readonly #emptyData: RateMeter;
  readonly #idleFrames: RateMeter;
  #takenBytes = 0;
  #takenAtMs: number;

  constructor(connection: Connection, options: SessionOptions) {
    const { limits, clock } = options;
    this.connection = connection;
    this.output = new Output(connection, options.pool, options.flushQueue);
    this.#owner = options.owner;
    this.#clock = clock;
    this.#limits = limits;
    this.#sharedQueue = options.sharedQueue;
    this.#isServer = options.role === "server";
    this.#prefaceDone = this.#isServer ? 0 : clientPreface.length;
    this.#scheduler = new SendScheduler(this, clock, options.sharedQueue);
    this.#block = new HeaderBlock(limits);
    this.#decoder = new HpackDecoder({ maxListSize: limits.maxHeaderListSize });
    this.now = clock.monotonic();
    this.lastReceivedMs = this.now;
    this.#openedMs = this.now;
    this.#takenAtMs = this.now;
    this.#resets = new RateMeter(limits.resets);
    this.#settings = new RateMeter(limits.settings);
    this.#pings = new RateMeter(limits.pings);
    this.#emptyData = new RateMeter(limits.emptyData);
    this.#idleFrames = new RateMeter(limits.idleFrames);
    this.#sendPreface();
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

  get streamCount(): number {
    return this.#streams.count;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes queued in streams, waiting for windows or the socket. */
  get queuedBytes(): number {
    return this.#scheduler.queuedBytes;
  }

  /** The highest stream the peer opened. */
  get lastPeerStream(): number {
    return this.#lastPeerStream;
  }

  // ---- Receiving -------------------------------------------------------------------------------------------------

  /** Handles received bytes, borrowed until this returns. */
  receive(chunk: Uint8Array): void {
    if (this.#closing) return;
    this.now = this.#clock.monotonic();
    this.lastReceivedMs = this.now;
    try {
      let position = this.#prefaceDone < clientPreface.length ? this.#receivePreface(chunk) : 0;
      if (this.#partial.length > 0) position = this.#completeFrame(chunk, position);
      this.#receiveFrames(chunk, position);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.fail(error.code, error.message);
    }
  }

  #receivePreface(chunk: Uint8Array): number {
    let position = 0;
    while (position < chunk.length && this.#prefaceDone < clientPreface.length) {
      if (chunk[position++] !== clientPreface[this.#prefaceDone++]) {
        throw new ConnectionError(ErrorCode.protocolError, "bad connection preface");
      }
    }
    return position;
  }

  #receiveFrames(chunk: Uint8Array, start: number): void {
    const end = chunk.length;
    let position = start;
    while (end - position >= frameHeaderSize) {
      const length = this.#frameLength(chunk, position);
      const next = position + frameHeaderSize + length;
      if (next > end) break;
      this.#frame(chunk, position, next);
      if (this.#closing) return;
      position = next;
    }
    if (position < end) {
      this.#partial.begin(chunk, position, end);
      this.#unfinishedSinceMs = this.now;
    }
  }

  #frameLength(bytes: Uint8Array, offset: number): number {
    const length = (bytes[offset] << 16) | (bytes[offset + 1] << 8) | bytes[offset + 2];
    if (length > defaultMaxFrameSize) throw new ConnectionError(ErrorCode.frameSizeError, "frame too large");
    return length;
  }

  /** Completes the partial frame from `chunk` and handles it; returns where the next frame begins. */
  #completeFrame(chunk: Uint8Array, start: number): number {
    const partial = this.#partial;
    let position = start;
    if (!partial.hasHeader) {
      position += partial.fill(chunk, position, frameHeaderSize);
      if (!partial.hasHeader) return position;
    }
    const wanted = frameHeaderSize + this.#frameLength(partial.bytes, 0);
    position += partial.fill(chunk, position, wanted);
    if (partial.length === wanted) this.#frame(partial.take(), 0, wanted);
    return position;
  }

  /** Handles the frame at `bytes[offset, end)`. */
  #frame(bytes: Uint8Array, offset: number, end: number): void {
    const type = bytes[offset + 3];
    const flags = bytes[offset + 4];
    const id = readUint31(bytes, offset + 5);
    const start = offset + frameHeaderSize;
    const blockStream = this.#block.stream;
    if (blockStream !== 0 && (type !== FrameType.continuation || id !== blockStream)) {
      throw new ConnectionError(ErrorCode.protocolError, "header block interrupted");
    }
    if (!this.#settingsSeen && (type !== FrameType.settings || (flags & Flag.ack) !== 0)) {
      throw new ConnectionError(ErrorCode.protocolError, "first frame is not SETTINGS");
    }
    switch (type) {
      case FrameType.data:
        this.#onData(bytes, start, end, flags, id);
        break;
      case FrameType.headers:
        this.#onHeaders(bytes, start, end, flags, id);
        break;
      case FrameType.priority:
        this.#onPriority(bytes, start, end, id);
        break;
      case FrameType.resetStream:
        this.#onResetStream(bytes, start, end, id);
        break;
      case FrameType.settings:
        this.#onSettings(bytes, start, end, flags, id);
        break;
      case FrameType.pushPromise:
        throw new ConnectionError(ErrorCode.protocolError, "PUSH_PROMISE is not allowed");
      case FrameType.ping:
        this.#onPing(bytes, start, end, flags, id);
        break;
      case FrameType.goAway:
        this.#onGoAway(bytes, start, end, id);
        break;
      case FrameType.windowUpdate:
        this.#onWindowUpdate(bytes, start, end, id);
        break;
      case FrameType.continuation:
        this.#onContinuation(bytes, start, end, flags, id);
        break;
      default:
        // Unknown types are ignored (RFC 9113 section 4.1), but not without end.
        this.#count(this.#idleFrames, "too many unknown frames");
    }
  }

  #onData(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.protocolError, "DATA on stream 0");
    const size = end - start;
    this.#receiveOnConnection(size);
    let from = start;
    let to = end;
    if ((flags & Flag.padded) !== 0) {
      const padding = size > 0 ? bytes[start] : 0;
      if (padding >= size) throw new ConnectionError(ErrorCode.protocolError, "DATA padding too long");
      from = start + 1;
      to = end - padding;
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if (from === to && !endStream) this.#count(this.#emptyData, "too many empty DATA frames");
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#lateFrame(id, "DATA on an idle stream");
      return;
    }
    if (stream.receivedEnd) {
      this.#streamError(id, ErrorCode.streamClosed);
      return;
    }
    stream.receivedBytes += size;
    if (stream.receivedBytes > this.#limits.streamWindow) {
      this.#streamError(id, ErrorCode.flowControlError);
      return;
    }
    if (endStream) stream.receivedEnd = true;
    if (size > to - from) this.consumed(stream, size - (to - from));
    stream.onData(bytes, from, to, endStream);
    if (endStream) this.#closeWhenDone(stream);
  }

  /** The connection window is given back as data arrives: a slow handler holds up its own stream only. */
  #receiveOnConnection(size: number): void {
    this.#receivedBytes += size;
    if (this.#receivedBytes > this.#limits.connectionWindow) {
      throw new ConnectionError(ErrorCode.flowControlError, "connection window exceeded");
    }
    if (this.#receivedBytes >= this.#limits.connectionWindow / 4) {
      this.#sendWindowUpdate(0, this.#receivedBytes);
      this.#receivedBytes = 0;
    }
  }

  #onHeaders(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.protocolError, "HEADERS on stream 0");
    let from = start;
    let to = end;
    if ((flags & (Flag.padded | Flag.priority)) !== 0) {
      let padding = 0;
      if ((flags & Flag.padded) !== 0) {
        if (from >= to) throw new ConnectionError(ErrorCode.frameSizeError, "HEADERS too short");
        padding = bytes[from++]!;
      }
      if ((flags & Flag.priority) !== 0) {
        if (to - from < 5) throw new ConnectionError(ErrorCode.frameSizeError, "HEADERS too short");
        this.#blockSelfDependent = readUint31(bytes, from) === id;
        from += 5;
      }
      if (padding > to - from) throw new ConnectionError(ErrorCode.protocolError, "HEADERS padding too long");
      to -= padding;
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) {
      this.#headerBlock(bytes, from, to, id, endStream);
      return;
    }
    this.#unfinishedSinceMs = this.now;
    this.#block.open(id, endStream, bytes, from, to);
  }

  #onContinuation(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    const block = this.#block;
    block.continueWith(bytes, start, end);
    if ((flags & Flag.endHeaders) !== 0) this.#headerBlock(block.close(), 0, block.length, id, block.endsStream);
  }

  /** A complete header block: a new stream (server), a response, or trailers. */
  #headerBlock(bytes: Uint8Array, start: number, end: number, id: number, endStream: boolean): void {
    // Decoded even when the stream is refused: both sides' tables must stay equal.
    const list = this.#decoder.decode(bytes, start, end);
    const selfDependent = this.#blockSelfDependent;
    this.#blockSelfDependent = false;
    const stream = this.#streams.get(id);
    if (stream !== undefined) {
      this.#furtherHeaders(stream, list, endStream);
      return;
    }
    if (!this.#isServer) {
      if (id % 2 === 0 || id >= this.#nextStream) {
        throw new ConnectionError(ErrorCode.protocolError, "HEADERS on an idle stream");
      }
      return; // an answer that crossed our reset
    }
    if (id % 2 === 0) throw new ConnectionError(ErrorCode.protocolError, "even stream identifier");
    if (id <= this.#lastPeerStream) {
      if (this.#closedStreams.wasResetByUs(id)) return; // trailers that crossed our reset
      const code = this.#closedStreams.wasClosed(id) ? ErrorCode.streamClosed : ErrorCode.protocolError;
      throw new ConnectionError(code, "HEADERS on a closed stream");
    }
    this.#lastPeerStream = id;
    if (id > this.#acceptUpTo) return;
    const limits = this.#limits;
    if (selfDependent) this.#streamError(id, ErrorCode.protocolError);
    else if (list.truncated) this.#streamError(id, ErrorCode.frameSizeError);
    else if (
      this.#streams.count >= limits.maxConcurrentStreams ||
      this.#scheduler.queuedBytes > limits.refuseAboveQueuedBytes
    ) {
      this.#streamError(id, ErrorCode.refusedStream);
    } else {
      this.#owner.accept(this, id, list, endStream);
    }
  }

  #furtherHeaders(stream: Http2Stream, list: HeaderList, endStream: boolean): void {
    if (stream.receivedEnd) {
      this.#streamError(stream.id, ErrorCode.streamClosed);
      return;
    }
    if ((this.#isServer && !endStream) || list.truncated) {
      this.#streamError(stream.id, ErrorCode.protocolError);
      return;
    }
    if (endStream) stream.receivedEnd = true;
    stream.onHeaders(list, endStream);
    if (endStream) this.#closeWhenDone(stream);
  }

  #onPriority(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (id === 0) throw new ConnectionError(ErrorCode.protocolError, "PRIORITY on stream 0");
    this.#count(this.#idleFrames, "too many PRIORITY frames");
    if (end - start !== 5) this.#streamError(id, ErrorCode.frameSizeError);
    else if (readUint31(bytes, start) === id) this.#streamError(id, ErrorCode.protocolError);
  }

  #onResetStream(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (end - start !== 4) throw new ConnectionError(ErrorCode.frameSizeError, "RST_STREAM of a wrong size");
    if (id === 0 || this.#isIdle(id))
      throw new ConnectionError(ErrorCode.protocolError, "RST_STREAM on an idle stream");
    this.#count(this.#resets, "too many RST_STREAM frames");
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const code = readUint32(bytes, start) as ErrorCode;
    this.#remove(stream, false);
    stream.onAborted("reset", code);
  }

  #onSettings(bytes: Uint8Array, start: number, end: number, flags: number, stream: number): void {
    if (stream !== 0) throw new ConnectionError(ErrorCode.protocolError, "SETTINGS on a stream");
    const size = end - start;
    if ((flags & Flag.ack) !== 0) {
      if (size !== 0) throw new ConnectionError(ErrorCode.frameSizeError, "SETTINGS acknowledgement with a payload");
      return;
    }
    if (size % 6 !== 0) throw new ConnectionError(ErrorCode.frameSizeError, "SETTINGS of a wrong size");
    this.#count(this.#settings, "too many SETTINGS frames");
    let initialWindow = this.peerInitialWindow;
    for (let offset = start; offset < end; offset += 6) {
      const id = (bytes[offset] << 8) | bytes[offset + 1];
      const value = readUint32(bytes, offset + 2);
      if (id === SettingId.initialWindowSize) initialWindow = checkedWindow(value);
      else this.#applySetting(id, value);
    }
    // Once a frame, as it goes through all streams: 2730 changes in one frame would be work without measure.
    this.#changeInitialWindow(initialWindow);
    this.#settingsSeen = true;
    this.#reserveControl(frameHeaderSize);
    const { output } = this;
    output.position = writeFrameHeader(output.bytes, output.position, 0, FrameType.settings, Flag.ack, 0);
    this.#owner.settingsReceived(this);
    this.#scheduler.run();
  }

  #applySetting(id: number, value: number): void {
    switch (id) {
      case SettingId.headerTableSize:
        this.peerHeaderTableSize = value;
        break;
      case SettingId.enablePush:
        if (value > 1) throw new ConnectionError(ErrorCode.protocolError, "bad ENABLE_PUSH");
        break;
      case SettingId.maxConcurrentStreams:
        this.peerMaxConcurrentStreams = value;
        break;
      case SettingId.maxFrameSize:
        if (value < defaultMaxFrameSize || value > maxMaxFrameSize) {
          throw new ConnectionError(ErrorCode.protocolError, "bad MAX_FRAME_SIZE");
        }
        // Larger frames than the output buffer holds would gain nothing.
        this.peerMaxFrameSize = Math.min(value, sliceBytes);
        break;
      default: // MAX_HEADER_LIST_SIZE is advice, and our lists are small; unknown settings are ignored.
    }
  }

  #changeInitialWindow(value: number): void {
    const change = value - this.peerInitialWindow;
    this.peerInitialWindow = value;
    if (change === 0) return;
    for (const stream of this.#streams.all()) {
      if (stream.sendWindow + change > maxWindowSize) {
        throw new ConnectionError(ErrorCode.flowControlError, "INITIAL_WINDOW_SIZE overflows a window");
      }
      stream.sendWindow += change;
      this.#scheduler.line(stream);
    }
  }

  #onPing(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.protocolError, "PING on a stream");
    if (end - start !== 8) throw new ConnectionError(ErrorCode.frameSizeError, "PING of a wrong size");
    if ((flags & Flag.ack) !== 0) {
      this.#owner.pongReceived(this, readUint32(bytes, start));
      return;
    }
    this.#count(this.#pings, "too many PING frames");
    this.#reserveControl(frameHeaderSize + 8);
    const { output } = this;
    let offset = writeFrameHeader(output.bytes, output.position, 8, FrameType.ping, Flag.ack, 0);
    for (let index = start; index < end; index++) output.bytes[offset++] = bytes[index]!;
    output.position = offset;
    this.#owner.pingReceived(this);
  }

  #onGoAway(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (id !== 0) throw new ConnectionError(ErrorCode.protocolError, "GOAWAY on a stream");
    if (end - start < 8) throw new ConnectionError(ErrorCode.frameSizeError, "GOAWAY too short");
    this.#count(this.#idleFrames, "too many GOAWAY frames");
    const lastStream = readUint31(bytes, start);
    const debug = Buffer.from(bytes.subarray(start + 8, Math.min(end, start + 1032))).toString("latin1");
    if (!this.#isServer) {
      for (const stream of this.#streams.all()) {
        if (stream.id <= lastStream) continue;
        this.#remove(stream, false);
        stream.onAborted("refused", ErrorCode.refusedStream);
      }
    }
    this.#owner.goAwayReceived(this, lastStream, readUint32(bytes, start + 4), debug);
  }

  #onWindowUpdate(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (end - start !== 4) throw new ConnectionError(ErrorCode.frameSizeError, "WINDOW_UPDATE of a wrong size");
    const increment = readUint31(bytes, start);
    this.#countWindowUpdate();
    if (id === 0) {
      if (increment === 0) throw new ConnectionError(ErrorCode.protocolError, "WINDOW_UPDATE of 0");
      this.sendWindow += increment;
      if (this.sendWindow > maxWindowSize) throw new ConnectionError(ErrorCode.flowControlError, "window overflow");
    } else {
      const stream = this.#streams.get(id);
      if (stream === undefined) {
        if (this.#isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, "WINDOW_UPDATE on an idle stream");
        return;
      }
      if (increment === 0 || stream.sendWindow + increment > maxWindowSize) {
        this.#streamError(id, increment === 0 ? ErrorCode.protocolError : ErrorCode.flowControlError);
        return;
      }
      stream.sendWindow += increment;
      this.#scheduler.line(stream);
    }
    this.#scheduler.run();
  }

  /** What we send gives the peer reason to speak of windows; more than that it does for nothing. */
  #countWindowUpdate(): void {
    if (this.framesSent !== this.#framesSentSeen) {
      const reasons = (this.framesSent - this.#framesSentSeen) * windowUpdatesPerFrame;
      this.#windowUpdatesDue = Math.min(this.#windowUpdatesDue + reasons, windowUpdatesDueMax);
      this.#framesSentSeen = this.framesSent;
    }
    if (this.#windowUpdatesDue > 0) this.#windowUpdatesDue--;
    else this.#count(this.#idleFrames, "too many WINDOW_UPDATE frames");
  }

  /** A frame for a stream that is not open: the end of the connection when it never was. */
  #lateFrame(id: number, message: string): void {
    if (this.#isIdle(id)) throw new ConnectionError(ErrorCode.protocolError, message);
    if (!this.#closedStreams.wasResetByUs(id)) this.#streamError(id, ErrorCode.streamClosed);
  }

  #isIdle(id: number): boolean {
    const ours = (id % 2 === 1) !== this.#isServer;
    return ours ? id >= this.#nextStream || id % 2 === 0 : id > this.#lastPeerStream;
  }

  #count(meter: RateMeter, message: string): void {
    if (!meter.allow(this.now)) throw new ConnectionError(ErrorCode.enhanceYourCalm, message);
  }

  // ---- Sending ---------------------------------------------------------------------------------------------------

  /** Registers a stream that {@link SessionOwner.accept} made. */
  register(stream: Http2Stream): void {
    this.#streams.add(stream);
  }

  /** The identifier for the next stream of a client. */
  nextStreamId(): number {
    assert(!this.#isServer, "only a client opens streams");
    const id = this.#nextStream;
    this.#nextStream += 2;
    return id;
  }

  /** False when a client has used up its stream identifiers. */
  get canOpen(): boolean {
    return !this.#closing && this.#nextStream < maxStreamId;
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
      size <= this.peerMaxFrameSize &&
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

  /** Sends an encoded header block, `block[start, end)`, in one HEADERS frame and CONTINUATION frames as needed. */
  sendHeaders(id: number, block: Uint8Array, start: number, end: number, endStream: boolean): void {
    const { output } = this;
    const first = Math.min(end - start, this.peerMaxFrameSize);
    this.#reserveControl(frameHeaderSize + first);
    this.framesSent++;
    const last = first === end - start;
    const flags = (endStream ? Flag.endStream : 0) | (last ? Flag.endHeaders : 0);
    let position = writeFrameHeader(output.bytes, output.position, first, FrameType.headers, flags, id);
    const { bytes } = output;
    for (let index = start; index < start + first; index++) bytes[position++] = block[index]!;
    output.position = position;
    for (let offset = start + first; offset < end; offset += this.peerMaxFrameSize) {
      const part = block.subarray(offset, Math.min(end, offset + this.peerMaxFrameSize));
      this.#reserveControl(frameHeaderSize + part.length);
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
    if (piece.length > 0 && !stream.closed) this.#scheduler.enqueue(stream, piece);
  }

  /** Sends of a stream's queue what may go at once; the rest follows as windows and socket allow. */
  pumpStream(stream: Http2Stream): void {
    if (this.#scheduler.queuedBytes > this.#limits.maxQueuedBytes) {
      this.fail(ErrorCode.enhanceYourCalm, "too much data waits for a slow reader");
      return;
    }
    if (this.#sharedQueue.bytes > this.#sharedQueue.bytesMax) this.#sharedQueue.onFull(); // which may close this session
    this.#scheduler.line(stream);
    this.#scheduler.run();
  }

  /** Ends our side with an empty DATA frame. */
  endStream(stream: Http2Stream): void {
    if (stream.closed || stream.sentEnd) return;
    this.beginData(stream, 0, true);
    this.#closeWhenDone(stream);
  }

  /**
   * Our side of a stream is finished (END_STREAM is written). A server that has not seen the peer's end resets the
   * stream with NO_ERROR: what is still coming is of no use (RFC 9113 section 8.1, as grpc-go does).
   */
  finished(stream: Http2Stream): void {
    stream.sentEnd = true;
    if (stream.closed) return;
    if (this.#isServer && !stream.receivedEnd) {
      this.#sendReset(stream.id, ErrorCode.noError);
      this.#remove(stream, true);
    } else {
      this.#closeWhenDone(stream);
    }
  }

  /** Ends a stream with RST_STREAM on our own account; `onAborted` is not called. */
  resetStream(stream: Http2Stream, code: ErrorCode): void {
    if (stream.closed) return;
    this.#sendReset(stream.id, code);
    this.#remove(stream, true);
  }

  /** Refuses a stream that {@link SessionOwner.accept} was asked about. */
  rejectStream(id: number, code: ErrorCode): void {
    this.#streamError(id, code);
  }

  /** A stream that was answered without being registered; frames still in flight for it are ignored. */
  answeredAtOnce(id: number, receivedEnd: boolean): void {
    if (!receivedEnd) this.#sendReset(id, ErrorCode.noError);
    this.#closedStreams.add(id, true);
  }

  /** `size` bytes of a stream's body are used up: gives the peer room for more. */
  consumed(stream: Http2Stream, size: number): void {
    stream.consumedBytes += size;
    if (stream.receivedEnd || stream.closed || stream.consumedBytes < this.#limits.streamWindow / 2) return;
    this.#sendWindowUpdate(stream.id, stream.consumedBytes);
    stream.receivedBytes -= stream.consumedBytes;
    stream.consumedBytes = 0;
  }

  /** Sends a PING whose payload starts with `word`. */
  ping(word: number): void {
    const { output } = this;
    this.#reserveControl(frameHeaderSize + 8);
    let position = writeFrameHeader(output.bytes, output.position, 8, FrameType.ping, Flag.none, 0);
    position = writeUint32(output.bytes, position, word);
    output.position = writeUint32(output.bytes, position, 0);
  }

  /** Sends GOAWAY: streams of the peer above `lastStreamId` will not be served. The connection stays open. */
  goAway(lastStreamId: number, code: ErrorCode, debug: string): void {
    if (this.#closing) return;
    this.#acceptUpTo = lastStreamId;
    this.output.append(goAwayFrame(lastStreamId, code, debug));
  }

  /** Ends the connection with GOAWAY and this code; running streams are lost. */
  fail(code: ErrorCode, debug: string): void {
    if (this.#closing) return;
    this.goAway(this.#isServer ? this.#lastPeerStream : 0, code, debug);
    this.finishConnection();
  }

  /** Sends what is written, then closes; running streams are lost. */
  finishConnection(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#abortStreams();
    this.output.flush();
    this.connection.end();
    this.#lingerTimer = this.#clock.setTimer(() => this.connection.destroy(), lingerMs);
  }

  /** Closes at once. */
  destroy(): void {
    this.#closing = true;
    this.#abortStreams();
    this.output.close();
    this.connection.destroy();
  }

  /** Enforces the limits that are times; called about once a second. */
  checkTimes(nowMs: number): void {
    if (this.#closing) return;
    const limits = this.#limits;
    if (!this.#settingsSeen && nowMs - this.#openedMs > limits.prefaceTimeoutMs) {
      this.fail(ErrorCode.settingsTimeout, "no connection preface");
      return;
    }
    const unfinished = this.#partial.length > 0 || this.#block.stream !== 0;
    if (unfinished && nowMs - this.#unfinishedSinceMs > limits.frameTimeoutMs) {
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

  #sendPreface(): void {
    const limits = this.#limits;
    if (!this.#isServer) this.output.append(clientPreface);
    this.output.append(
      settingsFrame(
        this.#isServer
          ? [
              [SettingId.maxConcurrentStreams, limits.maxConcurrentStreams],
              [SettingId.initialWindowSize, limits.streamWindow],
              [SettingId.maxHeaderListSize, limits.maxHeaderListSize],
            ]
          : [
              [SettingId.enablePush, 0],
              [SettingId.initialWindowSize, limits.streamWindow],
              [SettingId.maxHeaderListSize, limits.maxHeaderListSize],
            ],
      ),
    );
    const extra = limits.connectionWindow - defaultWindowSize;
    if (extra > 0) this.#sendWindowUpdate(0, extra);
  }

  #sendWindowUpdate(id: number, increment: number): void {
    const { output } = this;
    this.#reserveControl(frameHeaderSize + 4);
    const position = writeFrameHeader(output.bytes, output.position, 4, FrameType.windowUpdate, Flag.none, id);
    output.position = writeUint32(output.bytes, position, increment);
  }

  #sendReset(id: number, code: ErrorCode): void {
    const { output } = this;
    this.#reserveControl(frameHeaderSize + 4);
    const position = writeFrameHeader(output.bytes, output.position, 4, FrameType.resetStream, Flag.none, id);
    output.position = writeUint32(output.bytes, position, code);
  }

  /** Room for a frame that flow control does not hold back; a peer that makes us answer and never reads is cut off. */
  #reserveControl(size: number): void {
    if (this.output.blocked && this.output.waitingBytes > this.#limits.maxUnsentBytes) this.destroy();
    this.output.reserve(size);
  }

  #streamError(id: number, code: ErrorCode): void {
    this.#count(this.#resets, "too many stream errors");
    this.#sendReset(id, code);
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#closedStreams.add(id, true);
      return;
    }
    this.#remove(stream, true);
    stream.onAborted("aborted", code);
  }

  #closeWhenDone(stream: Http2Stream): void {
    if (stream.receivedEnd && stream.sentEnd && !stream.closed) this.#remove(stream, false);
  }

  #remove(stream: Http2Stream, reset: boolean): void {
    stream.closed = true;
    this.#scheduler.drop(stream);
    this.#streams.delete(stream);
    this.#closedStreams.add(stream.id, reset);
    if (this.#streams.count === 0) this.#owner.streamsGone(this);
  }

  #abortStreams(): void {
    const end: StreamEnd = "lost";
    for (const stream of this.#streams.all()) {
      this.#remove(stream, false);
      stream.onAborted(end, ErrorCode.cancel);
    }
    this.#scheduler.clear();
  }

  #drained(): void {
    this.output.drained();
    this.#scheduler.run();
  }

  #connectionClosed(error: NetworkError | undefined): void {
    if (this.#closed) return;
    this.#closing = true;
    this.#closed = true;
    this.#lingerTimer?.cancel();
    this.#abortStreams();
    this.output.close();
    this.#owner.sessionClosed(this, error);
  }
}

function checkedWindow(value: number): number {
  if (value > maxWindowSize) throw new ConnectionError(ErrorCode.flowControlError, "bad INITIAL_WINDOW_SIZE");
  return value;
}

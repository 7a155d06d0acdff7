/**
 * The receiving half of a session: what each frame of the peer means (RFC 9113 section 6), for its stream, for flow control
 * and for the session's owner. Order, sizes and states are checked here; how often a frame may come is in `limits.ts`.
 *
 * A {@link ConnectionError} thrown from here ends the connection with GOAWAY; an error of one stream resets that.
 */
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { Flag, FrameType, frameHeaderSize, maxWindowSize, readUint31, readUint32 } from "./frame.ts";
import type { FrameSink } from "./frame-reader.ts";
import { HeaderBlock } from "./header-block.ts";
import { type HeaderList, HpackDecoder } from "./hpack-decoder.ts";
import type { Http2Limits } from "./limits.ts";
import { PeerMeters } from "./peer-meters.ts";
import type { Http2Session } from "./session.ts";
import type { SessionOwner } from "./session-owner.ts";
import type { SessionStreams } from "./session-streams.ts";
import type { Http2Stream } from "./stream.ts";

const prioritySize = 5;
/** Of GOAWAY's debug data; the rest is cut off. */
const debugBytesMax = 1024;

export class FrameReceiver implements FrameSink {
  readonly meters: PeerMeters;
  /** The peer's first SETTINGS frame has come. */
  settingsSeen = false;
  readonly #session: Http2Session;
  readonly #streams: SessionStreams;
  readonly #owner: SessionOwner;
  readonly #limits: Http2Limits;
  readonly #isServer: boolean;
  readonly #decoder: HpackDecoder;
  readonly #block: HeaderBlock;
  /** When the open header block began, monotonic. */
  #blockBeganMs = 0;
  #blockSelfDependent = false;
  /** Of the connection's window, not yet given back. */
  #receivedBytes = 0;
  #holdsWindow = false;

  constructor(session: Http2Session, owner: SessionOwner, limits: Http2Limits, isServer: boolean) {
    this.#session = session;
    this.#streams = session.streams;
    this.#owner = owner;
    this.#limits = limits;
    this.#isServer = isServer;
    this.meters = new PeerMeters(limits);
    this.#decoder = new HpackDecoder({ maxListSize: limits.maxHeaderListSize });
    this.#block = new HeaderBlock(limits);
  }

  get closing(): boolean {
    return this.#session.closing;
  }

  /** When the header block began whose end has not come; undefined when there is none. */
  get unfinishedSinceMs(): number | undefined {
    return this.#block.stream === 0 ? undefined : this.#blockBeganMs;
  }

  /** Handles the frame at `bytes[offset, end)`, borrowed until this returns. */
  frame(bytes: Uint8Array, offset: number, end: number): void {
    const type = bytes[offset + 3];
    const flags = bytes[offset + 4];
    const id = readUint31(bytes, offset + 5);
    const start = offset + frameHeaderSize;
    const blockStream = this.#block.stream;
    if (blockStream !== 0 && (type !== FrameType.continuation || id !== blockStream)) {
      throw protocolError("header block interrupted");
    }
    if (!this.settingsSeen && (type !== FrameType.settings || (flags & Flag.ack) !== 0)) {
      throw protocolError("first frame is not SETTINGS");
    }
    switch (type) {
      case FrameType.data:
        this.#data(bytes, start, end, flags, id);
        break;
      case FrameType.headers:
        this.#headers(bytes, start, end, flags, id);
        break;
      case FrameType.priority:
        this.#priority(bytes, start, end, id);
        break;
      case FrameType.resetStream:
        this.#resetStream(bytes, start, end, id);
        break;
      case FrameType.settings:
        this.#settings(bytes, start, end, flags, id);
        break;
      case FrameType.pushPromise:
        throw protocolError("PUSH_PROMISE is not allowed");
      case FrameType.ping:
        this.#ping(bytes, start, end, flags, id);
        break;
      case FrameType.goAway:
        this.#goAway(bytes, start, end, id);
        break;
      case FrameType.windowUpdate:
        this.#windowUpdate(bytes, start, end, id);
        break;
      case FrameType.continuation:
        this.#continuation(bytes, start, end, flags, id);
        break;
      default:
        // Unknown types are ignored (RFC 9113 section 4.1), but not without end.
        this.meters.idleFrame(this.#session.now, "too many unknown frames");
    }
  }

  #data(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (id === 0) throw protocolError("DATA on stream 0");
    const session = this.#session;
    const size = end - start;
    this.#receiveOnConnection(size);
    let from = start;
    let to = end;
    if ((flags & Flag.padded) !== 0) {
      const padding = size > 0 ? bytes[start] : 0;
      if (padding >= size) throw protocolError("DATA padding too long");
      from = start + 1;
      to = end - padding;
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if (from === to && !endStream) this.meters.emptyData(session.now);
    const stream = this.#streams.open.get(id);
    if (stream === undefined) {
      this.#lateData(id);
      return;
    }
    if (stream.receivedEnd) {
      session.streamError(id, ErrorCode.streamClosed);
      return;
    }
    stream.receivedBytes += size;
    if (stream.receivedBytes > this.#limits.streamWindow) {
      session.streamError(id, ErrorCode.flowControlError);
      return;
    }
    if (endStream) stream.receivedEnd = true;
    if (size > to - from) session.consumed(stream, size - (to - from));
    stream.onData(bytes, from, to, endStream);
    if (endStream) session.closeWhenDone(stream);
  }

  /**
   * True: what the peer may send is not made more until this is false again, or its window is used up. Whoever takes the
   * data has no room for it.
   */
  set holdsWindow(holds: boolean) {
    this.#holdsWindow = holds;
    if (!holds) this.#giveBack();
  }

  /** The connection window is given back as data arrives: a slow handler holds up its own stream only. */
  #receiveOnConnection(size: number): void {
    this.#receivedBytes += size;
    if (this.#receivedBytes > this.#limits.connectionWindow) {
      throw new ConnectionError(ErrorCode.flowControlError, "connection window exceeded");
    }
    this.#giveBack();
  }

  #giveBack(): void {
    if (this.#receivedBytes < this.#limits.connectionWindow / 4 || this.#holdsWindow || this.closing) return;
    this.#session.control.windowUpdate(0, this.#receivedBytes);
    this.#receivedBytes = 0;
  }

  /** For a stream that is not open: the end of the connection when it never was. */
  #lateData(id: number): void {
    if (this.#streams.isIdle(id)) throw protocolError("DATA on an idle stream");
    if (!this.#streams.closed.wasResetByUs(id)) this.#session.streamError(id, ErrorCode.streamClosed);
  }

  #headers(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (id === 0) throw protocolError("HEADERS on stream 0");
    let from = start;
    let to = end;
    if ((flags & (Flag.padded | Flag.priority)) !== 0) {
      let padding = 0;
      if ((flags & Flag.padded) !== 0) {
        if (from >= to) throw sizeError("HEADERS too short");
        padding = bytes[from++]!;
      }
      if ((flags & Flag.priority) !== 0) {
        if (to - from < prioritySize) throw sizeError("HEADERS too short");
        this.#blockSelfDependent = readUint31(bytes, from) === id;
        from += prioritySize;
      }
      if (padding > to - from) throw protocolError("HEADERS padding too long");
      to -= padding;
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) {
      this.#headerBlock(bytes, from, to, id, endStream);
      return;
    }
    this.#blockBeganMs = this.#session.now;
    this.#block.open(id, endStream, bytes, from, to);
  }

  #continuation(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
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
    const stream = this.#streams.open.get(id);
    if (stream !== undefined) this.#furtherHeaders(stream, list, endStream);
    else if (this.#isServer) this.#newStream(id, list, endStream, selfDependent);
    else if (this.#streams.isIdle(id)) throw protocolError("HEADERS on an idle stream");
    // Else an answer that crossed our reset.
  }

  #furtherHeaders(stream: Http2Stream, list: HeaderList, endStream: boolean): void {
    const session = this.#session;
    if (stream.receivedEnd) {
      session.streamError(stream.id, ErrorCode.streamClosed);
      return;
    }
    if ((this.#isServer && !endStream) || list.truncated) {
      session.streamError(stream.id, ErrorCode.protocolError);
      return;
    }
    if (endStream) stream.receivedEnd = true;
    stream.onHeaders(list, endStream);
    if (endStream) session.closeWhenDone(stream);
  }

  #newStream(id: number, list: HeaderList, endStream: boolean, selfDependent: boolean): void {
    const streams = this.#streams;
    const session = this.#session;
    if (id % 2 === 0) throw protocolError("even stream identifier");
    if (id <= streams.lastOfPeer) {
      if (streams.closed.wasResetByUs(id)) return; // trailers that crossed our reset
      const code = streams.closed.wasClosed(id) ? ErrorCode.streamClosed : ErrorCode.protocolError;
      throw new ConnectionError(code, "HEADERS on a closed stream");
    }
    streams.lastOfPeer = id;
    if (id > streams.acceptUpTo) return;
    const { maxConcurrentStreams, refuseAboveQueuedBytes } = this.#limits;
    if (selfDependent) session.streamError(id, ErrorCode.protocolError);
    else if (list.truncated) session.streamError(id, ErrorCode.frameSizeError);
    else if (streams.open.count >= maxConcurrentStreams || session.queuedBytes > refuseAboveQueuedBytes) {
      session.streamError(id, ErrorCode.refusedStream);
    } else {
      this.#owner.accept(session, id, list, endStream);
    }
  }

  #priority(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (id === 0) throw protocolError("PRIORITY on stream 0");
    const session = this.#session;
    this.meters.idleFrame(session.now, "too many PRIORITY frames");
    if (end - start !== prioritySize) session.streamError(id, ErrorCode.frameSizeError);
    else if (readUint31(bytes, start) === id) session.streamError(id, ErrorCode.protocolError);
  }

  #resetStream(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (end - start !== 4) throw sizeError("RST_STREAM of a wrong size");
    if (id === 0 || this.#streams.isIdle(id)) throw protocolError("RST_STREAM on an idle stream");
    this.meters.reset(this.#session.now, "too many RST_STREAM frames");
    const stream = this.#streams.open.get(id);
    if (stream === undefined) return;
    const code = readUint32(bytes, start) as ErrorCode;
    this.#session.remove(stream, false);
    stream.onAborted("reset", code);
  }

  #settings(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (id !== 0) throw protocolError("SETTINGS on a stream");
    if ((flags & Flag.ack) !== 0) {
      if (end !== start) throw sizeError("SETTINGS acknowledgement with a payload");
      return;
    }
    const session = this.#session;
    this.meters.settings(session.now);
    const change = session.peer.take(bytes, start, end);
    if (change !== 0) this.#moveWindows(change);
    this.settingsSeen = true;
    session.control.settingsAcknowledged();
    this.#owner.settingsReceived(session);
    session.scheduler.run();
  }

  /** The peer's initial window changed: so do those of all its streams. */
  #moveWindows(change: number): void {
    for (const stream of this.#streams.open.all()) {
      if (stream.sendWindow + change > maxWindowSize) {
        throw new ConnectionError(ErrorCode.flowControlError, "INITIAL_WINDOW_SIZE overflows a window");
      }
      stream.sendWindow += change;
      this.#session.scheduler.line(stream);
    }
  }

  #ping(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (id !== 0) throw protocolError("PING on a stream");
    if (end - start !== 8) throw sizeError("PING of a wrong size");
    const session = this.#session;
    if ((flags & Flag.ack) !== 0) {
      this.#owner.pongReceived(session, readUint32(bytes, start));
      return;
    }
    this.meters.ping(session.now);
    session.control.pingAcknowledged(bytes, start);
    this.#owner.pingReceived(session);
  }

  #goAway(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (id !== 0) throw protocolError("GOAWAY on a stream");
    if (end - start < 8) throw sizeError("GOAWAY too short");
    const session = this.#session;
    this.meters.idleFrame(session.now, "too many GOAWAY frames");
    const lastStream = readUint31(bytes, start);
    const debug = Buffer.from(bytes.subarray(start + 8, Math.min(end, start + 8 + debugBytesMax))).toString("latin1");
    if (!this.#isServer) {
      for (const stream of this.#streams.open.all()) {
        if (stream.id <= lastStream) continue;
        session.remove(stream, false);
        stream.onAborted("refused", ErrorCode.refusedStream);
      }
    }
    this.#owner.goAwayReceived(session, lastStream, readUint32(bytes, start + 4), debug);
  }

  #windowUpdate(bytes: Uint8Array, start: number, end: number, id: number): void {
    if (end - start !== 4) throw sizeError("WINDOW_UPDATE of a wrong size");
    const session = this.#session;
    const increment = readUint31(bytes, start);
    this.meters.windowUpdate(session.now, session.framesSent);
    if (id === 0) {
      if (increment === 0) throw protocolError("WINDOW_UPDATE of 0");
      session.sendWindow += increment;
      if (session.sendWindow > maxWindowSize) throw new ConnectionError(ErrorCode.flowControlError, "window overflow");
    } else {
      const stream = this.#streams.open.get(id);
      if (stream === undefined) {
        if (this.#streams.isIdle(id)) throw protocolError("WINDOW_UPDATE on an idle stream");
        return;
      }
      if (increment === 0 || stream.sendWindow + increment > maxWindowSize) {
        session.streamError(id, increment === 0 ? ErrorCode.protocolError : ErrorCode.flowControlError);
        return;
      }
      stream.sendWindow += increment;
      session.scheduler.line(stream);
    }
    session.scheduler.run();
  }
}

function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.protocolError, message);
}

function sizeError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.frameSizeError, message);
}

/** One client connection of a gRPC server: routes new streams to methods, keeps the connection alive or ends it. */
import { ErrorCode } from "../http2/error-code.ts";
import { maxStreamId } from "../http2/frame.ts";
import type { HeaderList } from "../http2/hpack-decoder.ts";
import type { Http2Limits } from "../http2/limits.ts";
import type { BufferPool, FlushQueue } from "../http2/output.ts";
import type { SharedQueue } from "../http2/send-scheduler.ts";
import { Http2Session } from "../http2/session.ts";
import type { SessionOwner } from "../http2/session-owner.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Connection } from "../platform/network.ts";
import { Code } from "../wire/errors.ts";
import type { BidiHandler, HandledListener, MethodStats, ServerStreamHandler, UnaryHandler } from "./calls.ts";
import type { DeadlineQueue } from "./deadline-queue.ts";
import type { PageStreams } from "./page-streams.ts";
import { PingPolicy } from "./ping-policy.ts";
import { RequestHead, contentSubtype } from "./request-head.ts";
import { type HttpStatus, ResponseBlocks } from "./response-blocks.ts";
import type { CallStart, ServerCall } from "./server-call.ts";
import { encodeMessage } from "./status.ts";
import { BidiServerCall, ServerStreamServerCall } from "./stream-call.ts";
import { parseTimeout } from "./timeout.ts";
import { UnaryServerCall } from "./unary-call.ts";

/** A method and its handler, by type. */
export type Route =
  | { readonly type: "unary"; readonly stats: MethodStats; readonly handler: UnaryHandler }
  | { readonly type: "server_stream"; readonly stats: MethodStats; readonly handler: ServerStreamHandler }
  | { readonly type: "bidi_stream"; readonly stats: MethodStats; readonly handler: BidiHandler };

/** What a connection is for. */
export interface ConnectionService {
  /** Takes the requests that are no gRPC calls; without it they are refused with grpc-go's answer. */
  readonly pages: PageStreams;
  /** False: calls go to the pages as well, which have none. */
  readonly takesCalls: boolean;
}

/** What the connections of one server share. */
export interface ServerShared {
  readonly clock: Clock;
  readonly limits: Http2Limits;
  readonly pool: BufferPool;
  readonly flushQueue: FlushQueue;
  readonly queue: SharedQueue;
  readonly deadlines: DeadlineQueue;
  readonly routes: ReadonlyMap<string, Route>;
  readonly services: ReadonlySet<string>;
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  readonly maxPartialBytes: number;
  readonly keepaliveMinTimeMs: number;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly onHandled: HandledListener | undefined;
  receivedBytes: number;
  sentBytes: number;
  connectionClosed(connection: ServerConnection): void;
}

/** An open stream with its call, on this side's account. */
const streamBytes = 2048;
/** First words of our pings, to tell the answers apart. */
const keepalivePing = 0x6b656570;
const drainPing = 0x01060108;
/** The second GOAWAY of a drain does not wait longer than this for the first to be acknowledged. */
const drainPingTimeoutMs = 5000;
/** Debug data of a graceful GOAWAY, as grpc-go sends it. */
const gracefulStop = "graceful_stop";

export class ServerConnection implements SessionOwner {
  readonly session: Http2Session;
  readonly blocks = new ResponseBlocks();
  readonly deadlines: DeadlineQueue;
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  readonly clock: Clock;
  readonly onHandled: HandledListener | undefined;
  readonly #shared: ServerShared;
  readonly #pings: PingPolicy;
  readonly #head = new RequestHead();
  readonly #service: ConnectionService | undefined;
  /** Memory held for requests that have begun to arrive. */
  #partialBytes = 0;
  /** Memory held for pages: heads, bodies that are not complete, answers that are not sent. */
  #pageBytes = 0;
  /** Monotonic time of the keepalive ping that waits for its answer; 0 = none. */
  #pingSentMs = 0;
  #drain: "no" | "announced" | "last" = "no";
  #drainTimer: Timer | undefined = undefined;

  constructor(connection: Connection, shared: ServerShared, service: ConnectionService | undefined) {
    this.#shared = shared;
    this.#service = service;
    this.deadlines = shared.deadlines;
    this.maxReceiveBytes = shared.maxReceiveBytes;
    this.maxSendBytes = shared.maxSendBytes;
    this.clock = shared.clock;
    this.onHandled = shared.onHandled;
    this.#pings = new PingPolicy(shared.keepaliveMinTimeMs);
    this.session = new Http2Session(connection, {
      role: "server",
      owner: this,
      clock: shared.clock,
      limits: shared.limits,
      pool: shared.pool,
      flushQueue: shared.flushQueue,
      sharedQueue: shared.queue,
    });
  }

  // ---- For the calls ---------------------------------------------------------------------------------------------

  countReceived(size: number): void {
    this.#shared.receivedBytes += size;
  }

  countSent(size: number): void {
    this.#shared.sentBytes += size;
  }

  partialBytesChanged(change: number): void {
    this.#partialBytes += change;
    if (change > 0 && this.#partialBytes > this.#shared.maxPartialBytes) {
      this.session.fail(ErrorCode.enhanceYourCalm, "too many incomplete requests");
    }
  }

  /** Memory that this client makes us hold: requests that are not complete, answers it does not take, open streams. */
  get heldBytes(): number {
    const { session } = this;
    return (
      this.#partialBytes +
      this.#pageBytes +
      session.queuedBytes +
      session.output.waitingBytes +
      session.streamCount * streamBytes
    );
  }

  watchDeadline(call: ServerCall): void {
    this.deadlines.add(call, this.session.now);
  }

  // ---- New streams -----------------------------------------------------------------------------------------------

  accept(session: Http2Session, id: number, list: HeaderList, end: boolean): void {
    const head = this.#head;
    head.read(list);
    if (!head.valid) {
      session.rejectStream(id, ErrorCode.protocolError);
      return;
    }
    if (this.#service !== undefined && !(this.#service.takesCalls && head.contentType.includes("application/grpc"))) {
      this.#openPage(this.#service.pages, id, list, end);
      return;
    }
    const subtype = head.contentType === "application/grpc" ? "" : contentSubtype(head.contentType);
    if (subtype === undefined) {
      const text = `invalid gRPC request content-type ${JSON.stringify(head.contentType)}`;
      this.#answer(id, end, 415, "", Code.InvalidArgument, text);
      return;
    }
    if (head.method !== "POST") {
      const text = `Received a HEADERS frame with :method ${JSON.stringify(head.method)} which should be POST`;
      this.#answer(id, end, 405, subtype, Code.Internal, text);
      return;
    }
    let deadlineMs = 0;
    if (head.timeout !== "") {
      const timeout = parseTimeout(head.timeout);
      if (typeof timeout === "string") {
        this.#answer(id, end, 400, subtype, Code.Internal, `malformed grpc-timeout: ${timeout}`);
        return;
      }
      if (timeout === 0) {
        this.#answer(id, end, 200, subtype, Code.DeadlineExceeded, "context deadline exceeded");
        return;
      }
      deadlineMs = session.now + timeout;
    }
    if (head.binaryError !== "") {
      this.#answer(id, end, 400, subtype, Code.Internal, head.binaryError);
      return;
    }
    const route = this.#shared.routes.get(head.path);
    if (route === undefined) {
      this.#answer(id, end, 200, subtype, Code.Unimplemented, this.#unknownText(head.path));
      return;
    }
    if (head.encoding !== "" && head.encoding !== "identity") {
      const text = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(head.encoding)}`;
      this.#answer(id, end, 200, subtype, Code.Unimplemented, text);
      return;
    }
    const { stats: method } = route;
    const { metadata } = head;
    this.#open(route, { connection: this, id, receivedEnd: end, method, metadata, subtype, deadlineMs }, end);
  }

  #open(route: Route, start: CallStart, end: boolean): void {
    let call: ServerCall;
    switch (route.type) {
      case "unary":
        // Its deadline is watched only if the handler does not answer before it returns.
        call = new UnaryServerCall(start, route.handler);
        this.session.register(call);
        break;
      case "server_stream":
        call = new ServerStreamServerCall(start, route.handler);
        this.session.register(call);
        if (start.deadlineMs !== 0) this.watchDeadline(call);
        break;
      case "bidi_stream": {
        const bidi = new BidiServerCall(start, route.handler);
        call = bidi;
        this.session.register(bidi);
        if (start.deadlineMs !== 0) this.watchDeadline(bidi);
        bidi.open();
        break;
      }
    }
    if (end) call.onHeaders();
  }

  #openPage(pages: PageStreams, id: number, list: HeaderList, receivedEnd: boolean): void {
    const { session, clock } = this;
    if (this.#pageBytes > this.#shared.limits.refuseAboveQueuedBytes) {
      session.rejectStream(id, ErrorCode.refusedStream);
      return;
    }
    const { method, path } = this.#head;
    pages.open({
      session,
      id,
      receivedEnd,
      method,
      path,
      list,
      clock,
      held: (change) => this.#pageBytesChanged(change),
      sendHeaders: (status, fields) => {
        const block = this.blocks.pageHeaders(status, fields);
        session.sendHeaders(id, block, 0, block.length, false);
      },
    });
  }

  #pageBytesChanged(change: number): void {
    this.#pageBytes += change;
    if (change > 0 && this.#pageBytes > this.#shared.limits.maxQueuedBytes) {
      this.session.fail(ErrorCode.enhanceYourCalm, "pages hold too much memory");
    }
  }

  #unknownText(path: string): string {
    const name = path.startsWith("/") ? path.slice(1) : path;
    const slash = name.lastIndexOf("/");
    if (slash < 0) return `malformed method name: ${JSON.stringify(path)}`;
    const service = name.slice(0, slash);
    if (!this.#shared.services.has(service)) return `unknown service ${service}`;
    return `unknown method ${name.slice(slash + 1)} for service ${service}`;
  }

  /** Answers a stream that never becomes a call. */
  #answer(id: number, end: boolean, httpStatus: HttpStatus, subtype: string, code: number, message: string): void {
    const block = this.blocks.trailersOnly(httpStatus, subtype, code, encodeMessage(message));
    this.session.sendHeaders(id, block, 0, block.length, true);
    this.session.answeredAtOnce(id, end);
  }

  // ---- The connection --------------------------------------------------------------------------------------------

  pingReceived(session: Http2Session): void {
    if (this.#pings.allow(session.now, session.framesSent, session.streamCount)) return;
    session.fail(ErrorCode.enhanceYourCalm, "too_many_pings");
  }

  pongReceived(_session: Http2Session, word: number): void {
    if (word === drainPing) this.#lastGoAway();
  }

  settingsReceived(session: Http2Session): void {
    this.blocks.setTableSize(session.peer.headerTableSize);
  }

  goAwayReceived(): void {
    // The client opens no streams of ours; it closes the connection itself when its calls are done.
  }

  streamsGone(session: Http2Session): void {
    if (this.#drain === "last") session.finishConnection();
  }

  sessionClosed(): void {
    this.#drainTimer?.cancel();
    this.#shared.connectionClosed(this);
  }

  /**
   * Begins a graceful end: a GOAWAY that still allows every stream, so that none in flight is lost, then, when the client
   * has answered a ping behind it, the GOAWAY that names the last one served.
   */
  drain(): void {
    if (this.#drain !== "no") return;
    this.#drain = "announced";
    this.session.goAway(maxStreamId, ErrorCode.noError, gracefulStop);
    this.session.ping(drainPing);
    this.#drainTimer = this.#shared.clock.setTimer(() => this.#lastGoAway(), drainPingTimeoutMs);
  }

  #lastGoAway(): void {
    if (this.#drain !== "announced") return;
    this.#drain = "last";
    this.#drainTimer?.cancel();
    this.session.goAway(this.session.lastPeerStream, ErrorCode.noError, gracefulStop);
    if (this.session.streamCount === 0) this.session.finishConnection();
  }

  /** Once a second: limits of time, keepalive. */
  check(nowMs: number): void {
    const { session } = this;
    session.checkTimes(nowMs);
    if (session.lastReceivedMs >= this.#pingSentMs) this.#pingSentMs = 0;
    if (this.#pingSentMs > 0) {
      if (nowMs - this.#pingSentMs >= this.#shared.keepaliveTimeoutMs) session.destroy();
    } else if (nowMs - session.lastReceivedMs >= this.#shared.keepaliveIntervalMs) {
      this.#pingSentMs = nowMs;
      session.ping(keepalivePing);
    }
  }
}

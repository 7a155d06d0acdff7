/**
 * What a gRPC handler sees of one call. Callbacks only: no promise and no closure of ours per request. A call settles
 * exactly once: the first of `respond*`, `fail`, `end`, cancellation by the client, its deadline, or the loss of the
 * connection; everything a handler does afterwards is ignored, so handlers need no checks of their own.
 */
import type { Histogram } from "../base/histogram.ts";
import type { Address, TlsIdentity } from "../platform/network.ts";
import type { SharedMessage } from "./shared-message.ts";

/** What unary and streaming calls have in common. */
interface CallContext {
  /** Full method path, such as `/etcdserverpb.KV/Range`. */
  readonly path: string;
  readonly remote: Address;
  readonly tls: TlsIdentity | undefined;
  /** On the monotonic clock, milliseconds; undefined when the client set none. */
  readonly deadline: number | undefined;
  /** True once the client cancelled, the deadline passed or the connection was lost. */
  readonly cancelled: boolean;
  /**
   * First value of a request header, name in lower case. Values are byte strings: each character is one byte as it
   * came over the wire. A `-bin` value is base64 (`metadataBytes` decodes it).
   */
  metadata(name: string): string | undefined;
  /** The bytes of a `-bin` header, owned; undefined when absent. */
  metadataBytes(name: string): Uint8Array | undefined;
  /** Answers with an error status instead of a message; `message` is any text (percent-encoded on the wire). */
  fail(code: number, message: string): void;
}

/** One request, one response. */
export interface UnaryCall extends CallContext {
  /**
   * The handler's note for `GrpcServerOptions.onHandled`: what was asked. Bytes in it are owned, unless the call is
   * settled before the handler returns.
   */
  request?: unknown;
  /** The same: what was answered. */
  response?: unknown;
  /** Called once when the call is cancelled (client, deadline, lost connection) before it was answered; at once if it already is. */
  onCancel(callback: () => void): void;
  /** Answers. The bytes belong to the call from now on (they wait for flow control without a copy). */
  respond(message: Uint8Array): void;
  /**
   * Answers with a message of `size` bytes that `write` puts at `offset` of `target`, returning the end offset, which
   * must be `offset + size`. `write` runs before this returns, exactly once, or never when the call is already over.
   */
  respondWith(size: number, write: (target: Uint8Array, offset: number) => number): void;
  /**
   * Answers with a message of exactly `size` bytes that is produced under the connection's flow control: `next` gives
   * the next piece, 1 to `maxBytes` bytes (belonging to the call until it asks again), and undefined only at the end;
   * it is asked at most once or twice per loop turn. `done` is called exactly once: when all is sent or the call is over.
   */
  respondChunked(size: number, next: (maxBytes: number) => Uint8Array | undefined, done: () => void): void;
}

/** A server-streaming or bidirectional call. */
export interface StreamCall extends CallContext {
  /** @param callback - a message of the client; the bytes are borrowed until it returns. Set it before the handler returns. */
  onMessage(callback: (message: Uint8Array) => void): void;
  /** The client will send no more. Called at once when it already happened. */
  onHalfClose(callback: () => void): void;
  /**
   * Exactly once, when the call is over for whatever reason: ended by us, cancelled, past its deadline, connection lost.
   * Several callbacks may be set.
   */
  onClose(callback: () => void): void;
  /**
   * Sends one message; the bytes belong to the call until sent. False when more than `sendHighWaterBytes` wait: stop
   * until `onDrain`.
   */
  send(message: Uint8Array): boolean;
  /** Sends one message of `size` bytes that lies in pieces (which may be shared with other calls; nobody changes them). */
  sendParts(parts: readonly Uint8Array[], size: number): boolean;
  /** Sends a message that many calls get. */
  sendShared(message: SharedMessage): boolean;
  /** Called each time all that waited has been sent, after `send` returned false. */
  onDrain(callback: () => void): void;
  /** Message bytes accepted and not yet handed to the socket (they wait for the peer's flow control). */
  readonly bufferedBytes: number;
  /** So much waits on the call's connection, or in all of the server, that what can be made later should be made later. */
  readonly isCrowded: boolean;
  /** Ends with status OK after everything sent so far. */
  end(): void;
}

/** @param request - borrowed until the handler returns. */
export type UnaryHandler = (call: UnaryCall, request: Uint8Array) => void;

/**
 * Called when the client has sent its one request and finished its side.
 *
 * @param request - owned by the handler.
 */
export type ServerStreamHandler = (call: StreamCall, request: Uint8Array) => void;

/** Called when the call opens; messages follow through `call.onMessage`. */
export type BidiHandler = (call: StreamCall) => void;

/** A call that was answered, failed or cut off. */
export interface HandledCall {
  readonly method: MethodStats;
  readonly remote: Address;
  /** First value of a request header; see {@link UnaryCall}. */
  metadata(name: string): string | undefined;
  /** Bytes of the last message received; 0 when none was. */
  readonly requestBytes: number;
  /** Bytes of the last message sent; 0 when none was. */
  readonly responseBytes: number;
  /** Notes of a unary call's handler; undefined when it made none. */
  readonly request: unknown;
  readonly response: unknown;
}

/**
 * Told of every call when it is settled, that is before a big answer has left for a slow client.
 *
 * @param tookMs - since the request's header came.
 */
export type HandledListener = (call: HandledCall, code: number, tookMs: number) => void;

export type MethodType = "unary" | "server_stream" | "bidi_stream";

/** One registered method and its counters, plain numbers that the metrics registry copies when scraped. */
export interface MethodStats {
  readonly path: string;
  /** Such as `etcdserverpb.KV`. */
  readonly service: string;
  /** Such as `Range`. */
  readonly method: string;
  readonly type: MethodType;
  started: number;
  /** Finished calls by gRPC status code, 17 numbers. */
  readonly handled: number[];
  messagesReceived: number;
  messagesSent: number;
  /** Times until a call was settled; undefined unless `GrpcServerOptions.measuresHandling`. */
  readonly handlingSeconds: Histogram | undefined;
}

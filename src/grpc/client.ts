/** A gRPC client over one HTTP/2 connection: promises and async iterables, for command lines and the client library. */
import { Http2Client, PreparedHeaders } from "../http2/client.ts";
import type { HeaderPair } from "../http2/hpack-encoder.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Connection, NetworkError } from "../platform/network.ts";
import { Code } from "../wire/errors.ts";
import { ClientCall, type ClientCallEvents } from "./client-call.ts";
import { GrpcError } from "./status.ts";
import { formatTimeout } from "./timeout.ts";

export interface GrpcClientOptions {
  readonly clock: Clock;
  /** `:authority`, such as `127.0.0.1:2379`. */
  readonly authority: string;
  /** The connection is under TLS. */
  readonly isSecure?: boolean;
  /** Default `quorate`. */
  readonly userAgent?: string;
  /** Largest message accepted; default 2147483647 as in etcd's client. */
  readonly maxReceiveBytes?: number;
  /** Largest message sent; default 2 MiB as in etcd's client. */
  readonly maxSendBytes?: number;
  /** Ping an idle connection after this long; default 0 = never. */
  readonly keepaliveTimeMs?: number;
  /** Close when a ping is not answered within this; default 20000. */
  readonly keepaliveTimeoutMs?: number;
  /** Ping also while no call is open, which servers may take for abuse. Default false. */
  readonly pingsWithoutCalls?: boolean;
}

/** Request headers beside gRPC's own: names in lower case, values as byte strings. */
export type Metadata = Readonly<Record<string, string>>;

export interface CallOptions {
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal;
  /** Sent as `grpc-timeout` and enforced here. */
  readonly timeoutMs?: number;
}

/** A bidirectional (or server-streaming) call. Iterate it for the answers; the iteration throws `GrpcError` unless the status is OK. */
export interface ClientStream extends AsyncIterable<Uint8Array> {
  /** Queues one message; resolves when flow control let it out. Rejects with `GrpcError` when the call is over. */
  send(message: Uint8Array): Promise<void>;
  /** No more messages from us. A server-streaming call is answered only after this (as in grpc-go). */
  halfClose(): void;
  /** Ends the call from our side (RST_STREAM CANCEL); the iteration throws `GrpcError` Canceled. */
  cancel(): void;
}

const defaultMaxBytes = 0x7fff_ffff;
const defaultMaxSendBytes = 2 * 1024 * 1024;
const defaultKeepaliveTimeoutMs = 20_000;
/** grpc-go's lower bound for a client's keepalive time. */
const minKeepaliveTimeMs = 10_000;
/** Prepared headers kept, one for each path called without metadata; beyond it they are made each time. */
const maxPreparedPaths = 256;

export class GrpcClient {
  /** Resolves when the server's first words came: it speaks HTTP/2 and, under TLS, has accepted our certificate. */
  readonly greeted: Promise<void>;
  /** Resolves when the connection is gone, with what it broke with if it did. */
  readonly closed: Promise<NetworkError | undefined>;
  readonly #client: Http2Client;
  readonly #options: GrpcClientOptions;
  readonly #userAgent: string;
  readonly #maxReceiveBytes: number;
  readonly #maxSendBytes: number;
  /** Headers of calls without metadata or deadline, by path. */
  readonly #prepared = new Map<string, PreparedHeaders>();
  /** Calls that wait for the server's stream limit. */
  readonly #waiting: (() => void)[] = [];
  #keepalive: Timer | undefined = undefined;
  #pingSentMs = 0;
  #onGreeted: () => void = () => undefined;
  #onClosed: (error: NetworkError | undefined) => void = () => undefined;

  /** Takes over `connection` (sets its handlers). */
  constructor(connection: Connection, options: GrpcClientOptions) {
    this.#options = options;
    this.#userAgent = options.userAgent ?? "quorate";
    this.#maxReceiveBytes = options.maxReceiveBytes ?? defaultMaxBytes;
    this.#maxSendBytes = options.maxSendBytes ?? defaultMaxSendBytes;
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    this.greeted = new Promise((resolve) => {
      this.#onGreeted = resolve;
    });
    this.#client = new Http2Client(connection, {
      clock: options.clock,
      onSettings: () => {
        this.#onGreeted();
        this.#startWaiting();
      },
      onPong: () => {
        this.#pingSentMs = 0;
      },
      onClosed: (error) => this.#connectionClosed(error),
    });
    const keepaliveMs = options.keepaliveTimeMs ?? 0;
    if (keepaliveMs > 0) {
      const periodMs = Math.max(keepaliveMs, minKeepaliveTimeMs);
      this.#keepalive = options.clock.setTicker(() => this.#checkAlive(periodMs), 1000);
    }
  }

  /** False once closed, lost, or told to go away: open another connection. */
  get usable(): boolean {
    return this.#client.usable;
  }

  /** Closes at once; running calls fail with Unavailable. */
  close(): void {
    this.#client.session.destroy();
  }

  /** One request, one owned response. Rejects with `GrpcError`. */
  unary(path: string, request: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let response: Uint8Array | undefined;
      this.#open(path, options, {
        holdWindow: false,
        events: {
          message(message) {
            response = message;
          },
          ended(error) {
            if (error !== undefined) reject(error);
            else if (response === undefined) {
              reject(
                new GrpcError(
                  Code.Internal,
                  "cardinality violation: received no response message from non-server-streaming RPC",
                ),
              );
            } else resolve(response);
          },
          drained() {
            // One message: nobody waits to send another.
          },
        },
        opened: (call) => {
          if (request.length > this.#maxSendBytes) call.abort(this.#tooLarge(request.length));
          else call.send(request, true);
        },
      });
    });
  }

  /** A bidirectional or server-streaming call. */
  stream(path: string, options: CallOptions = {}): ClientStream {
    const stream = new CallStream((size) => (size > this.#maxSendBytes ? this.#tooLarge(size) : undefined));
    this.#open(path, options, { holdWindow: true, events: stream, opened: (call) => stream.attach(call) });
    return stream;
  }

  #tooLarge(size: number): GrpcError {
    return new GrpcError(
      Code.ResourceExhausted,
      `trying to send message larger than max (${size} vs. ${this.#maxSendBytes})`,
    );
  }

  #open(path: string, options: CallOptions, opening: Opening): void {
    const { signal, timeoutMs } = options;
    const { clock } = this.#options;
    const deadlineMs = timeoutMs === undefined ? undefined : clock.monotonic() + timeoutMs;
    let call: ClientCall | undefined;
    let timer: Timer | undefined;
    let settled = false;
    const { events } = opening;
    const ended = (error: GrpcError | undefined): void => {
      if (settled) return;
      settled = true;
      timer?.cancel();
      signal?.removeEventListener("abort", aborted);
      events.ended(error);
      this.#startWaiting();
    };
    const abort = (error: GrpcError): void => {
      if (call === undefined) ended(error);
      else call.abort(error);
    };
    const aborted = (): void => abort(new GrpcError(Code.Canceled, "context canceled"));
    if (signal?.aborted === true) {
      ended(new GrpcError(Code.Canceled, "context canceled"));
      return;
    }
    signal?.addEventListener("abort", aborted, { once: true });
    if (timeoutMs !== undefined) {
      timer = clock.setTimer(
        () => abort(new GrpcError(Code.DeadlineExceeded, "context deadline exceeded")),
        Math.max(0, timeoutMs),
      );
    }
    const start = (): void => {
      if (settled) return;
      if (!this.usable) {
        const reason = this.#client.goAwayReason || "the connection is closed";
        ended(new GrpcError(Code.Unavailable, reason, { isUnsent: true }));
        return;
      }
      call = new ClientCall(this.#client.session, {
        maxReceiveBytes: this.#maxReceiveBytes,
        holdWindow: opening.holdWindow,
        events: { message: (message) => events.message(message), ended, drained: () => events.drained() },
      });
      const leftMs = deadlineMs === undefined ? undefined : deadlineMs - clock.monotonic();
      this.#client.sendRequest(call, this.#headers(path, options.metadata, leftMs), false);
      opening.opened(call);
    };
    if (this.#client.hasRoom) start();
    else this.#waiting.push(start);
  }

  #headers(path: string, metadata: Metadata | undefined, timeoutMs: number | undefined): PreparedHeaders {
    const plain = metadata === undefined && timeoutMs === undefined;
    const known = plain ? this.#prepared.get(path) : undefined;
    if (known !== undefined) return known;
    const fields: HeaderPair[] = [
      [":method", "POST"],
      [":scheme", this.#options.isSecure === true ? "https" : "http"],
      [":path", path],
      [":authority", this.#options.authority],
      ["content-type", "application/grpc"],
      ["user-agent", this.#userAgent],
      ["te", "trailers"],
    ];
    if (timeoutMs !== undefined) fields.push(["grpc-timeout", formatTimeout(timeoutMs)]);
    for (const [name, value] of Object.entries(metadata ?? {})) fields.push([name, value]);
    const headers = new PreparedHeaders(fields);
    if (plain && this.#prepared.size < maxPreparedPaths) this.#prepared.set(path, headers);
    return headers;
  }

  #startWaiting(): void {
    while (this.#waiting.length > 0 && (this.#client.hasRoom || !this.usable)) this.#waiting.shift()!();
  }

  #checkAlive(periodMs: number): void {
    const { session } = this.#client;
    const nowMs = this.#options.clock.monotonic();
    if (session.lastReceivedMs >= this.#pingSentMs) this.#pingSentMs = 0;
    if (this.#pingSentMs > 0) {
      const timeoutMs = this.#options.keepaliveTimeoutMs ?? defaultKeepaliveTimeoutMs;
      if (nowMs - this.#pingSentMs >= timeoutMs) session.destroy();
    } else if (
      (session.streamCount > 0 || this.#options.pingsWithoutCalls === true) &&
      nowMs - session.lastReceivedMs >= periodMs
    ) {
      // Without a call servers count pings as abuse.
      this.#pingSentMs = nowMs;
      session.ping(1);
    }
  }

  #connectionClosed(error: NetworkError | undefined): void {
    this.#keepalive?.cancel();
    this.#startWaiting();
    this.#onClosed(error);
  }
}

interface Opening {
  readonly holdWindow: boolean;
  readonly events: ClientCallEvents;
  /** The request headers are sent. */
  opened(call: ClientCall): void;
}

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: GrpcError): void;
}

/** The caller's end of a streaming call. */
class CallStream implements ClientStream, ClientCallEvents {
  readonly #check: (size: number) => GrpcError | undefined;
  #call: ClientCall | undefined = undefined;
  /** Sent before the call was opened (it waits for the server's stream limit). */
  readonly #early: Uint8Array[] = [];
  #halfClosed = false;
  readonly #received: Uint8Array[] = [];
  #ended = false;
  #error: GrpcError | undefined = undefined;
  #reader: Waiter<IteratorResult<Uint8Array>> | undefined = undefined;
  #senders: Waiter<void>[] = [];

  constructor(check: (size: number) => GrpcError | undefined) {
    this.#check = check;
  }

  attach(call: ClientCall): void {
    this.#call = call;
    for (const message of this.#early) call.send(message, false);
    this.#early.length = 0;
    if (this.#halfClosed) call.halfClose();
    if (this.#reader !== undefined) call.want();
    if (call.queuedBytes === 0) this.drained();
  }

  send(message: Uint8Array): Promise<void> {
    const tooLarge = this.#check(message.length);
    if (tooLarge !== undefined) return Promise.reject(tooLarge);
    if (this.#ended || this.#halfClosed) {
      return Promise.reject(this.#error ?? new GrpcError(Code.Internal, "SendMsg called after the end of the stream"));
    }
    if (this.#call === undefined) this.#early.push(message);
    else this.#call.send(message, false);
    if (this.#call?.queuedBytes === 0) return Promise.resolve();
    return new Promise((resolve, reject) => this.#senders.push({ resolve, reject }));
  }

  halfClose(): void {
    if (this.#halfClosed) return;
    this.#halfClosed = true;
    this.#call?.halfClose();
  }

  cancel(): void {
    const error = new GrpcError(Code.Canceled, "context canceled");
    if (this.#call === undefined) this.ended(error);
    else this.#call.abort(error);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: () => {
        this.cancel();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    const message = this.#received.shift();
    if (message !== undefined) {
      this.#call?.release(message.length);
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.#call?.want();
    });
  }

  message(message: Uint8Array): void {
    const reader = this.#reader;
    if (reader === undefined) {
      this.#received.push(message);
      return;
    }
    this.#reader = undefined;
    this.#call?.release(message.length);
    reader.resolve({ done: false, value: message });
  }

  ended(error: GrpcError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    const reader = this.#reader;
    this.#reader = undefined;
    if (error === undefined) reader?.resolve({ done: true, value: undefined });
    else reader?.reject(error);
    const over = error ?? new GrpcError(Code.Internal, "the call ended before the message was sent");
    for (const sender of this.#senders) sender.reject(over);
    this.#senders = [];
  }

  drained(): void {
    const senders = this.#senders;
    this.#senders = [];
    for (const sender of senders) sender.resolve();
  }
}

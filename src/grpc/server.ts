/**
 * The gRPC server: methods are registered, connections handed in, limits enforced. Everything a call costs is in
 * `server-call.ts` and below; nothing here runs per request.
 */
import { assert } from "../base/assert.ts";
import { Histogram } from "../base/histogram.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { type Http2Limits, defaultLimits } from "../http2/limits.ts";
import { BufferPool, FlushQueue } from "../http2/output.ts";
import { SharedQueue } from "../http2/send-scheduler.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Connection } from "../platform/network.ts";
import type {
  BidiHandler,
  HandledListener,
  MethodStats,
  MethodType,
  ServerStreamHandler,
  UnaryHandler,
} from "./calls.ts";
import { DeadlineQueue } from "./deadline-queue.ts";
import { type ConnectionService, type Route, ServerConnection, type ServerShared } from "./server-connection.ts";

/** Limits and times of a server; every one has etcd's or a stated default. */
export interface GrpcServerOptions {
  readonly clock: Clock;
  /** Largest message accepted, bytes. etcd: max-request-bytes + 512 KiB = 2097152. */
  readonly maxReceiveBytes?: number;
  /** Largest message sent, bytes. etcd: 2147483647. */
  readonly maxSendBytes?: number;
  /** `--max-concurrent-streams`, per connection; default 4294967295. */
  readonly maxConcurrentStreams?: number;
  /** Memory for requests of one connection that are not complete; default 256 MiB, above it the connection is closed. */
  readonly maxPartialBytes?: number;
  /** Memory that all clients together make us hold; above it those that hold most are closed. Default 512 MiB. */
  readonly maxHeldBytes?: number;
  /** `--grpc-keepalive-min-time`: pings closer than this are strikes; default 5000, 0 = grpc's own default of 5 minutes. */
  readonly keepaliveMinTimeMs?: number;
  /** `--grpc-keepalive-interval`: we ping a connection idle this long; default 2 h, which 0 means too (as in etcd). */
  readonly keepaliveIntervalMs?: number;
  /** `--grpc-keepalive-timeout`: no answer within this closes the connection; default 20000, which 0 means too. */
  readonly keepaliveTimeoutMs?: number;
  /** Told of every call that is over; costs one look at the clock per call. */
  readonly onHandled?: HandledListener;
  /** Keeps {@link MethodStats.handlingSeconds}; default false. */
  readonly measuresHandling?: boolean;
  /** The other limits of HTTP/2, by default {@link defaultLimits}. */
  readonly limits?: Partial<Http2Limits>;
}

const defaultMaxReceiveBytes = 2 * 1024 * 1024;
const defaultMaxSendBytes = 0x7fff_ffff;
const defaultMaxPartialBytes = 256 * 1024 * 1024;
const defaultMaxHeldBytes = 512 * 1024 * 1024;
const defaultKeepaliveMinTimeMs = 5000;
const unsetKeepaliveMinTimeMs = 300_000;
const defaultKeepaliveIntervalMs = 7_200_000;
const defaultKeepaliveTimeoutMs = 20_000;
/** grpc-go does not ping more often than this whatever is asked. */
const minKeepaliveIntervalMs = 1000;
/** The default buckets of Go's Prometheus client. */
const handlingBoundsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** How often the limits of time are looked at. */
const checkPeriodMs = 1000;

export class GrpcServer {
  readonly #shared: ServerShared;
  readonly #measuresHandling: boolean;
  readonly #maxHeldBytes: number;
  readonly #routes = new Map<string, Route>();
  readonly #services = new Set<string>();
  readonly #methods: MethodStats[] = [];
  readonly #connections = new Set<ServerConnection>();
  #checking: Timer | undefined = undefined;
  #draining: Promise<void> | undefined = undefined;
  #drained: (() => void) | undefined = undefined;
  #closed = false;
  #holdsWindows = false;

  constructor(options: GrpcServerOptions) {
    const limits: Http2Limits = { ...defaultLimits, ...options.limits };
    this.#maxHeldBytes = options.maxHeldBytes ?? defaultMaxHeldBytes;
    this.#measuresHandling = options.measuresHandling ?? false;
    const intervalMs = options.keepaliveIntervalMs ?? 0;
    const timeoutMs = options.keepaliveTimeoutMs ?? 0;
    // etcd passes the pair on only when both are set; else grpc's defaults hold.
    const keepalive = intervalMs > 0 && timeoutMs > 0;
    const minTimeMs = options.keepaliveMinTimeMs ?? defaultKeepaliveMinTimeMs;
    this.#shared = {
      clock: options.clock,
      limits:
        options.maxConcurrentStreams === undefined
          ? limits
          : { ...limits, maxConcurrentStreams: options.maxConcurrentStreams },
      pool: new BufferPool(),
      flushQueue: new FlushQueue(),
      queue: new SharedQueue(this.#maxHeldBytes, () => this.#checkMemory()),
      deadlines: new DeadlineQueue(options.clock),
      routes: this.#routes,
      services: this.#services,
      maxReceiveBytes: options.maxReceiveBytes ?? defaultMaxReceiveBytes,
      maxSendBytes: options.maxSendBytes ?? defaultMaxSendBytes,
      maxPartialBytes: options.maxPartialBytes ?? defaultMaxPartialBytes,
      keepaliveMinTimeMs: minTimeMs > 0 ? minTimeMs : unsetKeepaliveMinTimeMs,
      keepaliveIntervalMs: keepalive ? Math.max(intervalMs, minKeepaliveIntervalMs) : defaultKeepaliveIntervalMs,
      keepaliveTimeoutMs: keepalive ? timeoutMs : defaultKeepaliveTimeoutMs,
      onHandled: options.onHandled,
      receivedBytes: 0,
      sentBytes: 0,
      connectionClosed: (connection) => this.#connectionClosed(connection),
    };
  }

  /** Registers a method; `path` is `/service/method`. Before the first connection. */
  unary(path: string, handler: UnaryHandler): void {
    this.#routes.set(path, { type: "unary", stats: this.#addMethod(path, "unary"), handler });
  }

  serverStream(path: string, handler: ServerStreamHandler): void {
    this.#routes.set(path, { type: "server_stream", stats: this.#addMethod(path, "server_stream"), handler });
  }

  bidi(path: string, handler: BidiHandler): void {
    this.#routes.set(path, { type: "bidi_stream", stats: this.#addMethod(path, "bidi_stream"), handler });
  }

  /** A method with its handler and counters, for callers within the process (the JSON gateway). */
  route(path: string): Route | undefined {
    return this.#routes.get(path);
  }

  /** Largest message accepted, bytes; callers within the process keep to it as well. */
  get maxReceiveBytes(): number {
    return this.#shared.maxReceiveBytes;
  }

  /** To be told of calls from within the process as of all others; see {@link GrpcServerOptions.onHandled}. */
  get onHandled(): HandledListener | undefined {
    return this.#shared.onHandled;
  }

  /** Counts message bytes of a caller within the process. */
  countLocal(receivedBytes: number, sentBytes: number): void {
    this.#shared.receivedBytes += receivedBytes;
    this.#shared.sentBytes += sentBytes;
  }

  /** All registered methods with their counters, in order of registration. */
  get methods(): readonly MethodStats[] {
    return this.#methods;
  }

  /** Message bytes (without HTTP/2) received, for `etcd_network_client_grpc_received_bytes_total`. */
  get receivedBytes(): number {
    return this.#shared.receivedBytes;
  }

  /** Message bytes sent, for `etcd_network_client_grpc_sent_bytes_total`. */
  get sentBytes(): number {
    return this.#shared.sentBytes;
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /**
   * Serves one connection that speaks HTTP/2; `firstBytes` are what a sniffer already read (borrowed). A server that is
   * draining or closed closes it.
   *
   * @param service - what it serves; default: calls alone.
   */
  handleConnection(connection: Connection, firstBytes?: Uint8Array, service?: ConnectionService): void {
    if (this.#closed || this.#draining !== undefined) {
      connection.destroy();
      return;
    }
    const served = new ServerConnection(connection, this.#shared, service);
    this.#connections.add(served);
    if (this.#holdsWindows) served.session.holdWindow(true);
    this.#checking ??= this.#shared.clock.setTicker(() => this.#check(), checkPeriodMs);
    served.session.start(firstBytes);
  }

  /** While true no client may send more than its connection's window; whoever takes the requests has enough of them. */
  holdWindows(holds: boolean): void {
    this.#holdsWindows = holds;
    for (const { session } of this.#connections) session.holdWindow(holds);
  }

  /**
   * Graceful stop: GOAWAY in two steps, running calls finish; resolves when every connection is gone. Streams that never
   * end by themselves keep it waiting: the caller has a limit of time and calls {@link close} then.
   */
  drain(): Promise<void> {
    this.#draining ??= new Promise((resolve) => {
      this.#drained = resolve;
    });
    for (const connection of this.#connections) connection.drain();
    if (this.#connections.size === 0) this.#drained?.();
    return this.#draining;
  }

  /** Closes every connection at once; running calls are cancelled. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections) connection.session.destroy();
  }

  #addMethod(path: string, type: MethodType): MethodStats {
    const slash = path.lastIndexOf("/");
    assert(path.startsWith("/") && slash > 1, "a method path is /service/method");
    assert(!this.#routes.has(path), "method registered twice");
    const service = path.slice(1, slash);
    this.#services.add(service);
    const stats: MethodStats = {
      path,
      service,
      method: path.slice(slash + 1),
      type,
      started: 0,
      handled: Array.from<number>({ length: 17 }).fill(0),
      messagesReceived: 0,
      messagesSent: 0,
      handlingSeconds: this.#measuresHandling ? new Histogram(handlingBoundsSeconds) : undefined,
    };
    this.#methods.push(stats);
    return stats;
  }

  #check(): void {
    const nowMs = this.#shared.clock.monotonic();
    for (const connection of this.#connections) connection.check(nowMs);
    this.#checkMemory();
  }

  /** Closes those that hold most when all clients together hold too much, though none is above its own limit. */
  #checkMemory(): void {
    let heldBytes = 0;
    for (const connection of this.#connections) heldBytes += connection.heldBytes;
    if (heldBytes <= this.#maxHeldBytes) return;
    const greediestFirst = [...this.#connections].sort((a, b) => b.heldBytes - a.heldBytes);
    for (const connection of greediestFirst) {
      if (heldBytes <= this.#maxHeldBytes) return;
      heldBytes -= connection.heldBytes;
      connection.session.fail(ErrorCode.enhanceYourCalm, "clients hold too much memory");
    }
  }

  #connectionClosed(connection: ServerConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    this.#checking?.cancel();
    this.#checking = undefined;
    this.#drained?.();
  }
}

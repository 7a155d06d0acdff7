/** The gRPC server. */
import type { BidiHandler, MethodStats, ServerStreamHandler, UnaryHandler } from "./calls.ts";
import type { Clock } from "../platform/clock.ts";
import type { Connection } from "../platform/network.ts";

/** Limits and times of a server; every one has etcd's or a stated default. */
export interface GrpcServerOptions {
  readonly clock: Clock;
  /** Largest message accepted, bytes. etcd: max-request-bytes + 512 KiB = 2097152. */
  readonly maxReceiveBytes?: number;
  /** Largest message sent, bytes. etcd: 2147483647. */
  readonly maxSendBytes?: number;
  /** `--max-concurrent-streams`, per connection; default 4294967295. */
  readonly maxConcurrentStreams?: number;
  /** `--grpc-keepalive-min-time`: pings closer than this are strikes; default 5000. */
  readonly keepaliveMinTimeMs?: number;
  /** `--grpc-keepalive-interval`: we ping a connection idle this long; default 7200000, 0 = never. */
  readonly keepaliveIntervalMs?: number;
  /** `--grpc-keepalive-timeout`: no answer within this closes the connection; default 20000. */
  readonly keepaliveTimeoutMs?: number;
}

export declare class GrpcServer {
  constructor(options: GrpcServerOptions);
  /** Registers a method; `path` is `/service/method`. Before the first connection. */
  unary(path: string, handler: UnaryHandler): void;
  serverStream(path: string, handler: ServerStreamHandler): void;
  bidi(path: string, handler: BidiHandler): void;
  /** All registered methods with their counters, in order of registration. */
  readonly methods: readonly MethodStats[];
  /** Message bytes (without HTTP/2) received and sent, for `etcd_network_client_grpc_*_bytes_total`. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Open connections. */
  readonly connectionCount: number;
  /** Serves one connection that speaks HTTP/2; `firstBytes` are what a sniffer already read (borrowed). */
  handleConnection(connection: Connection, firstBytes?: Uint8Array): void;
  /** Graceful stop: GOAWAY in two steps, running calls finish; resolves when every connection is gone. */
  drain(): Promise<void>;
  /** Closes every connection at once; running calls are cancelled. */
  close(): void;
}

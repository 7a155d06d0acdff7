/** A gRPC client over one HTTP/2 connection. */
import type { Clock } from "../platform/clock.ts";
import type { Connection } from "../platform/network.ts";

export interface GrpcClientOptions {
  readonly clock: Clock;
  /** `:authority`, such as `127.0.0.1:2379`. */
  readonly authority: string;
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
  /** No more messages from us. */
  halfClose(): void;
  /** Ends the call from our side (RST_STREAM CANCEL); the iteration throws `GrpcError` Canceled. */
  cancel(): void;
}

export declare class GrpcClient {
  /** Takes over `connection` (sets its handlers). */
  constructor(connection: Connection, options: GrpcClientOptions);
  /** One request, one owned response. Rejects with `GrpcError`. */
  unary(path: string, request: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  stream(path: string, options?: CallOptions): ClientStream;
  /** False once closed, lost, or told to go away: open another connection. */
  readonly usable: boolean;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  /** Closes at once; running calls fail with Unavailable. */
  close(): void;
}

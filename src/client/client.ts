/**
 * A client of an etcd cluster: typed calls with deadlines, retried and worded as Go's clientv3 does it, over a
 * {@link Channel} of connections. Watches, leases and locks build on it (see the files beside).
 */
import type { ClientStream, Metadata } from "../grpc/client.ts";
import { GrpcError } from "../grpc/status.ts";
import { Code, reasons } from "../wire/errors.ts";
import type { MessageFns } from "../wire/gen/etcdserverpb/rpc.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import { ClientError, clientError, statusText } from "./client-error.ts";
import { parseEndpoint } from "./endpoint.ts";
import { methods, type Method } from "./methods.ts";

/** Version of the API that the client speaks, told to the server with every call. */
const apiVersion = "3.6";

/** Attempts of one call, as in clientv3. */
const attemptsMax = 100;

/** Pause before the endpoints are asked again after a quorum of them failed. */
const retryPauseMs = 25;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface ClientOptions extends ChannelOptions {
  readonly credentials?: Credentials | undefined;
}

export interface CallOptions {
  /** Without it the call waits for as long as it takes. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Fail when the member has lost its leader. */
  readonly requireLeader?: boolean;
}

/** The fields of a request that are not zero. */
export type Fields<Message> = Partial<Message>;

/** Timers count whole milliseconds: one set for a deadline may fire this much before it. */
const timerSlackMs = 2;

/** A bidirectional or server-streaming call with decoded messages; the iteration throws {@link ClientError}. */
export interface MessageStream<Request, Response> extends AsyncIterable<Response> {
  send(request: Fields<Request>): Promise<void>;
  halfClose(): void;
  cancel(): void;
}

export class Client {
  readonly channel: Channel;
  readonly #options: ClientOptions;
  #token: string | undefined;
  /** Under way; whoever needs a token meanwhile waits for the same one. */
  #renewal: Promise<void> | undefined;

  /** @throws {ClientError} without endpoints. */
  constructor(options: ClientOptions) {
    if (options.endpoints.length === 0) {
      const text = "etcdclient: no available endpoints";
      throw new ClientError(Code.Unavailable, text, text);
    }
    this.#options = options;
    this.channel = new Channel(options);
  }

  get endpoints(): readonly string[] {
    return this.channel.endpoints;
  }

  /** One request, one response. @throws {ClientError} */
  async call<Request, Response>(
    method: Method<Request, Response>,
    fields: Fields<Request>,
    options: CallOptions = {},
  ): Promise<Response> {
    const bytes = encode(method.request, fields);
    const { clock } = this.channel;
    const deadline = options.timeoutMs === undefined ? undefined : clock.monotonic() + options.timeoutMs;
    for (let attempt = 0; ; attempt++) {
      await this.#pauseBefore(attempt);
      try {
        return method.response.decode(await this.#attempt(method.path, bytes, deadline, options));
      } catch (error) {
        this.#reportFailure(method.path, attempt, error);
        const timedOut = deadline !== undefined && clock.monotonic() >= deadline - timerSlackMs;
        if (timedOut || attempt + 1 >= attemptsMax || options.signal?.aborted === true) {
          throw clientError(error, timedOut);
        }
        if (await this.#renewedToken(error)) continue;
        if (!mayRetry(method, error, this.endpoints.length)) throw clientError(error);
      }
    }
  }

  /** Opens a stream on the next usable connection. @throws {ClientError} */
  async open<Request, Response>(
    method: Method<Request, Response>,
    options: CallOptions = {},
  ): Promise<MessageStream<Request, Response>> {
    const { clock } = this.channel;
    const deadline = options.timeoutMs === undefined ? undefined : clock.monotonic() + options.timeoutMs;
    try {
      const connection = await this.channel.connection(deadline);
      const timeoutMs = deadline === undefined ? undefined : Math.max(1, deadline - clock.monotonic());
      const stream = connection.stream(method.path, {
        metadata: this.#metadata(options),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      });
      return messageStream(method, stream, deadline !== undefined);
    } catch (error) {
      throw clientError(error, deadline !== undefined);
    }
  }

  /** Gets a token for the credentials; does nothing without, or when the server has authentication off. @throws {ClientError} */
  async authenticate(timeoutMs: number): Promise<void> {
    const { credentials } = this.#options;
    if (credentials === undefined) return;
    this.#token = undefined;
    try {
      const fields = { name: credentials.user, password: credentials.password };
      const { token } = await this.call(methods.authenticate, fields, { timeoutMs });
      this.#token = token;
    } catch (error) {
      if (error instanceof ClientError && error.description === reasons.authNotEnabled.message) return;
      throw error;
    }
  }

  close(): void {
    this.channel.close();
  }

  /** Once more when no server has begun with it: its connection went away in that moment. As gRPC clients do. */
  async #attempt(
    path: string,
    bytes: Uint8Array,
    deadline: number | undefined,
    options: CallOptions,
  ): Promise<Uint8Array> {
    try {
      return await this.#send(path, bytes, deadline, options);
    } catch (error) {
      if (!(error instanceof GrpcError) || !error.isUnsent) throw error;
      return this.#send(path, bytes, deadline, options);
    }
  }

  async #send(
    path: string,
    bytes: Uint8Array,
    deadline: number | undefined,
    options: CallOptions,
  ): Promise<Uint8Array> {
    const { clock } = this.channel;
    if (deadline !== undefined && deadline <= clock.monotonic()) {
      throw new GrpcError(Code.DeadlineExceeded, "context deadline exceeded");
    }
    const connection = await this.channel.connection(deadline);
    return connection.unary(path, bytes, {
      metadata: this.#metadata(options),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(deadline === undefined ? {} : { timeoutMs: Math.max(1, deadline - clock.monotonic()) }),
    });
  }

  #metadata(options: CallOptions): Metadata {
    return {
      "client-api-version": apiVersion,
      ...(options.requireLeader === true ? { hasleader: "true" } : {}),
      ...(this.#token === undefined ? {} : { token: this.#token }),
    };
  }

  /** Waits when a quorum of the endpoints has been asked once more. */
  #pauseBefore(attempt: number): Promise<void> | undefined {
    const quorum = Math.floor(this.endpoints.length / 2) + 1;
    if (attempt === 0 || attempt % quorum !== 0) return undefined;
    return new Promise((resolve) => this.channel.clock.setTimer(resolve, retryPauseMs));
  }

  #reportFailure(path: string, attempt: number, error: unknown): void {
    this.#options.log.warn("retrying of unary invoker failed", {
      target: `etcd-endpoints://quorate/${targetOf(this.endpoints[0])}`,
      method: path,
      attempt,
      error: error instanceof GrpcError ? statusText(error) : String(error),
    });
  }

  /** True when the server no longer knew our token and a new one was had. */
  async #renewedToken(error: unknown): Promise<boolean> {
    if (this.#options.credentials === undefined || !(error instanceof GrpcError)) return false;
    const hasToken = this.#token !== undefined || this.#renewal !== undefined;
    if (!hasToken && error.message !== reasons.userEmpty.message) return false;
    const stale: readonly string[] = [
      reasons.userEmpty.message,
      reasons.invalidAuthToken.message,
      reasons.authOldRevision.message,
    ];
    if (!stale.includes(error.message)) return false;
    this.#renewal ??= this.#renewToken();
    await this.#renewal;
    return this.#token !== undefined;
  }

  async #renewToken(): Promise<void> {
    try {
      await this.authenticate(this.#options.dialTimeoutMs);
    } finally {
      this.#renewal = undefined;
    }
  }
}

/** An endpoint without its scheme, as Go's client names it. */
function targetOf(endpoint: string): string {
  const { address, authority } = parseEndpoint(endpoint);
  return "path" in address ? address.path : authority;
}

/** Whether a failed call is sent again: reads whenever the member was unavailable, writes only when nothing was sent. */
function mayRetry(method: Method<never, never> | { repeatable: boolean }, error: unknown, endpoints: number): boolean {
  if (!(error instanceof GrpcError)) return false;
  if (error.message === reasons.notSupportedForLearner.message && endpoints > 1) return true;
  if (error.code !== Code.Unavailable) return false;
  return (
    method.repeatable ||
    error.message === "there is no address available" ||
    error.message === "there is no connection available"
  );
}

function encode<Message>(type: MessageFns<Message>, fields: Fields<Message>): Uint8Array {
  const message: Message = { ...type.create(), ...fields };
  return type.encode(message).finish();
}

function messageStream<Request, Response>(
  method: Method<Request, Response>,
  stream: ClientStream,
  hasDeadline: boolean,
): MessageStream<Request, Response> {
  return {
    async send(fields) {
      try {
        await stream.send(encode(method.request, fields));
      } catch (error) {
        throw clientError(error, hasDeadline);
      }
    },
    halfClose: () => stream.halfClose(),
    cancel: () => stream.cancel(),
    async *[Symbol.asyncIterator]() {
      try {
        for await (const bytes of stream) yield method.response.decode(bytes);
      } catch (error) {
        throw clientError(error, hasDeadline);
      }
    },
  };
}

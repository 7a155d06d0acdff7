/**
 * Connections to the endpoints of a cluster: one per endpoint, opened together, each reopened after a loss with growing
 * pauses. A call takes the next usable connection in turn and waits for one when there is none, as a gRPC channel with
 * the round-robin policy does.
 */
import { GrpcClient } from "../grpc/client.ts";
import { GrpcError } from "../grpc/status.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { NetworkError, type Connection, type Network } from "../platform/network.ts";
import type { Random } from "../platform/random.ts";
import type { ClientTls } from "../platform/tls.ts";
import { Code } from "../wire/errors.ts";
import { dialText } from "./dial-text.ts";
import { parseEndpoint, usesTls, type Endpoint } from "./endpoint.ts";

/** First pause after a failed connect, doubled up to the longest one, each varied by a fifth. */
const reconnectMsFirst = 100;
const reconnectMsLongest = 5000;

/** gRPC is spoken over HTTP/2, and servers that can do something else too must know that we want it. */
const alpn = ["h2"];

/** How servers are known, and how they know us. */
export interface ClientSecurity extends Pick<ClientTls, "certFile" | "keyFile" | "caFile"> {
  /** Name that every server's certificate must bear; default: the host of its endpoint. */
  readonly serverName?: string | undefined;
  /** False: whoever answers is taken for the server. Default true. */
  readonly verifiesServer?: boolean;
}

export interface ChannelOptions {
  readonly network: Network;
  readonly clock: Clock;
  /** Varies the pauses between connects. */
  readonly random: Pick<Random, "float">;
  readonly endpoints: readonly string[];
  /** Endpoints that do not say `http://` are reached over TLS. Without it those are that say `https://`. */
  readonly security?: ClientSecurity | undefined;
  readonly log: Logger;
  /** Longest wait for one connection, until the server has said something; 0 = the system's. */
  readonly dialTimeoutMs: number;
  readonly keepaliveTimeMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Ping also while no call is open; default false. */
  readonly pingsWithoutCalls?: boolean;
  /** Largest message sent and received; 0 = the defaults of etcd's client (2 MiB, 2 GiB). */
  readonly maxSendBytes: number;
  readonly maxReceiveBytes: number;
}

/** One endpoint's connection: in one of these states, `ready` being the only one that serves calls. */
type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "greeting"; readonly client: GrpcClient; readonly timer: Timer | undefined }
  | { readonly kind: "ready"; readonly client: GrpcClient }
  | { readonly kind: "waiting"; readonly timer: Timer }
  | { readonly kind: "closed" };

export class Channel {
  readonly #options: ChannelOptions;
  readonly #links: Link[];
  #waiters: ((usable: boolean) => void)[] = [];
  #turn = 0;
  #lastError: string | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    const endpoints = options.endpoints.map(parseEndpoint);
    this.#links = endpoints.map((endpoint) => {
      const isSecure = usesTls(endpoint, endpoints[0], options.security !== undefined);
      return new Link(options, endpoint, isSecure ? tlsFor(endpoint, options) : undefined, {
        ready: () => this.#wake(true),
        failed: (message) => {
          this.#lastError = message;
        },
      });
    });
  }

  get endpoints(): readonly string[] {
    return this.#options.endpoints;
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  /**
   * The next usable connection.
   *
   * @param deadline - monotonic milliseconds; undefined = wait for ever.
   * @throws {GrpcError} DeadlineExceeded, with the last connection error in its text; Canceled after `close`.
   */
  async connection(deadline: number | undefined): Promise<GrpcClient> {
    for (;;) {
      const client = this.#next();
      if (client !== undefined) return client;
      if (this.#links.every((link) => link.isClosed))
        throw new GrpcError(Code.Canceled, "grpc: the client connection is closing");
      if (!(await this.#changed(deadline))) {
        const detail =
          this.#lastError === undefined ? "context deadline exceeded" : `latest balancer error: ${this.#lastError}`;
        throw new GrpcError(Code.DeadlineExceeded, detail);
      }
    }
  }

  close(): void {
    for (const link of this.#links) link.close();
    this.#wake(true);
  }

  #next(): GrpcClient | undefined {
    for (let count = 0; count < this.#links.length; count++) {
      const { client } = this.#links[this.#turn++ % this.#links.length];
      if (client !== undefined) return client;
    }
    return undefined;
  }

  /** Resolves with true when a connection came up or the channel closed, with false at the deadline. */
  #changed(deadline: number | undefined): Promise<boolean> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const timer =
        deadline === undefined
          ? undefined
          : clock.setTimer(() => settle(false), Math.max(0, deadline - clock.monotonic()));
      const settle = (usable: boolean): void => {
        timer?.cancel();
        this.#waiters = this.#waiters.filter((waiter) => waiter !== settle);
        resolve(usable);
      };
      this.#waiters.push(settle);
    });
  }

  #wake(usable: boolean): void {
    for (const waiter of this.#waiters.slice()) waiter(usable);
  }
}

function tlsFor({ serverName }: Endpoint, { security = {}, log }: ChannelOptions): ClientTls {
  return {
    ...security,
    serverName: security.serverName ?? serverName,
    verifiesServer: security.verifiesServer ?? true,
    alpn,
    log,
  };
}

interface LinkEvents {
  ready(): void;
  failed(message: string): void;
}

class Link {
  readonly #options: ChannelOptions;
  readonly #endpoint: Endpoint;
  /** The same object for every connection: what was read from the files hangs on it. */
  readonly #tls: ClientTls | undefined;
  readonly #events: LinkEvents;
  #state: LinkState = { kind: "connecting" };
  #pauseMs = reconnectMsFirst;

  constructor(options: ChannelOptions, endpoint: Endpoint, tls: ClientTls | undefined, events: LinkEvents) {
    this.#options = options;
    this.#endpoint = endpoint;
    this.#tls = tls;
    this.#events = events;
    this.#connect();
  }

  get isClosed(): boolean {
    return this.#state.kind === "closed";
  }

  /** The connection when it can take a call. */
  get client(): GrpcClient | undefined {
    return this.#state.kind === "ready" && this.#state.client.usable ? this.#state.client : undefined;
  }

  close(): void {
    const state = this.#state;
    this.#state = { kind: "closed" };
    if (state.kind === "ready" || state.kind === "greeting") state.client.close();
    if (state.kind === "waiting" || state.kind === "greeting") state.timer?.cancel();
  }

  #connect(): void {
    this.#state = { kind: "connecting" };
    const { network, dialTimeoutMs } = this.#options;
    network.connect(this.#endpoint.address, { timeoutMs: dialTimeoutMs, tls: this.#tls }).then(
      (connection) => this.#connected(connection),
      (error: unknown) => this.#failed(error),
    );
  }

  #connected(connection: Connection): void {
    if (this.isClosed) {
      connection.destroy();
      return;
    }
    if (this.#tls !== undefined && connection.tls?.alpn !== "h2") {
      connection.destroy();
      this.#failed(new NetworkError("ETLS", "credentials: cannot check peer: missing selected ALPN property"));
      return;
    }
    const { clock, dialTimeoutMs, keepaliveTimeMs, keepaliveTimeoutMs, maxSendBytes, maxReceiveBytes } = this.#options;
    const { pingsWithoutCalls = false } = this.#options;
    const client = new GrpcClient(connection, {
      clock,
      authority: this.#endpoint.authority,
      isSecure: this.#tls !== undefined,
      keepaliveTimeMs,
      keepaliveTimeoutMs,
      pingsWithoutCalls,
      ...(maxSendBytes > 0 ? { maxSendBytes } : {}),
      ...(maxReceiveBytes > 0 ? { maxReceiveBytes } : {}),
    });
    // Somebody who accepts and says nothing is no server.
    let isSilent = false;
    const giveUp = (): void => {
      isSilent = true;
      client.close();
    };
    const timer = dialTimeoutMs > 0 ? clock.setTimer(giveUp, dialTimeoutMs) : undefined;
    this.#state = { kind: "greeting", client, timer };
    void client.greeted.then(() => this.#greeted());
    void client.closed.then((error) => {
      if (this.isClosed) return;
      if (this.#state.kind === "greeting") {
        timer?.cancel();
        this.#failedWith(`error reading server preface: ${isSilent ? "i/o timeout" : lossText(error)}`);
      }
      this.#retryLater();
    });
  }

  /** Only now is it known that the server wants to talk to us: under TLS 1.3 it judges our certificate after the handshake. */
  #greeted(): void {
    if (this.#state.kind !== "greeting") return;
    this.#state.timer?.cancel();
    this.#state = { kind: "ready", client: this.#state.client };
    this.#pauseMs = reconnectMsFirst;
    this.#events.ready();
  }

  #failed(error: unknown): void {
    if (this.isClosed) return;
    const isHandshake = error instanceof NetworkError && error.code === "ETLS";
    this.#failedWith(
      isHandshake
        ? `transport: authentication handshake failed: ${error.message}`
        : `transport: Error while dialing: ${dialText(this.#endpoint.address, error)}`,
    );
    this.#retryLater();
  }

  #failedWith(description: string): void {
    this.#events.failed(`connection error: desc = ${JSON.stringify(description)}`);
  }

  #retryLater(): void {
    const { clock, random } = this.#options;
    const pauseMs = this.#pauseMs * (0.8 + 0.4 * random.float());
    this.#pauseMs = Math.min(this.#pauseMs * 2, reconnectMsLongest);
    this.#state = { kind: "waiting", timer: clock.setTimer(() => this.#connect(), pauseMs) };
  }
}

/** What ended a connection before the server said a word. */
function lossText(error: NetworkError | undefined): string {
  if (error === undefined) return "EOF";
  return error.code === "ECONNRESET" ? "read: connection reset by peer" : error.message;
}

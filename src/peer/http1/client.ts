/**
 * The dialing side of HTTP/1.1: one request on one connection. Connections are not used again, as the traffic that counts
 * flows in streams that stay open; but those of requests that say so are, see idle-connections.ts.
 */
import type { Clock, Timer } from "../../platform/clock.ts";
import { NetworkError, type Address, type Connection } from "../../platform/network.ts";
import type { Platform } from "../../platform/platform.ts";
import type { Dial } from "../types.ts";
import { BodyReader, responseFraming } from "./body.ts";
import { encodeHead, HeadReader, HttpSyntaxError, type ResponseHead } from "./head.ts";
import { IdleConnections } from "./idle-connections.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** Scheme, host and port of a peer. */
  readonly base: URL;
  /** With query; for a proxy, which is `base` then, the whole URL. */
  readonly path: string;
  /** Default: that of `base`. */
  readonly host?: string | undefined;
  /** Besides Host, User-Agent and those that `body` needs. */
  readonly fields: readonly (readonly [string, string])[];
  /** Sent with its length. */
  readonly body?: Uint8Array | undefined;
  /** The caller sends a body of its own in chunks, from `connected` on. */
  readonly streamsBody?: boolean | undefined;
  /** Comes often: the connection may be one that answered before, and is kept for the next. Not with `streamsBody`. */
  readonly isFrequent?: boolean | undefined;
}

/** What comes of a request. After `ended` or `failed`, which is called exactly once, nothing comes. */
export interface ResponseHandlers {
  /** The head is sent: with `streamsBody` the chunks may follow, written to `connection`. */
  connected?(connection: Connection): void;
  head(head: ResponseHead): void;
  /** Borrowed until the call returns. */
  data(view: Uint8Array): void;
  ended(): void;
  failed(error: Error): void;
  /** What was written to the connection has been taken. */
  drained?(): void;
}

/** Opens connections and sends requests. */
export class HttpDialer {
  readonly clock: Clock;
  readonly #dial: Dial;
  readonly #dialTimeoutMs: number;
  readonly #open = new Set<HttpExchange>();
  readonly #idle: IdleConnections;

  constructor(options: { platform: Platform; dialTimeoutMs: number; dial?: Dial | undefined }) {
    const { platform } = options;
    this.clock = platform.clock;
    this.#dialTimeoutMs = options.dialTimeoutMs;
    this.#idle = new IdleConnections(this.clock);
    this.#dial = options.dial ?? ((_url, address, timeoutMs) => platform.network.connect(address, { timeoutMs }));
  }

  send(request: HttpRequest, handlers: ResponseHandlers): HttpExchange {
    const exchange = new HttpExchange(request, handlers, this.clock, (self, kept) => {
      this.#open.delete(self);
      if (kept !== undefined) this.#idle.keep(request.base.href, kept);
    });
    this.#open.add(exchange);
    const idle = request.isFrequent === true ? this.#idle.take(request.base.href) : undefined;
    if (idle !== undefined) {
      exchange.isReused = true;
      exchange.start(idle);
      return exchange;
    }
    this.#dial(request.base, addressOf(request.base), this.#dialTimeoutMs).then(
      (connection) => exchange.start(connection),
      (error: unknown) => exchange.fail(error instanceof Error ? error : new Error(String(error))),
    );
    return exchange;
  }

  /** Gives up all requests that are under way; their handlers hear of it. No connection is kept any more. */
  close(): void {
    this.#idle.close();
    for (const exchange of this.#open) exchange.fail(new Error("stopped"));
  }
}

/** One request under way. */
export class HttpExchange {
  /** Monotonic time of the last byte that came; the time of connecting before. */
  lastReceivedMs: number;
  /** The connection had answered another request before: it may be broken without anybody knowing. */
  isReused = false;
  readonly #request: HttpRequest;
  readonly #handlers: ResponseHandlers;
  readonly #clock: Clock;
  /** With the connection, when it can take another request. */
  readonly #over: (self: HttpExchange, kept: Connection | undefined) => void;
  readonly #head = new HeadReader();
  #connection: Connection | undefined;
  #body: BodyReader | undefined;
  #timer: Timer | undefined;
  #isOver = false;
  /** The other side goes on with the connection. */
  #isKept = false;

  constructor(
    request: HttpRequest,
    handlers: ResponseHandlers,
    clock: Clock,
    over: (self: HttpExchange, kept: Connection | undefined) => void,
  ) {
    this.#request = request;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#over = over;
    this.lastReceivedMs = clock.monotonic();
  }

  /** The connection is not there yet; the dial has its own time limit. */
  get isDialing(): boolean {
    return this.#connection === undefined;
  }

  start(connection: Connection): void {
    if (this.#isOver) {
      connection.setHandlers({ data() {}, end() {}, drained() {}, closed() {} });
      connection.destroy();
      return;
    }
    this.#connection = connection;
    this.lastReceivedMs = this.#clock.monotonic();
    connection.setHandlers({
      data: this.#onData,
      end: this.#onEnd,
      drained: () => this.#handlers.drained?.(),
      closed: (error) => this.#onClosed(error),
    });
    connection.write(this.#requestBytes());
    this.#handlers.connected?.(connection);
  }

  /** Fails the request unless it is over within `ms` from now; replaces an earlier limit. */
  expireIn(ms: number, message: string): void {
    this.#timer?.cancel();
    this.#timer = this.#isOver ? undefined : this.#clock.setTimer(() => this.fail(timedOut(message)), ms);
  }

  /** Gives up; the handlers hear of it. */
  fail(error: Error): void {
    if (!this.cancel()) return;
    this.#handlers.failed(error);
  }

  /** Gives up silently. False when it was over already. */
  cancel(): boolean {
    if (this.#isOver) return false;
    this.#finish(undefined);
    this.#connection?.destroy();
    return true;
  }

  #requestBytes(): Uint8Array {
    const { method, base, path, host = base.host, fields, body, streamsBody } = this.#request;
    const all: (readonly [string, string])[] = [["Host", host], ["User-Agent", "quorate"], ...fields];
    if (streamsBody === true) all.push(["Transfer-Encoding", "chunked"]);
    else if (body !== undefined || method === "POST") all.push(["Content-Length", String(body?.length ?? 0)]);
    const head = encodeHead(`${method} ${path} HTTP/1.1`, all);
    return body === undefined ? head : Buffer.concat([head, body]);
  }

  readonly #onData = (chunk: Uint8Array): void => {
    if (this.#isOver) return;
    this.lastReceivedMs = this.#clock.monotonic();
    try {
      let position = 0;
      while (this.#body === undefined) {
        position = this.#head.push(chunk, position);
        if (position < 0) return;
        this.#receiveHead(this.#head.response());
        if (this.#isOver) return;
      }
      position = this.#body.push(chunk, position, this.#sink);
      if (!this.#body.done) return;
      if (this.#isKept && position === chunk.length) this.#endKept();
      else this.#end();
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error; // not the peer's fault
      this.fail(error);
    }
  };

  readonly #sink = (view: Uint8Array): void => {
    if (!this.#isOver) this.#handlers.data(view);
  };

  #receiveHead(head: ResponseHead): void {
    if (head.status < 200) return; // 100 Continue: the real one follows
    this.#body = new BodyReader(responseFraming(head.status, head.fields));
    this.#isKept = this.#request.isFrequent === true && head.fields.get("connection")?.toLowerCase() !== "close";
    this.#handlers.head(head);
  }

  readonly #onEnd = (): void => {
    if (this.#body?.endsWithConnection === true) this.#end();
    else this.fail(new NetworkError("EOF", this.#body === undefined ? "EOF" : "unexpected EOF"));
  };

  #onClosed(error: NetworkError | undefined): void {
    if (this.#isOver) return;
    if (error === undefined) this.#onEnd();
    else this.fail(error);
  }

  #end(): void {
    if (this.cancel()) this.#handlers.ended();
  }

  #endKept(): void {
    if (this.#isOver) return;
    this.#finish(this.#connection);
    this.#handlers.ended();
  }

  #finish(kept: Connection | undefined): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#over(this, kept);
  }
}

function timedOut(message: string): NetworkError {
  return new NetworkError("ETIMEDOUT", message);
}

/** Where a peer URL points. Go resolves localhost to IPv4 first; Node would take whatever the resolver names first. */
export function addressOf(url: URL): Address {
  if (url.protocol === "unix:" || url.protocol === "unixs:") return { path: url.host + url.pathname };
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return { host: host === "localhost" ? "127.0.0.1" : host, port };
}

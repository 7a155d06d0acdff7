/**
 * The accepting side of HTTP/1.1: requests of one connection, one after the other. Each becomes an {@link Exchange},
 * which answers at once, later, or with a stream that takes the connection over.
 *
 * A connection that is silent for five seconds while we wait for it is dropped, as etcd's peer listener does; so is one
 * whose head comes byte by byte without end.
 */
import { emptyBytes } from "../../base/bytes.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import type { Address, Connection } from "../../platform/network.ts";
import { connectionTimeoutMs, headBytesMax, headTimeoutMs, lingerMs } from "../limits.ts";
import { BodyReader, requestFraming } from "./body.ts";
import { encodeHead, HeadReader, HttpSyntaxError, statusText, type RequestHead } from "./head.ts";

/** Where the body of a request goes. */
export interface BodyHandlers {
  /** Borrowed until the call returns. */
  data(view: Uint8Array): void;
  end(): void;
  /** The connection broke before the body was complete. */
  failed(error: Error): void;
}

export type ExchangeHandler = (exchange: Exchange) => void;

export type HeaderFields = readonly (readonly [string, string])[];

export class ServerConnection {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #handler: ExchangeHandler;
  readonly #closed: (self: ServerConnection) => void;
  readonly #head = new HeadReader();
  #exchange: Exchange | undefined;
  /** Received behind the present request. */
  #ahead: Uint8Array = emptyBytes;
  #lastMovedMs: number;
  /** When the head that is being read began; undefined while none is. */
  #headSinceMs: number | undefined;
  #isEnding = false;
  #watch: Timer | undefined;

  constructor(options: {
    connection: Connection;
    clock: Clock;
    handler: ExchangeHandler;
    closed: (self: ServerConnection) => void;
  }) {
    this.#connection = options.connection;
    this.#clock = options.clock;
    this.#handler = options.handler;
    this.#closed = options.closed;
    this.#lastMovedMs = this.#clock.monotonic();
    this.#watch = this.#clock.setTicker(this.#checkLife, connectionTimeoutMs / 5);
    this.#connection.setHandlers({
      data: (chunk) => this.receive(chunk),
      end: () => this.#onEnd(),
      drained: () => undefined,
      closed: () => this.#onClosed(),
    });
  }

  /** Takes bytes of the connection; borrowed. */
  receive(chunk: Uint8Array): void {
    this.#lastMovedMs = this.#clock.monotonic();
    if (this.#isEnding) return;
    try {
      if (this.#ahead.length > 0) this.#putAside(chunk);
      else this.#consume(chunk);
    } catch (error) {
      if (!(error instanceof HttpSyntaxError)) throw error;
      this.#exchange?.abort(error);
      this.#refuse(error);
    }
  }

  destroy(): void {
    this.#connection.destroy();
  }

  #consume(chunk: Uint8Array): void {
    let position = 0;
    while (position < chunk.length && !this.#isEnding) {
      if (this.#exchange === undefined) {
        this.#headSinceMs ??= this.#lastMovedMs;
        position = this.#head.push(chunk, position);
        if (position < 0) return;
        this.#headSinceMs = undefined;
        this.#begin(this.#head.request());
      }
      const exchange = this.#exchange;
      if (exchange === undefined) continue; // answered at once
      position = exchange.receive(chunk, position);
      if (position < chunk.length && this.#exchange === exchange) return this.#putAside(chunk.subarray(position));
    }
  }

  /** The next request came before this one was answered. */
  #putAside(rest: Uint8Array): void {
    if (this.#ahead.length + rest.length > headBytesMax) throw new HttpSyntaxError("too many requests ahead", 431);
    this.#ahead = Buffer.concat([this.#ahead, rest]);
  }

  #begin(head: RequestHead): void {
    if (head.minor > 0 && !head.fields.has("host")) throw new HttpSyntaxError("missing required Host header");
    const exchange = new Exchange(head, new BodyReader(requestFraming(head.fields)), this.#connection, {
      date: () => new Date(this.#clock.now()).toUTCString(),
      answered: (keep) => this.#answered(keep),
      taken: () => this.#handOver(),
    });
    this.#exchange = exchange;
    this.#handler(exchange);
  }

  #answered(keep: boolean): void {
    this.#exchange = undefined;
    this.#lastMovedMs = this.#clock.monotonic();
    if (!keep) return this.#end();
    if (this.#ahead.length > 0) this.#clock.nextTurn(this.#nextAhead); // not from within the handler's answer
  }

  readonly #nextAhead = (): void => {
    const ahead = this.#ahead;
    this.#ahead = emptyBytes;
    this.receive(ahead);
  };

  /** A stream owns the connection now and watches it itself. */
  #handOver(): void {
    this.#watch?.cancel();
    this.#watch = undefined;
    this.#closed(this);
  }

  /** Go's answer to a request that is none. */
  #refuse(error: HttpSyntaxError): void {
    const status = `${error.status} ${statusText(error.status)}`;
    const fields: HeaderFields = [
      ["Content-Type", "text/plain; charset=utf-8"],
      ["Connection", "close"],
    ];
    this.#connection.write(encodeHead(`HTTP/1.1 ${status}`, fields));
    this.#connection.write(Buffer.from(`${status}: ${error.message}`, "latin1"));
    this.#end();
  }

  #end(): void {
    this.#isEnding = true;
    this.#connection.end();
    this.#watch?.cancel();
    this.#watch = this.#clock.setTimer(() => this.#connection.destroy(), lingerMs);
  }

  #onEnd(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || !exchange.isComplete) {
      exchange?.abort(new Error("unexpected EOF"));
      this.#connection.destroy();
    }
    // Else the peer has said all and waits for the answer.
  }

  #onClosed(): void {
    this.#watch?.cancel();
    this.#exchange?.abort(new Error("connection closed"));
    this.#exchange = undefined;
    this.#closed(this);
  }

  /** Silence counts while the peer has to speak, and while it takes nothing of what we say. */
  readonly #checkLife = (): void => {
    const exchange = this.#exchange;
    const isOurTurn = exchange !== undefined && (exchange.isComplete || exchange.isPaused);
    const nowMs = this.#clock.monotonic();
    if (isOurTurn && this.#connection.waitingBytes === 0) this.#lastMovedMs = nowMs;
    const isSilent = nowMs - this.#lastMovedMs > connectionTimeoutMs;
    const isDripping = this.#headSinceMs !== undefined && nowMs - this.#headSinceMs > headTimeoutMs;
    if (isSilent || isDripping) this.#connection.destroy();
  };
}

interface ExchangeOwner {
  date(): string;
  answered(keep: boolean): void;
  taken(): void;
}

/** One request and its answer. Answer exactly once: {@link respond}, {@link stream}, or {@link drop}. */
export class Exchange {
  readonly method: string;
  /** Without the query; always starts with `/`. */
  readonly path: string;
  /** With its `?`; empty without one. */
  readonly query: string;
  /** HTTP/1.0 has no chunks and no second request. */
  readonly isOld: boolean;
  isPaused = false;
  readonly #head: RequestHead;
  readonly #reader: BodyReader;
  readonly #connection: Connection;
  readonly #owner: ExchangeOwner;
  #body: BodyHandlers | undefined;
  #aborted: Error | undefined;
  #isAnswered = false;

  constructor(head: RequestHead, reader: BodyReader, connection: Connection, owner: ExchangeOwner) {
    this.#head = head;
    this.method = head.method;
    const [path, query] = partsOf(head.target);
    this.path = path;
    this.query = query;
    this.isOld = head.minor === 0;
    this.#reader = reader;
    this.#connection = connection;
    this.#owner = owner;
  }

  /** The body has arrived. */
  get isComplete(): boolean {
    return this.#reader.done;
  }

  get remote(): Address {
    return this.#connection.remote;
  }

  /** @param name - in lower case. */
  field(name: string): string | undefined {
    return this.#head.fields.get(name);
  }

  /** Starts the body; call it within the handler. Without it the body is thrown away. */
  readBody(handlers: BodyHandlers): void {
    this.#body = handlers;
    if (!this.#reader.done && this.field("expect")?.toLowerCase() === "100-continue") {
      this.#connection.write(encodeHead("HTTP/1.1 100 Continue", []));
    }
    if (this.#reader.done) handlers.end();
  }

  /** Stops reading the connection, for a body that comes faster than it can be stored. */
  pause(): void {
    this.isPaused = true;
    this.#connection.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.#connection.resume();
  }

  /** Answers with a whole body. Ignored when the peer has gone. */
  respond(status: number, fields: HeaderFields, body: Uint8Array = emptyBytes): void {
    if (this.#isAnswered || this.#aborted !== undefined) return;
    this.#isAnswered = true;
    // A body that we do not want to read to its end ends the connection.
    const keep = this.#reader.done && !this.isOld && this.field("connection")?.toLowerCase() !== "close";
    const all: (readonly [string, string])[] = [...fields, ["Date", this.#owner.date()]];
    if (status !== 204) all.push(["Content-Length", String(body.length)]);
    if (!keep) all.push(["Connection", "close"]);
    const head = encodeHead(`HTTP/1.1 ${status} ${statusText(status)}`, all);
    this.#connection.write(this.method === "HEAD" ? head : Buffer.concat([head, body]));
    if (this.isPaused) this.resume();
    this.#owner.answered(keep);
  }

  /** Answers 200 with an open-ended chunked body; the connection belongs to the caller from now on. */
  stream(fields: HeaderFields): Connection {
    this.#isAnswered = true;
    const all = [...fields, ["Date", this.#owner.date()], ["Transfer-Encoding", "chunked"]] as const;
    this.#owner.taken();
    this.#connection.write(encodeHead("HTTP/1.1 200 OK", all as HeaderFields));
    return this.#connection;
  }

  /** For the connection: body bytes from `position` on; returns where they end. */
  receive(chunk: Uint8Array, position: number): number {
    if (this.#reader.done) return position;
    const end = this.#reader.push(chunk, position, this.#sink);
    if (this.#reader.done && !this.#isAnswered) this.#body?.end();
    return end;
  }

  readonly #sink = (view: Uint8Array): void => {
    if (!this.#isAnswered) this.#body?.data(view);
  };

  /** For the connection: the peer has gone. */
  abort(error: Error): void {
    if (this.#isAnswered || this.#aborted !== undefined) return;
    this.#aborted = error;
    if (!this.#reader.done) this.#body?.failed(error);
  }
}

/** Path and query. */
function partsOf(target: string): [string, string] {
  const path = target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/]*/i, "");
  const query = path.indexOf("?");
  const bare = query < 0 ? path : path.slice(0, query);
  return [bare === "" ? "/" : bare, query < 0 ? "" : path.slice(query)];
}

/**
 * Pages over HTTP/2: a stream that is no gRPC call becomes the request and the answer that a page knows. Only under TLS,
 * where ALPN chooses HTTP/2 for browsers, probes and load balancers too; as in Go, clear text with prior knowledge is gRPC's.
 *
 * A connection carries many requests at once, so what each makes us hold is put on the connection's account
 * (`PageStart.held`), whose limits are those of gRPC calls.
 */
import type { IncomingHttpHeaders } from "node:http";
import { Buffer } from "node:buffer";
import { emptyBytes } from "../base/bytes.ts";
import type { PageStart, PageStreams } from "../grpc/page-streams.ts";
import { ErrorCode } from "../http2/error-code.ts";
import type { HeaderList } from "../http2/hpack-decoder.ts";
import { Http2Stream } from "../http2/stream.ts";
import type { Timer } from "../platform/clock.ts";
import type { PageRequest, PageResponse } from "./page.ts";
import type { HttpServer } from "./server.ts";

/** `write` says stop when more than this waits in the stream. */
const waitingBytesHigh = 64 * 1024;
/**
 * An answer may be complete before its request. The rest of it has so long to arrive before the stream is reset: clients
 * (curl) take a reset that comes with the answer for a failure.
 */
const lingerMs = 1000;

/** @returns what gives the streams of a connection to this server's pages. */
export function http2Pages(server: HttpServer): PageStreams {
  return {
    open(start: PageStart): void {
      const stream = new PageStream(start);
      start.session.register(stream);
      stream.holds(0);
      const expects = stream.request.headers.expect?.toLowerCase() === "100-continue";
      if (expects && !start.receivedEnd) start.sendHeaders(100, []);
      server.serve(stream.request, stream, start.session.connection.tls);
      if (start.receivedEnd) stream.onHeaders();
    },
  };
}

/** A request: its head, and whoever listens to its body. */
class Http2Request implements PageRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly socket: PageRequest["socket"];
  #onData: ((chunk: Buffer) => void) | undefined;
  #onEnd: (() => void) | undefined;

  constructor({ list, method, path, session }: PageStart) {
    const { remote } = session.connection;
    this.method = method;
    this.url = path;
    this.headers = headersOf(list);
    this.socket = "host" in remote ? { remoteAddress: remote.host, remotePort: remote.port } : {};
  }

  on(event: "data" | "end", listener: ((chunk: Buffer) => void) | (() => void)): void {
    if (event === "data") this.#onData = listener;
    else this.#onEnd = listener as () => void;
  }

  /** @param chunk - copied for the listener. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    this.#onData?.(Buffer.from(bytes.subarray(start, end)));
  }

  finish(): void {
    this.#onEnd?.();
  }
}

/** The stream, and the answer on it. */
class PageStream extends Http2Stream implements PageResponse {
  readonly request: Http2Request;
  readonly #start: PageStart;
  readonly #isHead: boolean;
  /** Names in lower case. */
  readonly #headers = new Map<string, string>();
  #isHeadSent = false;
  /** The page has given all of its answer. */
  #isEnded = false;
  /** Complete, or cut off. */
  #isOver = false;
  #needsDrain = false;
  #lingering: Timer | undefined;
  readonly #headBytes: number;
  #heldBytes = 0;
  #onDrain: (() => void) | undefined;
  readonly #onClose: (() => void)[] = [];

  constructor(start: PageStart) {
    super(start.session, start.id, start.receivedEnd);
    this.#start = start;
    this.#isHead = start.method === "HEAD";
    this.request = new Http2Request(start);
    this.#headBytes = sizeOf(start.list);
  }

  // ---- What the page does ----------------------------------------------------------------------------------------

  setHeader(name: string, value: string): void {
    this.#headers.set(name.toLowerCase(), value);
  }

  writeHead(status: number, headers: Record<string, string | number> = {}): void {
    if (this.#isHeadSent || this.#isOver) return;
    this.#isHeadSent = true;
    for (const [name, value] of Object.entries(headers)) this.setHeader(name, String(value));
    if (!this.#headers.has("date")) this.setHeader("date", new Date(this.#start.clock.now()).toUTCString());
    this.#start.sendHeaders(status, [...this.#headers]);
  }

  write(body: string | Uint8Array): boolean {
    if (this.#isOver || this.#isEnded) return true;
    this.writeHead(200);
    if (this.#isHead) return true;
    this.session.enqueue(this, typeof body === "string" ? Buffer.from(body) : body);
    this.session.pumpStream(this);
    this.#needsDrain = this.queuedBytes > waitingBytesHigh;
    return !this.#needsDrain;
  }

  end(body: string | Uint8Array = emptyBytes): void {
    if (this.#isOver || this.#isEnded) return;
    if (body.length > 0) this.write(body);
    else this.writeHead(200);
    if (this.#isOver) return; // the connection was found broken
    this.#isEnded = true;
    if (this.queuedBytes === 0) this.#finish();
  }

  destroy(): void {
    if (this.#isOver) return;
    this.session.resetStream(this, ErrorCode.internalError);
    this.#leave();
  }

  get writableLength(): number {
    return this.queuedBytes;
  }

  on(event: "drain" | "close", listener: () => void): void {
    if (event === "drain") this.#onDrain = listener;
    else this.#onClose.push(listener);
  }

  holds(bytes: number): void {
    const change = (this.#isOver ? 0 : this.#headBytes + bytes) - this.#heldBytes;
    this.#heldBytes += change;
    if (change !== 0) this.#start.held(change);
  }

  // ---- What the session tells ------------------------------------------------------------------------------------

  onData(bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.session.consumed(this, end - start);
    if (end > start && !this.#isEnded) this.request.receive(bytes, start, end);
    if (endStream) this.onHeaders();
  }

  /** The request is complete; trailers mean nothing to a page. */
  onHeaders(): void {
    this.#lingering?.cancel();
    if (!this.#isOver) this.request.finish();
  }

  onQueueEmpty(): void {
    if (this.#isOver) return;
    if (this.#isEnded) {
      this.#finish();
    } else if (this.#needsDrain) {
      this.#needsDrain = false;
      this.#onDrain?.();
    }
  }

  onAborted(): void {
    this.#lingering?.cancel();
    this.#leave();
  }

  #finish(): void {
    const { session } = this;
    session.beginData(this, 0, true);
    if (this.receivedEnd) session.finished(this);
    else this.#lingering = this.#start.clock.setTimer(() => session.finished(this), lingerMs);
    this.#leave();
  }

  #leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.holds(0);
    for (const listener of this.#onClose.splice(0)) listener();
  }
}

/** As node:http gives them: several fields of a name are joined, and the authority is the host. */
function headersOf(list: HeaderList): IncomingHttpHeaders {
  const headers: Record<string, string> = {};
  for (let index = 0; index < list.count; index++) {
    const { name, value } = list.fields[index];
    if (name === ":authority") headers["host"] = value;
    if (name.startsWith(":")) continue;
    const earlier = headers[name];
    if (earlier === undefined) headers[name] = value;
    else if (!onlyOnce.has(name)) headers[name] = `${earlier}${name === "cookie" ? "; " : ", "}${value}`;
  }
  return headers;
}

function sizeOf(list: HeaderList): number {
  let size = 0;
  for (let index = 0; index < list.count; index++) size += list.fields[index].size;
  return size;
}

/** Further fields of these names are dropped, as node:http does. */
const onlyOnce = new Set(["authorization", "content-length", "content-type", "host", "origin", "user-agent"]);

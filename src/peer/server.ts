/**
 * The peer port: accepts connections, reads HTTP/1.1 requests and routes them by path. The transport registers the raft
 * endpoints, `pages.ts` the others.
 */
import type { Connection } from "../platform/network.ts";
import type { Platform } from "../platform/platform.ts";
import { emptyBytes, joinBytes } from "../base/bytes.ts";
import { cleanPath } from "../base/clean-path.ts";
import { ServerConnection, type Exchange, type ExchangeHandler, type HeaderFields } from "./http1/server-connection.ts";

/** Open connections; more are closed at once. A cluster of seven needs about fifty. */
const connectionsMax = 4096;

export class PeerServer {
  readonly #platform: Platform;
  readonly #paths = new Map<string, ExchangeHandler>();
  readonly #prefixes: (readonly [string, ExchangeHandler])[] = [];
  readonly #connections = new Set<ServerConnection>();
  #isClosed = false;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** @param path - exact, or ending with `/` for all paths below it. */
  route(path: string, handler: ExchangeHandler): void {
    if (path.endsWith("/")) this.#prefixes.push([path, handler]);
    else this.#paths.set(path, handler);
  }

  /** @param firstBytes - what was read from the connection already; borrowed. */
  handleConnection(connection: Connection, firstBytes: Uint8Array = emptyBytes): void {
    if (this.#isClosed || this.#connections.size >= connectionsMax) {
      connection.destroy();
      return;
    }
    const served = new ServerConnection({
      connection,
      clock: this.#platform.clock,
      handler: (exchange) => this.#route(exchange),
      closed: (self) => this.#connections.delete(self),
    });
    this.#connections.add(served);
    if (firstBytes.length > 0) served.receive(firstBytes);
  }

  /** Drops every connection, except those that became streams: they belong to the transport. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.destroy();
  }

  #route(exchange: Exchange): void {
    const { path } = exchange;
    const cleaned = cleanPath(path);
    if (cleaned !== path) return redirect(exchange, cleaned);
    const handler = this.#paths.get(path) ?? this.#prefixes.find(([prefix]) => path.startsWith(prefix))?.[1];
    if (handler !== undefined) handler(exchange);
    else if (this.#prefixes.some(([prefix]) => prefix === `${path}/`)) redirect(exchange, `${path}/`);
    else respondError(exchange, 404, "404 page not found");
  }
}

/** As Go's router sends a client to the path that it meant. */
function redirect(exchange: Exchange, path: string): void {
  const location = path + exchange.query;
  const escaped = location
    .replaceAll("&", "&amp;")
    .replaceAll('"', "&#34;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
  const isRead = exchange.method === "GET" || exchange.method === "HEAD";
  const page = isRead ? `<a href="${escaped}">Temporary Redirect</a>.\n\n` : "";
  const html: HeaderFields = isRead ? [["Content-Type", "text/html; charset=utf-8"]] : [];
  exchange.respond(307, [["Location", location], ...html], Buffer.from(page));
}

/** Plain text with a newline, as Go's `http.Error` writes it. */
export function respondError(exchange: Exchange, status: number, text: string, fields: HeaderFields = []): void {
  exchange.respond(
    status,
    [...fields, ["Content-Type", "text/plain; charset=utf-8"], ["X-Content-Type-Options", "nosniff"]],
    Buffer.from(`${text}\n`),
  );
}

/** False when the method is another one; it is answered then. */
export function onlyMethod(exchange: Exchange, method: "GET" | "POST"): boolean {
  if (exchange.method === method) return true;
  respondError(exchange, 405, "Method Not Allowed", [["Allow", method]]);
  return false;
}

/**
 * Reads a whole body of at most `bytesMax` bytes.
 *
 * @param done - undefined when it is larger or the connection broke (an answer reaches nobody then).
 */
export function readWhole(
  exchange: Exchange,
  bytesMax: number,
  done: (body: Uint8Array | undefined, tooLarge: boolean) => void,
): void {
  const parts: Uint8Array[] = [];
  let size = 0;
  exchange.readBody({
    data(view) {
      size += view.length;
      if (size > bytesMax) {
        parts.length = 0;
        done(undefined, true);
      } else {
        parts.push(new Uint8Array(view));
      }
    },
    end() {
      if (size <= bytesMax) done(joinBytes(parts, size), false);
    },
    failed() {
      if (size <= bytesMax) done(undefined, false);
    },
  });
}

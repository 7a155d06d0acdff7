/**
 * HTTP/1.1 on sockets that others accepted: routes by path to pages, applies the access rules, and closes cleanly.
 * Go's timeouts: five minutes for the header of a request, none for the rest.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { answeredByRules, type AccessRules } from "./access.ts";
import { notFound, type Page } from "./responses.ts";

const headerTimeoutMs = 5 * 60_000;
/** Largest header of a request, Go's default. */
const headerBytesMax = 1024 * 1024;

export interface HttpServerOptions {
  /** Exact paths. */
  readonly pages: ReadonlyMap<string, Page>;
  /** Tried in order when no exact path fits; a prefix ends with `/`. */
  readonly prefixes?: readonly (readonly [string, Page])[];
  /** Undefined: no host or origin checks (metrics and peer listeners). */
  readonly access?: AccessRules | undefined;
}

export class HttpServer {
  readonly #server: Server;
  readonly #options: HttpServerOptions;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { maxHeaderSize: headerBytesMax, headersTimeout: headerTimeoutMs, requestTimeout: 0, keepAliveTimeout: 0 },
      (request, response) => this.#route(request, response),
    );
  }

  /** Serves a socket whose first bytes were pushed back into it. */
  handleSocket(socket: Duplex): void {
    this.#server.emit("connection", socket);
  }

  /** Ends idle connections now and the others after their answer. */
  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  /** Ends every connection. */
  destroy(): void {
    this.#server.closeAllConnections();
  }

  #route(request: IncomingMessage, response: ServerResponse): void {
    const { access, pages, prefixes = [] } = this.#options;
    if (access !== undefined && answeredByRules(access, request, response)) return;
    let url: URL;
    try {
      url = new URL(request.url ?? "/", "http://member");
    } catch {
      notFound(response);
      return;
    }
    const page = pages.get(url.pathname) ?? prefixes.find(([prefix]) => url.pathname.startsWith(prefix))?.[1];
    if (page === undefined) notFound(response);
    else page(request, response, url);
  }
}

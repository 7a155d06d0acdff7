/**
 * HTTP/1.1 on sockets that others accepted: routes by path to pages, applies the access rules, and closes cleanly.
 * Go's timeouts: five minutes for the header of a request, none for the rest.
 */
import { createServer, ServerResponse, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { answeredByRules, type AccessRules } from "./access.ts";
import { cleanPath } from "./clean-path.ts";
import { notFound, redirect, type Page } from "./responses.ts";

const headerTimeoutMs = 5 * 60_000;
/** Largest header of a request, Go's default. */
const headerBytesMax = 1024 * 1024;

/** Path prefixes of old API versions → what they mean now. */
const formerPrefix = "/v3beta/";
const presentPrefix = "/v3/";

/**
 * Takes over the socket of a request that asks for another protocol; `head` are bytes that came behind the request.
 */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Uint8Array, url: URL) => void;

export interface HttpServerOptions {
  /** Exact paths. */
  readonly pages: ReadonlyMap<string, Page>;
  /** Tried in order when no exact path fits; a prefix ends with `/`. */
  readonly prefixes?: readonly (readonly [string, Page])[];
  /** WebSockets, by prefix; an upgrade to anything else, or elsewhere, is answered as if it had not been asked for. */
  readonly upgrades?: readonly (readonly [string, Upgrade])[];
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
    if (options.upgrades !== undefined) {
      this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Uint8Array) =>
        this.#upgrade(request, socket, head),
      );
    }
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
    const url = this.#urlOf(request);
    if (url === undefined) return notFound(response);
    const path = cleanPath(url.pathname);
    const page = pages.get(path) ?? prefixes.find(([prefix]) => path.startsWith(prefix))?.[1];
    if (prefixes.some(([prefix]) => prefix === `${path}/`)) redirect(request, response, `${path}/${url.search}`);
    else if (path !== url.pathname) redirect(request, response, path + url.search);
    else if (page === undefined) notFound(response);
    else page(request, response, url);
  }

  /** Hands a WebSocket to whom it asks for. Anything else is answered as a plain request, on the last answer of the socket. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    const url = this.#urlOf(request);
    const isWebSocket = request.headers.upgrade?.toLowerCase() === "websocket";
    const upgrade = this.#options.upgrades?.find(([prefix]) => url?.pathname.startsWith(prefix) === true)?.[1];
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    // Node's types want a net.Socket; any duplex stream will do.
    response.assignSocket(socket as Parameters<ServerResponse["assignSocket"]>[0]);
    response.once("finish", () => socket.end());
    if (!isWebSocket || upgrade === undefined || url === undefined) return this.#route(request, response);
    const { access } = this.#options;
    if (access !== undefined && answeredByRules(access, request, response)) return;
    response.detachSocket(socket as Parameters<ServerResponse["detachSocket"]>[0]);
    upgrade(request, socket, head, url);
  }

  /** The request's target with its dot segments resolved and former prefixes brought up to date; undefined when it is none. */
  #urlOf(request: IncomingMessage): URL | undefined {
    const target = request.url ?? "/";
    let url: URL;
    try {
      url = new URL(target.startsWith("/") ? `http://member${target}` : target);
    } catch {
      return undefined;
    }
    const isFormer = this.#options.access !== undefined && url.pathname.startsWith(formerPrefix);
    if (isFormer) url.pathname = presentPrefix + url.pathname.slice(formerPrefix.length);
    return url;
  }
}

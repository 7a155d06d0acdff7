/**
 * HTTP/1.1 on sockets that others accepted: routes by path to pages, applies the access rules, and closes cleanly.
 * Go's timeouts: five minutes for the head of a request, none for the rest.
 */
import { createServer, ServerResponse, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { cleanPath } from "../base/clean-path.ts";
import type { Clock } from "../platform/clock.ts";
import type { TlsIdentity } from "../platform/network.ts";
import { answeredByRules, type AccessRules } from "./access.ts";
import { HttpConnections } from "./connections.ts";
import type { Page, PageRequest, PageResponse } from "./page.ts";
import { notFound, redirect } from "./responses.ts";

/** etcd's `ReadHeaderTimeout`. */
const defaultHeadTimeoutMs = 5 * 60_000;
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
  readonly clock: Clock;
  /** From the first byte of a request to the end of its head; default five minutes. */
  readonly headTimeoutMs?: number;
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
  readonly #identities = new WeakMap<Duplex, TlsIdentity>();
  readonly #connections: HttpConnections;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#connections = new HttpConnections(options.clock, options.headTimeoutMs ?? defaultHeadTimeoutMs);
    this.#server = createServer({ maxHeaderSize: headerBytesMax, keepAliveTimeout: 0 }, (request, response) => {
      this.#connections.began(request, response);
      this.serve(request, response, this.#identities.get(request.socket));
    });
    if (options.upgrades !== undefined) {
      this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Uint8Array) =>
        this.#upgrade(request, socket, head),
      );
    }
  }

  /** Serves a socket whose first bytes were pushed back into it. @param tls - what the client proved, under TLS. */
  handleSocket(socket: Duplex, tls?: TlsIdentity): void {
    if (tls !== undefined) this.#identities.set(socket, tls);
    this.#connections.add(socket);
    this.#server.emit("connection", socket);
  }

  /** Answers one request, of whatever version of HTTP. @param tls - what the client proved, under TLS. */
  serve(request: PageRequest, response: PageResponse, tls: TlsIdentity | undefined): void {
    const { access, pages, prefixes = [] } = this.#options;
    const url = this.#urlOf(request);
    if (access !== undefined && answeredByRules(access, request, response, { tls, path: url?.pathname })) return;
    if (url === undefined) return notFound(response);
    const path = cleanPath(rawPath(request, url));
    const page = pages.get(path) ?? prefixes.find(([prefix]) => path.startsWith(prefix))?.[1];
    if (prefixes.some(([prefix]) => prefix === `${path}/`)) redirect(request, response, `${path}/${url.search}`);
    else if (path !== rawPath(request, url)) redirect(request, response, path + url.search);
    else if (page === undefined) notFound(response);
    else page(request, response, url);
  }

  /** Ends idle connections now and the others after their answer. */
  close(): void {
    this.#connections.close();
  }

  /** Ends every connection. */
  destroy(): void {
    this.#connections.destroy();
  }

  /** Hands a WebSocket to whom it asks for; the wish for anything else (h2c) is left unheard, as in Go. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    this.#connections.handedOver(socket);
    const url = this.#urlOf(request);
    const isWebSocket = request.headers.upgrade?.toLowerCase() === "websocket";
    const upgrade = this.#options.upgrades?.find(([prefix]) => url?.pathname.startsWith(prefix) === true)?.[1];
    if (!isWebSocket || upgrade === undefined || url === undefined)
      return this.#serveWithoutUpgrade(request, socket, head);
    const { access } = this.#options;
    if (access !== undefined && this.#refusedByRules(access, request, socket, url)) return;
    upgrade(request, socket, head, url);
  }

  /** Node has given the request up to the upgrade, its body included: it is read once more, without the wish. */
  #serveWithoutUpgrade(
    { method, url, httpVersion, rawHeaders }: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
  ): void {
    const lines = [`${method} ${url} HTTP/${httpVersion}`];
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const [name, value] = [rawHeaders[at], rawHeaders[at + 1]];
      if (!/^(upgrade|http2-settings|connection)$/i.test(name)) lines.push(`${name}: ${value}`);
      else if (/^connection$/i.test(name) && /\bclose\b/i.test(value)) lines.push("Connection: close");
    }
    if (head.length > 0) socket.unshift(head);
    socket.unshift(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"));
    this.handleSocket(socket);
    socket.resume();
  }

  /** Applies the rules to a request whose answer is not Node's to give any more. */
  #refusedByRules(access: AccessRules, request: IncomingMessage, socket: Duplex, url: URL): boolean {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    // Node's types want a net.Socket; any duplex stream will do.
    const bare = socket as Parameters<ServerResponse["assignSocket"]>[0];
    response.assignSocket(bare);
    response.once("finish", () => socket.end());
    if (answeredByRules(access, request, response, { tls: this.#identities.get(socket), path: url.pathname }))
      return true;
    response.detachSocket(bare);
    return false;
  }

  /** The request's target, with former prefixes brought up to date; undefined when it is none. */
  #urlOf(request: PageRequest): URL | undefined {
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

/** The path as it stands in the request: a URL has its dot segments resolved, but Go sends the client to the clean path. */
function rawPath({ url: target = "/" }: PageRequest, url: URL): string {
  if (!/\/\.{1,2}(?=[/?]|$)/.test(target) || !target.startsWith("/")) return url.pathname;
  return target.replace(/\?.*$/s, "");
}

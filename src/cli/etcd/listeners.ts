/**
 * The member's sockets: listen URLs become bound listeners; what they accept waits until the member is ready and is
 * then sniffed and handed to gRPC or HTTP.
 */
import type { Duplex } from "node:stream";
import { sniffConnection } from "../../http2/sniff.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import type { PeerServer } from "../../peer/server.ts";
import { http2Pages } from "../../http/http2-pages.ts";
import type { HttpServer } from "../../http/server.ts";
import type { ConnectionPlaces } from "../../platform/connection-places.ts";
import { NetworkError, type Address, type Connection, type Listener } from "../../platform/network.ts";
import type { Platform } from "../../platform/platform.ts";
import type { ServerTls } from "../../platform/tls.ts";
import { isSecureUrl } from "./tls-settings.ts";

/** Most connections that wait for the member to become ready; more are closed at once. */
const waitingConnectionsMax = 4096;

/** A port that cannot be had; the text is Go's. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/**
 * What a listener serves. In clear text HTTP/2 is gRPC's and HTTP/1.1 the pages'; under TLS the pages are there by both.
 * A client whose protocol has nothing to serve it is closed.
 */
export interface Service {
  /** Owner of all HTTP/2 connections. */
  readonly grpc?: GrpcServer | undefined;
  readonly http?: HttpServer | undefined;
  /** False: this listener has pages only. Default true. */
  readonly takesCalls?: boolean | undefined;
  /** Takes HTTP/1.1 clients in place of `http`: what members ask each other. */
  readonly peers?: PeerServer | undefined;
}

/** Bound sockets of one kind (client, peer, metrics). Owner of the listeners and of connections that still wait. */
export class Listeners {
  readonly #platform: Platform;
  readonly #listeners: Listener[] = [];
  readonly #secure = new Set<Listener>();
  readonly #waiting: Connection[] = [];
  readonly #places: ConnectionPlaces;
  readonly #reusesPort: boolean;
  #service: Service | undefined;

  /** @param places - may be shared with others. @param options - `reusesPort`: other processes may listen there too. */
  constructor(platform: Platform, places: ConnectionPlaces, { reusesPort = false } = {}) {
    this.#platform = platform;
    this.#places = places;
    this.#reusesPort = reusesPort;
  }

  /**
   * Binds one URL. Accepted connections wait for {@link serve}.
   *
   * @param tls - for a URL that is secure; left aside for others.
   * @throws {ListenError} `listen tcp 127.0.0.1:2379: bind: address already in use`.
   */
  async bind(url: string, tls?: ServerTls): Promise<void> {
    const address = toAddress(url);
    if ("path" in address && this.#platform.disk.exists(address.path)) this.#platform.disk.remove(address.path);
    try {
      const options = { tls: isSecureUrl(url) ? tls : undefined, places: this.#places, reusesPort: this.#reusesPort };
      const accept = (connection: Connection): void => this.#accept(connection);
      const listener = await this.#platform.network.listen(address, accept, options);
      this.#listeners.push(listener);
      if (isSecureUrl(url)) this.#secure.add(listener);
    } catch (cause) {
      if (cause instanceof NetworkError && cause.code === "ETLS") throw new ListenError(cause.message, { cause });
      throw new ListenError(listenErrorText(address, cause), { cause });
    }
  }

  /** Starts serving what waits and what comes. */
  serve(service: Service): void {
    this.#service = service;
    for (const connection of this.#waiting.splice(0)) this.#hand(connection, service);
  }

  get addresses(): Address[] {
    return this.#listeners.map((listener) => listener.address);
  }

  /** Their addresses, and whether they are under TLS. */
  get doors(): { readonly address: Address; readonly isSecure: boolean }[] {
    return this.#listeners.map((listener) => ({ address: listener.address, isSecure: this.#secure.has(listener) }));
  }

  /** Stops accepting; connections live on in their servers. */
  async close(): Promise<void> {
    for (const connection of this.#waiting.splice(0)) connection.destroy();
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  #accept(connection: Connection): void {
    if (this.#service !== undefined) this.#hand(connection, this.#service);
    else if (this.#waiting.length < waitingConnectionsMax) this.#waiting.push(connection);
    else connection.destroy();
  }

  #hand(connection: Connection, { grpc, http, peers, takesCalls = true }: Service): void {
    const pages = http === undefined || connection.tls === undefined ? undefined : http2Pages(http);
    sniffConnection(connection, this.#platform.clock, {
      http2(accepted, firstBytes) {
        if (grpc === undefined || (pages === undefined && !takesCalls)) accepted.destroy();
        else grpc.handleConnection(accepted, firstBytes, pages && { pages, takesCalls });
      },
      http1(accepted, firstBytes) {
        if (peers !== undefined) {
          peers.handleConnection(accepted, firstBytes);
          return;
        }
        if (http === undefined) {
          accepted.destroy();
          return;
        }
        const socket = accepted.detach() as Duplex;
        socket.unshift(firstBytes);
        http.handleSocket(socket, accepted.tls);
        socket.resume();
      },
    });
  }
}

/** `http://host:port`, or `unix://name:port`, which names the socket file `name:port`. */
function toAddress(url: string): Address {
  const unix = /^unixs?:\/\/(.*)$/.exec(url);
  if (unix !== null) return { path: unix[1] };
  const host = url.replace(/^https?:\/\//, "").replace(/[/?#].*$/, "");
  const colon = host.lastIndexOf(":");
  const name = host.slice(0, colon).replace(/^\[|\]$/g, "");
  // Go resolves localhost to IPv4 first; Node would take whatever the resolver names first.
  return { host: name === "localhost" ? "127.0.0.1" : name, port: Number(host.slice(colon + 1)) };
}

/** `listen tcp 127.0.0.1:2379: bind: address already in use`, Go's words. */
export function listenErrorText(address: Address, cause: unknown): string {
  return `${describe(address)}: ${reason(cause)}`;
}

function describe(address: Address): string {
  if ("path" in address) return `listen unix ${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `listen tcp ${host}:${address.port}`;
}

function reason(cause: unknown): string {
  if (!(cause instanceof NetworkError)) return cause instanceof Error ? cause.message : String(cause);
  switch (cause.code) {
    case "EADDRINUSE":
      return "bind: address already in use";
    case "EACCES":
      return "bind: permission denied";
    case "EADDRNOTAVAIL":
      return "bind: cannot assign requested address";
    default:
      return `bind: ${cause.message}`;
  }
}

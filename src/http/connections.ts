/**
 * The open connections of an HTTP/1.1 server. Node's own bookkeeping (`headersTimeout`, `closeIdleConnections`,
 * `closeAllConnections`) begins with `listen`, and our servers never listen: their sockets were accepted by others.
 *
 *     handleSocket ─► a head is awaited ─► a request is under way ─► idle ─► (first byte) a head is awaited ...
 *                         └ too long: closed
 *
 * A client that sends its head byte by byte ("slowloris") holds its place for a limited time only.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../platform/clock.ts";

/** How often the waiting ones are looked at; a head is given up at most this much late. */
const checksPerTimeout = 20;
const checkPeriodMaxMs = 1000;

/** Node's sockets, TLS or not, count what they have read. */
type CountingSocket = Duplex & { readonly bytesRead?: number };

interface Place {
  /** When the head that is awaited began; undefined while a request is under way or nothing of the next one has come. */
  awaitingSinceMs: number | undefined;
  /** Requests that are not answered yet; more than one when they were sent ahead. */
  underWay: number;
  /** What had been read when the connection became idle. */
  idleAtBytes: number;
}

export class HttpConnections {
  readonly #clock: Clock;
  readonly #headTimeoutMs: number;
  readonly #places = new Map<CountingSocket, Place>();
  #checking: Timer | undefined;
  #isClosing = false;

  /** @param headTimeoutMs - from the first byte of a request to the end of its head. */
  constructor(clock: Clock, headTimeoutMs: number) {
    this.#clock = clock;
    this.#headTimeoutMs = headTimeoutMs;
  }

  get count(): number {
    return this.#places.size;
  }

  /** A socket that has just said something, or says its request once more. */
  add(socket: CountingSocket): void {
    const isNew = !this.#places.has(socket);
    this.#places.set(socket, { awaitingSinceMs: this.#clock.monotonic(), underWay: 0, idleAtBytes: 0 });
    if (!isNew) return;
    socket.once("close", () => this.#remove(socket));
    const periodMs = Math.min(checkPeriodMaxMs, this.#headTimeoutMs / checksPerTimeout);
    this.#checking ??= this.#clock.setTicker(() => this.#check(), periodMs);
  }

  /** The head of a request is complete. */
  began({ socket }: IncomingMessage, response: ServerResponse): void {
    const place = this.#places.get(socket);
    if (place === undefined) return;
    place.awaitingSinceMs = undefined;
    place.underWay++;
    response.once("close", () => {
      if (--place.underWay > 0) return;
      place.idleAtBytes = bytesRead(socket);
      if (this.#isClosing) socket.end();
    });
  }

  /** The socket speaks another protocol from here on; it is ended by {@link destroy} only. */
  handedOver(socket: CountingSocket): void {
    const place = this.#places.get(socket);
    if (place === undefined) return;
    place.awaitingSinceMs = undefined;
    place.underWay++;
  }

  /** Ends connections without a request now, the others after their answer. */
  close(): void {
    this.#isClosing = true;
    for (const [socket, place] of this.#places) if (place.underWay === 0) socket.destroy();
  }

  destroy(): void {
    for (const socket of this.#places.keys()) socket.destroy();
  }

  #remove(socket: CountingSocket): void {
    this.#places.delete(socket);
    if (this.#places.size > 0) return;
    this.#checking?.cancel();
    this.#checking = undefined;
  }

  #check(): void {
    const nowMs = this.#clock.monotonic();
    for (const [socket, place] of this.#places) {
      if (place.underWay > 0) continue;
      if (place.awaitingSinceMs === undefined) {
        if (bytesRead(socket) > place.idleAtBytes) place.awaitingSinceMs = nowMs;
      } else if (nowMs - place.awaitingSinceMs > this.#headTimeoutMs) {
        socket.destroy();
      }
    }
  }
}

function bytesRead(socket: CountingSocket): number {
  return socket.bytesRead ?? 0;
}

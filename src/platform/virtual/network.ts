/**
 * A virtual network: hosts joined by byte streams in memory. Bytes arrive in order, in the pieces they were written in,
 * after the delay of their link. What can go wrong is what can go wrong with TCP:
 *
 * ```text
 *   cut link         bytes wait, as TCP sends them again, until it is healed; one way or both
 *   lossy, slow link bytes come later: pieces are sent again after 200 ms, 400 ms, ...
 *   reset            both ends hear that the connection is lost
 *   process ends     the other end hears of it
 *   power fails      the other end hears nothing (half-open), until the host is up again and refuses what it gets, or
 *                    TCP's keep-alive notices
 * ```
 *
 * TCP neither reorders nor doubles bytes, so this does not either.
 */
import {
  type Address,
  type Connection,
  type ConnectionHandlers,
  type Listener,
  type Network,
  NetworkError,
} from "../network.ts";
import type { Clock } from "../clock.ts";
import { SeededRandom } from "./random.ts";
import type { VirtualNames } from "./resolver.ts";

/** As on a real socket: `write` says false beyond it. */
const WAITING_BYTES_HIGH = 256 << 10;
const FIRST_FREE_PORT = 40_000;
/** First timeout after which TCP sends again; it doubles. */
const RETRANSMIT_MS = 200;
/** What Linux does by default when nobody answers a connect. */
const CONNECT_TIMEOUT_MS = 130_000;

/** As the Node binding sets it: when a silent connection is asked whether it lives, and for how long. */
const KEEP_ALIVE_MS = 30_000;
const KEEP_ALIVE_PROBES_MS = 10_000;

/** The clock of a process on the network: it lets what arrives happen in the process, and tells time without it. */
export interface ProcessClock extends Clock {
  /** A turn of the process; nothing happens when it is dead. */
  run(callback: () => void): void;
  /** Time of the world, which goes on when the process is paused or dead. */
  worldMs(): number;
  /** Calls back in the world, whatever becomes of the process. */
  afterInWorld(delayMs: number, callback: () => void): void;
}

/** One direction between two hosts; may be changed at any time. */
export interface Link {
  isCut: boolean;
  /** Undefined: that of the network. */
  delayMs: number | undefined;
  /** Up to this much more, for each piece. */
  jitterMs: number;
  /** Share of the pieces that are lost, and sent again. */
  lossRate: number;
}

export class VirtualInternet {
  /** One way, in virtual milliseconds, of links that say nothing else. */
  delayMs = 0.05;
  readonly listeners = new Map<string, VirtualListener>();
  /** What the DNS of this world knows. */
  readonly names: VirtualNames = { addresses: new Map(), services: new Map() };
  /** Told of every piece that arrives. */
  onArrival: ((from: string, to: string, bytes: Uint8Array) => void) | undefined;
  readonly #links = new Map<string, Link>();
  readonly #random: SeededRandom;
  readonly #connections = new Set<VirtualConnection>();
  readonly #down = new Set<string>();
  #nextPort = FIRST_FREE_PORT;
  #held: { readonly from: string; readonly to: string; readonly deliver: () => void }[] = [];

  /** @param seed - decides jitter and losses. */
  constructor(seed = 1) {
    this.#random = new SeededRandom(seed);
  }

  /** The network as the host named `host` sees it; its own addresses are that name, `127.0.0.1` and `localhost`. */
  join(host: string, clock: ProcessClock): Network {
    if (this.#down.delete(host)) this.#release();
    return new HostNetwork(this, host, clock);
  }

  freePort(): number {
    return this.#nextPort++;
  }

  link(from: string, to: string): Link {
    const name = `${from} ${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = { isCut: false, delayMs: undefined, jitterMs: 0, lossRate: 0 };
      this.#links.set(name, link);
    }
    return link;
  }

  /** Nothing passes between two hosts, in both directions, until {@link heal}. */
  cut(a: string, b: string): void {
    this.cutOneWay(a, b);
    this.cutOneWay(b, a);
  }

  cutOneWay(from: string, to: string): void {
    this.link(from, to).isCut = true;
  }

  heal(a: string, b: string): void {
    this.link(a, b).isCut = false;
    this.link(b, a).isCut = false;
    this.#release();
  }

  /** All links are as new. */
  healAll(): void {
    this.#links.clear();
    this.#release();
  }

  /** All connections of a host are lost, and both ends hear of it. */
  reset(host: string): void {
    for (const connection of this.#connections) {
      if (connection.host === host || connection.peer?.host === host) connection.lose();
    }
  }

  /**
   * The process on a host is gone; call it when its clock was stopped.
   *
   * @param how - `killed`: the system closes its connections. `powerFailed`: nobody hears of it, and until the host joins
   * again nobody answers there.
   */
  leave(host: string, how: "killed" | "powerFailed"): void {
    for (const [key, listener] of this.listeners) if (listener.host === host) this.listeners.delete(key);
    if (how === "powerFailed") this.#down.add(host);
    for (const connection of this.#connections) if (connection.host === host) connection.abandon(how);
  }

  isDown(host: string): boolean {
    return this.#down.has(host);
  }

  /** Delivers at once, or when the link is whole again and the host up. */
  pass(from: string, to: string, deliver: () => void): void {
    if (this.#links.get(`${from} ${to}`)?.isCut === true || this.#down.has(to)) this.#held.push({ from, to, deliver });
    else deliver();
  }

  /** Whether something that is not sent again would get through now. */
  isOpen(from: string, to: string): boolean {
    return this.#links.get(`${from} ${to}`)?.isCut !== true && !this.#down.has(to);
  }

  /** How long the next piece travels. */
  travelMs(from: string, to: string): number {
    const link = this.#links.get(`${from} ${to}`);
    if (link === undefined) return this.delayMs;
    let delayMs = (link.delayMs ?? this.delayMs) + (link.jitterMs > 0 ? this.#random.float() * link.jitterMs : 0);
    for (let again = RETRANSMIT_MS; link.lossRate > 0 && this.#random.float() < link.lossRate; again *= 2)
      delayMs += again;
    return delayMs;
  }

  add(connection: VirtualConnection): void {
    this.#connections.add(connection);
  }

  remove(connection: VirtualConnection): void {
    this.#connections.delete(connection);
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const { from, to, deliver } of held) this.pass(from, to, deliver);
  }
}

class HostNetwork implements Network {
  readonly #internet: VirtualInternet;
  readonly #host: string;
  readonly #clock: ProcessClock;

  constructor(internet: VirtualInternet, host: string, clock: ProcessClock) {
    this.#internet = internet;
    this.#host = host;
    this.#clock = clock;
  }

  listen(address: Address, onConnection: (connection: Connection) => void): Promise<Listener> {
    const { listeners } = this.#internet;
    const port = "path" in address ? 0 : address.port === 0 ? this.#internet.freePort() : address.port;
    const bound: Address = "path" in address ? address : { host: this.#host, port };
    const key = keyOf(this.#host, bound);
    if (listeners.has(key)) return Promise.reject(new NetworkError("EADDRINUSE", `address in use: ${key}`));
    const listener = new VirtualListener(bound, this.#host, this.#clock, onConnection, () => listeners.delete(key));
    listeners.set(key, listener);
    return Promise.resolve(listener);
  }

  connect(address: Address, options?: { timeoutMs?: number }): Promise<Connection> {
    const internet = this.#internet;
    const from = this.#host;
    const host = "path" in address || isLoopback(address.host) ? from : address.host;
    const timeoutMs = options?.timeoutMs;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const settle = (act: () => void): void => {
        if (isOver) return;
        isOver = true;
        timer.cancel();
        this.#clock.run(act);
      };
      const timer = this.#clock.setTimer(
        () => settle(() => reject(new NetworkError("ETIMEDOUT", "connect timed out"))),
        timeoutMs === undefined || timeoutMs === 0 ? CONNECT_TIMEOUT_MS : timeoutMs,
      );
      const answer = (act: () => void): void => {
        const arrive = (): void => internet.pass(host, from, () => settle(act));
        this.#clock.afterInWorld(internet.travelMs(host, from), arrive);
      };
      const arrive = (): void => {
        if (isOver) return;
        const listener = internet.listeners.get(keyOf(host, address));
        if (listener === undefined) {
          answer(() => reject(new NetworkError("ECONNREFUSED", `connection refused: ${keyOf(host, address)}`)));
          return;
        }
        const local: Address = "path" in address ? address : { host: from, port: internet.freePort() };
        const near = new VirtualConnection(internet, this.#clock, { host: from, local, remote: listener.address });
        const far = new VirtualConnection(internet, listener.clock, { host, local: listener.address, remote: local });
        near.peer = far;
        far.peer = near;
        listener.clock.run(() => listener.onConnection(far));
        answer(() => resolve(near));
      };
      const travelMs = internet.travelMs(from, host);
      this.#clock.afterInWorld(travelMs, () => internet.pass(from, host, arrive));
    });
  }

  /** Virtual hosts speak plainly: no file is ever used. */
  checkFiles(): Promise<void> {
    return Promise.resolve();
  }
}

class VirtualListener implements Listener {
  readonly address: Address;
  readonly host: string;
  readonly clock: ProcessClock;
  readonly onConnection: (connection: Connection) => void;
  readonly #remove: () => void;

  constructor(
    address: Address,
    host: string,
    clock: ProcessClock,
    onConnection: (connection: Connection) => void,
    remove: () => void,
  ) {
    this.address = address;
    this.host = host;
    this.clock = clock;
    this.onConnection = onConnection;
    this.#remove = remove;
  }

  close(): Promise<void> {
    this.#remove();
    return Promise.resolve();
  }
}

interface Ends {
  readonly host: string;
  readonly local: Address;
  readonly remote: Address;
}

class VirtualConnection implements Connection {
  readonly tls = undefined;
  readonly local: Address;
  readonly remote: Address;
  readonly host: string;
  peer: VirtualConnection | undefined;
  /** Bytes written here that the peer has not been given. */
  waitingBytes = 0;
  readonly #internet: VirtualInternet;
  readonly #clock: ProcessClock;
  #handlers: ConnectionHandlers | undefined;
  /** Arrived and not handed over: the reader paused, or there are no handlers yet. */
  #inbox: (() => void)[] = [];
  #corked: Uint8Array[] | undefined;
  /** When the last piece sent arrives: none overtakes it. */
  #lastArrivalMs = 0;
  #isPaused = false;
  #isFull = false;
  #isEnded = false;
  #isPeerEnded = false;
  #isClosed = false;

  constructor(internet: VirtualInternet, clock: ProcessClock, { host, local, remote }: Ends) {
    this.#internet = internet;
    this.#clock = clock;
    this.host = host;
    this.local = local;
    this.remote = remote;
    internet.add(this);
  }

  setHandlers(handlers: ConnectionHandlers): void {
    const isFirst = this.#handlers === undefined;
    this.#handlers = handlers;
    if (isFirst) this.#clock.nextTurn(() => this.#drainInbox());
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isClosed || this.#isEnded || bytes.length === 0) return true;
    this.waitingBytes += bytes.length;
    if (this.#corked === undefined) this.#send(new Uint8Array(bytes));
    else this.#corked.push(new Uint8Array(bytes));
    if (this.waitingBytes <= WAITING_BYTES_HIGH) return true;
    this.#isFull = true;
    return false;
  }

  cork(): void {
    this.#corked ??= [];
  }

  uncork(): void {
    const corked = this.#corked;
    this.#corked = undefined;
    if (corked !== undefined && corked.length > 0) this.#send(new Uint8Array(Buffer.concat(corked)));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#clock.nextTurn(() => this.#drainInbox());
  }

  end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.uncork();
    this.#isEnded = true;
    this.#transmit((peer) => {
      peer.#isPeerEnded = true;
      peer.#handlers?.end();
      peer.#closeWhenBothEnded();
    });
    this.#clock.nextTurn(() => this.#closeWhenBothEnded());
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#sendReset();
    this.#isEnded = true;
    this.#clock.nextTurn(() => this.#close(undefined));
  }

  /** There is no socket behind it. */
  detach(): undefined {
    return undefined;
  }

  /** Lost on the way: this end hears of it. */
  lose(): void {
    this.#clock.run(() => this.#close(new NetworkError("ECONNRESET", "connection reset by peer")));
  }

  /** The process of this end is gone. */
  abandon(how: "killed" | "powerFailed"): void {
    if (this.#isClosed) return;
    if (how === "killed") this.#sendReset();
    else if (this.peer !== undefined) this.peer.#probe(this.host);
    this.#isClosed = true;
    this.#inbox = [];
    this.#internet.remove(this);
  }

  /** Nothing is heard of the other end any more: keep-alive finds out. */
  #probe(farHost: string): void {
    this.#clock.afterInWorld(KEEP_ALIVE_MS, () => {
      if (this.#isClosed) return;
      if (!this.#internet.isDown(farHost)) return this.lose();
      this.#clock.afterInWorld(KEEP_ALIVE_PROBES_MS, () => {
        this.#clock.run(() => this.#close(new NetworkError("ETIMEDOUT", "connection timed out")));
      });
    });
  }

  #send(bytes: Uint8Array): void {
    this.#transmit((peer) => {
      this.#internet.onArrival?.(this.host, peer.host, bytes);
      peer.#handlers?.data(bytes);
      this.#delivered(bytes.length);
    });
  }

  #delivered(count: number): void {
    this.waitingBytes -= count;
    if (this.waitingBytes > 0 || !this.#isFull) return;
    this.#isFull = false;
    this.#clock.nextTurn(() => {
      if (!this.#isClosed) this.#handlers?.drained();
    });
  }

  /** Lets something happen at the peer, behind everything sent before. */
  #transmit(happen: (peer: VirtualConnection) => void): void {
    const { peer } = this;
    if (peer === undefined) return;
    this.#afterTravel(peer, () => this.#internet.pass(this.host, peer.host, () => peer.#arrive(() => happen(peer))));
  }

  #arrive(happen: () => void): void {
    if (this.#isClosed) {
      // Nobody knows this connection here any more.
      this.#sendReset();
      return;
    }
    this.#clock.run(() => {
      this.#inbox.push(happen);
      this.#drainInbox();
    });
  }

  /** Tells the peer that there is no connection; once, and not again if that is lost. */
  #sendReset(): void {
    const { peer } = this;
    if (peer === undefined) return;
    this.#afterTravel(peer, () => {
      if (!this.#internet.isOpen(this.host, peer.host) || peer.#isClosed) return;
      peer.#arrive(() => peer.#close(new NetworkError("ECONNRESET", "connection reset by peer")));
    });
  }

  #afterTravel(peer: VirtualConnection, arrive: () => void): void {
    const nowMs = this.#clock.worldMs();
    const arrivalMs = Math.max(this.#lastArrivalMs, nowMs + this.#internet.travelMs(this.host, peer.host));
    this.#lastArrivalMs = arrivalMs;
    this.#clock.afterInWorld(arrivalMs - nowMs, arrive);
  }

  #drainInbox(): void {
    while (this.#handlers !== undefined && !this.#isPaused && !this.#isClosed) {
      const next = this.#inbox.shift();
      if (next === undefined) return;
      next();
    }
  }

  #closeWhenBothEnded(): void {
    if (this.#isEnded && this.#isPeerEnded) this.#close(undefined);
  }

  #close(error: NetworkError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inbox = [];
    this.#internet.remove(this);
    this.#handlers?.closed(error);
  }
}

function isLoopback(host: string): boolean {
  return host === "127.0.0.1" || host === "localhost" || host === "::1" || host === "";
}

function keyOf(host: string, address: Address): string {
  return "path" in address ? `${host} ${address.path}` : `${host}:${address.port}`;
}

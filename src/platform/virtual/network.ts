/**
 * A virtual network: hosts joined by byte streams in memory, with a delay and links that can be cut. Bytes arrive in
 * order, in the pieces they were written in. On a cut link they wait (as TCP would send again) until it is healed.
 */
import type { Clock } from "../clock.ts";
import {
  type Address,
  type Connection,
  type ConnectionHandlers,
  type Listener,
  type Network,
  NetworkError,
} from "../network.ts";
import type { VirtualNames } from "./resolver.ts";

/** As on a real socket: `write` says false beyond it. */
const WAITING_BYTES_HIGH = 256 << 10;
const FIRST_FREE_PORT = 40_000;

export class VirtualInternet {
  /** One way, in virtual milliseconds. */
  delayMs = 0.05;
  readonly listeners = new Map<string, VirtualListener>();
  /** What the DNS of this world knows. */
  readonly names: VirtualNames = { addresses: new Map(), services: new Map() };
  readonly #cuts = new Set<string>();
  readonly #open = new Set<VirtualConnection>();
  #nextPort = FIRST_FREE_PORT;
  #held: { readonly from: string; readonly to: string; readonly deliver: () => void }[] = [];

  /** The network as the host named `host` sees it; its own addresses are that name, `127.0.0.1` and `localhost`. */
  join(host: string, clock: Clock): Network {
    return new HostNetwork(this, host, clock);
  }

  /** A host dies: its ports are free again, and whoever it was connected to finds the connection reset. */
  crash(host: string): void {
    for (const [key, listener] of this.listeners) if (listener.host === host) this.listeners.delete(key);
    for (const connection of this.#open) if (connection.host === host) connection.reset();
  }

  /** Connections to forget when they close. */
  track(connection: VirtualConnection): void {
    this.#open.add(connection);
  }

  forget(connection: VirtualConnection): void {
    this.#open.delete(connection);
  }

  freePort(): number {
    return this.#nextPort++;
  }

  /** Nothing passes between two hosts, in both directions, until {@link heal}. */
  cut(a: string, b: string): void {
    this.#cuts.add(`${a} ${b}`).add(`${b} ${a}`);
  }

  heal(a: string, b: string): void {
    this.#cuts.delete(`${a} ${b}`);
    this.#cuts.delete(`${b} ${a}`);
    const held = this.#held;
    this.#held = [];
    for (const { from, to, deliver } of held) this.pass(from, to, deliver);
  }

  /** Delivers at once, or when the link is whole again. */
  pass(from: string, to: string, deliver: () => void): void {
    if (this.#cuts.has(`${from} ${to}`)) this.#held.push({ from, to, deliver });
    else deliver();
  }
}

class HostNetwork implements Network {
  readonly #internet: VirtualInternet;
  readonly #host: string;
  readonly #clock: Clock;

  constructor(internet: VirtualInternet, host: string, clock: Clock) {
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

  /** Virtual hosts speak plainly: no file is ever used. */
  checkFiles(): Promise<void> {
    return Promise.resolve();
  }

  connect(address: Address, options?: { timeoutMs?: number }): Promise<Connection> {
    const internet = this.#internet;
    const host = "path" in address || isLoopback(address.host) ? this.#host : address.host;
    const from = this.#host;
    return new Promise((resolve, reject) => {
      const timer =
        options?.timeoutMs === undefined
          ? undefined
          : this.#clock.setTimer(() => reject(new NetworkError("ETIMEDOUT", "connect timed out")), options.timeoutMs);
      const arrive = (): void => {
        timer?.cancel();
        const listener = internet.listeners.get(keyOf(host, address));
        if (listener === undefined) {
          reject(new NetworkError("ECONNREFUSED", `connection refused: ${keyOf(host, address)}`));
          return;
        }
        const local: Address = "path" in address ? address : { host: from, port: internet.freePort() };
        const near = new VirtualConnection(internet, this.#clock, { host: from, local, remote: listener.address });
        const far = new VirtualConnection(internet, listener.clock, { host, local: listener.address, remote: local });
        near.peer = far;
        far.peer = near;
        internet.track(near);
        internet.track(far);
        listener.onConnection(far);
        resolve(near);
      };
      this.#clock.setTimer(() => internet.pass(from, host, arrive), internet.delayMs);
    });
  }
}

class VirtualListener implements Listener {
  readonly address: Address;
  readonly host: string;
  readonly clock: Clock;
  readonly onConnection: (connection: Connection) => void;
  readonly #remove: () => void;

  constructor(
    address: Address,
    host: string,
    clock: Clock,
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
  peer: VirtualConnection | undefined;
  /** Bytes written here that the peer has not been given. */
  waitingBytes = 0;
  readonly #internet: VirtualInternet;
  readonly #clock: Clock;
  readonly host: string;
  #handlers: ConnectionHandlers | undefined;
  /** Arrived and not handed over: the peer paused, or no handlers yet. */
  #inbox: (() => void)[] = [];
  #corked: Uint8Array[] | undefined;
  #isPaused = false;
  #isFull = false;
  #isEnded = false;
  #isPeerEnded = false;
  #isClosed = false;

  constructor(internet: VirtualInternet, clock: Clock, { host, local, remote }: Ends) {
    this.#internet = internet;
    this.#clock = clock;
    this.host = host;
    this.local = local;
    this.remote = remote;
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
    this.#transmit((peer) => peer.#close(new NetworkError("ECONNRESET", "connection reset by peer")));
    this.#clock.nextTurn(() => this.#close(undefined));
  }

  /** This end is gone without a word: the other end is told when the way between them is open. */
  reset(): void {
    const peer = this.peer;
    if (this.#isClosed || peer === undefined) return;
    this.#isClosed = true;
    this.#inbox = [];
    this.#internet.forget(this);
    const tell = (): void => peer.#close(new NetworkError("ECONNRESET", "connection reset by peer"));
    peer.#clock.setTimer(() => this.#internet.pass(this.host, peer.host, tell), this.#internet.delayMs);
  }

  /** There is no socket behind it. */
  detach(): undefined {
    return undefined;
  }

  #send(bytes: Uint8Array): void {
    this.#transmit((peer) => {
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
    const peer = this.peer;
    if (peer === undefined) return;
    const arrive = (): void => {
      peer.#inbox.push(() => happen(peer));
      peer.#drainInbox();
    };
    this.#clock.setTimer(() => this.#internet.pass(this.host, peer.host, arrive), this.#internet.delayMs);
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
    this.#internet.forget(this);
    this.#handlers?.closed(error);
  }
}

function isLoopback(host: string): boolean {
  return host === "127.0.0.1" || host === "localhost" || host === "::1" || host === "";
}

function keyOf(host: string, address: Address): string {
  return "path" in address ? `${host} ${address.path}` : `${host}:${address.port}`;
}

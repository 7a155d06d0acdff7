/** A network without sockets, on a clock that the test moves: named hosts, links that can be cut or stalled. */
import {
  NetworkError,
  type Address,
  type Connection,
  type Listener,
  type Network,
} from "../../src/platform/network.ts";
import { connectionPair, type MemoryConnection, type TestClock } from "./memory-connection.ts";

interface Link {
  readonly from: string;
  readonly to: string;
  readonly ends: readonly [MemoryConnection, MemoryConnection];
}

export class MemoryNetwork {
  /** Deliveries are cut into pieces of at most this size. */
  pieceBytes = Number.POSITIVE_INFINITY;
  readonly #clock: TestClock;
  readonly #listeners = new Map<string, (connection: Connection) => void>();
  readonly #links: Link[] = [];
  readonly #refused = new Set<string>();
  connects = 0;

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  /** The network as one host sees it; a host is known by its name in addresses. */
  host(name: string): Network {
    return {
      listen: (address, onConnection) => this.#listen(address, onConnection),
      connect: (address) => this.#connect(name, address),
      checkFiles: () => Promise.resolve(),
    };
  }

  /** Cuts every connection between two hosts, and refuses new ones until {@link heal}. */
  cut(a: string, b: string): void {
    this.#refused.add(`${a} ${b}`);
    this.#refused.add(`${b} ${a}`);
    for (const { ends } of this.#between(a, b)) for (const end of ends) end.destroy();
  }

  heal(): void {
    this.#refused.clear();
  }

  /** Nothing is delivered to `to` any more on the connections that are open now, and nobody is told. */
  stallTowards(to: string): void {
    for (const link of this.#links) {
      if (link.to === to) link.ends[0].stalled = true;
      if (link.from === to) link.ends[1].stalled = true;
    }
  }

  openConnections(): number {
    return this.#links.filter(({ ends }) => !ends[0].destroyed).length;
  }

  #between(a: string, b: string): Link[] {
    return this.#links.filter(({ from, to }) => (from === a && to === b) || (from === b && to === a));
  }

  #listen(address: Address, onConnection: (connection: Connection) => void): Promise<Listener> {
    const name = nameOf(address);
    this.#listeners.set(name, onConnection);
    return Promise.resolve({
      address,
      close: () => {
        this.#listeners.delete(name);
        return Promise.resolve();
      },
    });
  }

  #connect(from: string, address: Address): Promise<Connection> {
    const to = nameOf(address);
    const accept = this.#listeners.get(to);
    this.connects++;
    if (accept === undefined || this.#refused.has(`${from} ${to}`)) {
      return Promise.reject(new NetworkError("ECONNREFUSED", `connect ${to}: connection refused`));
    }
    const ends = connectionPair(this.#clock);
    for (const end of ends) end.pieceBytes = this.pieceBytes;
    this.#links.push({ from, to, ends });
    accept(ends[1]);
    return Promise.resolve(ends[0]);
  }
}

function nameOf(address: Address): string {
  return "path" in address ? address.path : address.host;
}

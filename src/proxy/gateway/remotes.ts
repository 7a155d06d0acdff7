/**
 * The members behind a gateway, and which of them the next connection goes to: those of the best priority that are not
 * known to be down; among them by weight, or in turn where no weights are given (RFC 2782).
 *
 * @see etcd server/proxy/tcpproxy/userspace.go, `pick`
 */
import type { Random } from "../../platform/random.ts";

/** Where a connection may go. */
export interface RemoteAddress {
  readonly host: string;
  readonly port: number;
  /** The lowest is the best; absent: 0. */
  readonly priority?: number;
  /** Absent: 0. */
  readonly weight?: number;
}

export class Remote {
  readonly host: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
  /** False after a connection to it failed, until one succeeds. */
  isActive = true;

  constructor({ host, port, priority = 0, weight = 0 }: RemoteAddress) {
    this.host = host;
    this.port = port;
    this.priority = priority;
    this.weight = weight;
  }

  /** `host:port`. */
  get text(): string {
    return this.host.includes(":") ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }
}

/** Chance of a record without weight where others have one: RFC 2782 wants it to be very small. */
const weightlessChance = 0.01;

export class Remotes {
  readonly all: readonly Remote[];
  readonly #random: Pick<Random, "float">;
  #turn = 0;

  constructor(addresses: readonly RemoteAddress[], random: Pick<Random, "float">) {
    this.all = addresses.map((address) => new Remote(address));
    this.#random = random;
  }

  /** Undefined when all are down. */
  pick(): Remote | undefined {
    const active = this.all.filter((remote) => remote.isActive);
    const best = Math.min(...active.map(({ priority }) => priority));
    const candidates = active.filter(({ priority }) => priority === best);
    const weighted = candidates.filter(({ weight }) => weight > 0);
    const weightless = candidates.filter(({ weight }) => weight === 0);
    if (weighted.length === 0) return this.#inTurn(weightless);
    if (weightless.length > 0 && this.#random.float() < weightlessChance) return this.#inTurn(weightless);
    return this.#byWeight(weighted);
  }

  #inTurn(remotes: readonly Remote[]): Remote | undefined {
    return remotes.length === 0 ? undefined : remotes[this.#turn++ % remotes.length];
  }

  #byWeight(remotes: readonly Remote[]): Remote | undefined {
    let left = this.#random.float() * remotes.reduce((sum, { weight }) => sum + weight, 0);
    return remotes.find(({ weight }) => (left -= weight) < 0) ?? remotes.at(-1);
  }
}

/**
 * The machines that the members of a cluster in a test run on: one kind in virtual time, one on the process' own clock
 * and ports. Under both the disks are virtual, and so is the network between members.
 */
import type { Address, Connection, Listener, Network } from "../platform/network.ts";
import type { Logger } from "../platform/logger.ts";
import { createNodePlatform } from "../platform/node/index.ts";
import type { Platform } from "../platform/platform.ts";
import { createVirtualPlatform, Scheduler, VirtualDrive, type VirtualInternet } from "../platform/virtual/index.ts";
import { KeptPorts } from "./kept-ports.ts";
import { memoryDisk } from "./memory-disk.ts";
import { StoppableClock } from "./stoppable-clock.ts";

/** The process that a member runs in, from its start to its end. */
export interface Host {
  readonly platform: Platform;
  /** The process is gone at once: nothing of it happens any more, and its connections are reset. */
  die(): void;
}

export interface Hosts {
  /** What clients in the test run on. */
  readonly client: Platform;
  boot(name: string, drive: VirtualDrive): Host;
  /** Where the clients of a member connect; asked once for each. */
  clientUrl(name: string): Promise<string>;
  /** A member's address on the network between members. */
  peerHost(name: string): string;
  advance(milliseconds: number): Promise<void>;
  run<T>(promise: Promise<T>): Promise<T>;
  release(): Promise<void>;
}

interface HostsOptions {
  readonly internet: VirtualInternet;
  readonly log: Logger;
}

/** `m3` → `10.0.0.3`. */
function addressOf(name: string): string {
  return `10.0.0.${name.slice(1)}`;
}

/** Everything in virtual time, clients included. */
export function manualHosts({ internet, log, seed }: HostsOptions & { readonly seed: number }): Hosts {
  const scheduler = new Scheduler();
  let boots = 0;
  // Each process draws from a sequence of its own, and another one after a restart.
  const platformOf = (host: string, drive: VirtualDrive | undefined): ReturnType<typeof createVirtualPlatform> =>
    createVirtualPlatform({
      scheduler,
      drive: drive ?? new VirtualDrive({ seed }),
      internet,
      host,
      seed: seed * 1_000 + boots++,
      log,
    });
  return {
    client: platformOf("10.0.1.1", undefined),
    boot(name, drive) {
      const host = addressOf(name);
      const platform = platformOf(host, drive);
      return {
        platform,
        die() {
          platform.clock.stop();
          internet.leave(host, "killed");
        },
      };
    },
    clientUrl: (name) => Promise.resolve(`http://${addressOf(name)}:2379`),
    peerHost: addressOf,
    advance: (milliseconds) => scheduler.runFor(milliseconds),
    run: (promise) => scheduler.run(promise),
    release: () => Promise.resolve(),
  };
}

/** Real time and real ports for clients. */
export function realHosts({ internet, log }: HostsOptions): Hosts {
  const client = createNodePlatform({ log });
  const ports = new KeptPorts(client.network);
  return {
    client,
    boot(name, drive) {
      const host = addressOf(name);
      const clock = new StoppableClock(client.clock);
      const network = new SplitNetwork(ports, internet.join(host, clock));
      return {
        platform: { ...client, clock, network, disk: memoryDisk(drive, clock) },
        die() {
          clock.stop();
          internet.leave(host, "killed");
        },
      };
    },
    clientUrl: async () => `http://127.0.0.1:${await ports.keep()}`,
    peerHost: addressOf,
    advance: (milliseconds) => new Promise((resolve) => client.clock.setTimer(resolve, milliseconds)),
    run: (promise) => promise,
    release: () => ports.release(),
  };
}

/** Loopback is the real one, everything else the network between members. */
class SplitNetwork implements Network {
  readonly #loopback: Network;
  readonly #between: Network;

  constructor(loopback: Network, between: Network) {
    this.#loopback = loopback;
    this.#between = between;
  }

  listen(...[address, ...rest]: Parameters<Network["listen"]>): Promise<Listener> {
    return this.#of(address).listen(address, ...rest);
  }

  connect(...[address, ...rest]: Parameters<Network["connect"]>): Promise<Connection> {
    return this.#of(address).connect(address, ...rest);
  }

  checkFiles(...material: Parameters<Network["checkFiles"]>): Promise<void> {
    return this.#loopback.checkFiles(...material);
  }

  #of(address: Address): Network {
    return "path" in address || address.host === "127.0.0.1" ? this.#loopback : this.#between;
  }
}

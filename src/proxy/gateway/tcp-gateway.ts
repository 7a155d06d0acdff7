/**
 * `etcd gateway`: hands each connection on to a member, whatever is spoken over it. A member that cannot be reached is
 * left out until it can be again, which is tried from time to time; the connection that found it so goes to the next.
 *
 * @see etcd server/proxy/tcpproxy/userspace.go
 */
import { formatDuration } from "../../base/duration.ts";
import { dialText } from "../../client/dial-text.ts";
import type { Timer } from "../../platform/clock.ts";
import type { ConnectionPlaces } from "../../platform/connection-places.ts";
import { NetworkError, type Address, type Connection, type Listener } from "../../platform/network.ts";
import type { Platform } from "../../platform/platform.ts";
import type { EndpointCheck } from "../discover-endpoints.ts";
import { joinConnections } from "./pipe.ts";
import { Remotes, type Remote, type RemoteAddress } from "./remotes.ts";

/** For members that accept nothing and refuse nothing; Go's gateway waits as long as the system does. */
const dialTimeoutMs = 10_000;
/** Stands for a retry delay of 0, as in etcd. */
const defaultRetryDelayMs = 300_000;

export interface TcpGatewayOptions {
  readonly platform: Platform;
  readonly listen: Address;
  readonly remotes: readonly RemoteAddress[];
  /** How often members that are down are tried again. */
  readonly retryDelayMs: number;
  /**
   * Whether a member still is who it was found to be; asked as often as members that are down are tried, which are tried
   * so. Undefined: whoever accepts a connection is a member.
   */
  readonly check?: EndpointCheck | undefined;
  /** Connections of clients. */
  readonly places: ConnectionPlaces;
}

export class TcpGateway {
  readonly #options: TcpGatewayOptions;
  readonly #retryDelayMs: number;
  readonly #remotes: Remotes;
  readonly #open = new Set<Connection>();
  #listener: Listener | undefined;
  #ticker: Timer | undefined;
  #isStopped = false;

  constructor(options: TcpGatewayOptions) {
    this.#options = options;
    this.#retryDelayMs = options.retryDelayMs === 0 ? defaultRetryDelayMs : options.retryDelayMs;
    this.#remotes = new Remotes(options.remotes, options.platform.random);
  }

  /** Where it listens, once it does. */
  get address(): Address | undefined {
    return this.#listener?.address;
  }

  /** Resolves when it accepts connections. @throws {NetworkError} when the port cannot be had. By rejection. */
  async start(): Promise<void> {
    const { platform, listen, places } = this.#options;
    this.#listener = await platform.network.listen(listen, (connection) => void this.#serve(connection), { places });
    const endpoints = this.#remotes.all.map(({ text }) => text);
    platform.log.info("ready to proxy client requests", { endpoints });
    this.#ticker = platform.clock.setTicker(() => {
      for (const remote of this.#remotes.all) {
        if (!remote.isActive) void this.#retry(remote);
        else if (this.#options.check !== undefined) void this.#check(remote);
      }
    }, this.#retryDelayMs);
  }

  /** Accepts no more and closes what is open. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#ticker?.cancel();
    await this.#listener?.close();
    for (const connection of this.#open) connection.destroy();
  }

  async #serve(client: Connection): Promise<void> {
    let isGone = false;
    client.setHandlers({
      data: () => undefined,
      end: () => undefined,
      drained: () => undefined,
      closed: () => {
        isGone = true;
      },
    });
    client.pause();
    const member = await this.#reach();
    if (member === undefined || isGone || this.#isStopped) {
      client.destroy();
      member?.destroy();
      return;
    }
    this.#open.add(client).add(member);
    joinConnections(client, member, () => {
      this.#open.delete(client);
      this.#open.delete(member);
    });
  }

  /** A connection to a member; undefined when none can be reached. */
  async #reach(): Promise<Connection | undefined> {
    const { log } = this.#options.platform;
    for (;;) {
      const remote = this.#remotes.pick();
      if (remote === undefined) return undefined;
      try {
        return await this.#dial(remote);
      } catch (error) {
        remote.isActive = false;
        log.warn("deactivated endpoint", this.#fields(remote, error));
      }
    }
  }

  async #check(remote: Remote): Promise<void> {
    try {
      await this.#options.check?.(remote);
    } catch (error) {
      if (!remote.isActive) return;
      remote.isActive = false;
      this.#options.platform.log.warn("deactivated endpoint", this.#fields(remote, error));
    }
  }

  async #retry(remote: Remote): Promise<void> {
    const { log } = this.#options.platform;
    try {
      if (this.#options.check === undefined) (await this.#dial(remote)).destroy();
      else await this.#options.check(remote);
      remote.isActive = true;
      log.info("activated", { address: remote.text });
    } catch (error) {
      const message = "failed to activate endpoint (stay inactive for another interval)";
      log.warn(message, this.#fields(remote, error));
    }
  }

  async #dial({ host, port }: Remote): Promise<Connection> {
    const connection = await this.#options.platform.network.connect({ host, port }, { timeoutMs: dialTimeoutMs });
    if (!this.#isOurs(connection)) return connection;
    connection.destroy();
    throw new NetworkError("ELOOP", "the endpoint leads back to the gateway itself");
  }

  /**
   * Whether a connection ended in our own listener: a name may come to mean us after the start, where it was looked up.
   * Connections would then be handed round until there are no files left (CVE-2020-15114).
   */
  #isOurs({ remote, local }: Connection): boolean {
    const own = this.#listener?.address;
    if (own === undefined || "path" in own || "path" in remote || remote.port !== own.port) return false;
    const isAnywhere = own.host === "::" || own.host === "0.0.0.0";
    return isAnywhere ? "host" in local && local.host === remote.host : remote.host === own.host;
  }

  #fields(remote: Remote, error: unknown): { address: string; interval: string; error: string } {
    const text = dialText({ host: remote.host, port: remote.port }, error);
    return { address: remote.text, interval: formatDuration(this.#retryDelayMs), error: text };
  }
}

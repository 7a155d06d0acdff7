/**
 * Names by the system: hosts as every other program of the machine finds them (hosts file, resolv.conf, ...), SRV
 * records by DNS. Errors are worded as Go's, which people know from etcd's logs.
 */
import { promises as dns, type SrvRecord } from "node:dns";
import { isIP } from "node:net";
import { NetworkError } from "../network.ts";
import type { Resolver, ServiceRecord } from "../resolver.ts";

/** Node's code → Go's words. */
const texts: Readonly<Record<string, string>> = {
  ENOTFOUND: "no such host",
  ENODATA: "no such host",
  EAI_AGAIN: "server misbehaving",
  ESERVFAIL: "server misbehaving",
  EREFUSED: "server misbehaving",
  ETIMEOUT: "i/o timeout",
  ECONNREFUSED: "connection refused",
};

export interface NodeResolverOptions {
  /** `host:port` of the DNS servers; default: those of the system. */
  readonly servers?: readonly string[];
}

export class NodeResolver implements Resolver {
  readonly #dns = new dns.Resolver();
  readonly #usesSystem: boolean;

  constructor({ servers }: NodeResolverOptions = {}) {
    this.#usesSystem = servers === undefined;
    if (servers !== undefined) this.#dns.setServers(servers);
  }

  async lookupAddresses(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host];
    try {
      return await (this.#usesSystem ? this.#lookup(host) : this.#query(host));
    } catch (cause) {
      throw this.#failure(host, cause);
    }
  }

  async lookupServices(name: string): Promise<readonly ServiceRecord[]> {
    let records: SrvRecord[];
    try {
      records = await this.#dns.resolveSrv(name);
    } catch (cause) {
      throw this.#failure(name, cause);
    }
    return records
      .sort((a, b) => a.priority - b.priority || b.weight - a.weight)
      .map(({ name, port, priority, weight }) => ({ target: `${name.replace(/\.$/, "")}.`, port, priority, weight }));
  }

  async #lookup(host: string): Promise<string[]> {
    const found = await dns.lookup(host, { all: true, verbatim: false });
    return found.map(({ address }) => address);
  }

  /** The system's own way takes no servers. */
  async #query(host: string): Promise<string[]> {
    const [v4, v6] = await Promise.allSettled([this.#dns.resolve4(host), this.#dns.resolve6(host)]);
    const found = [v4, v6].flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length === 0 && v4.status === "rejected") throw v4.reason;
    return found;
  }

  #failure(name: string, cause: unknown): NetworkError {
    const code = (cause as NodeJS.ErrnoException).code ?? "EIO";
    const [server] = this.#dns.getServers();
    const on = server === undefined ? "" : ` on ${isIP(server) === 4 ? `${server}:53` : server}`;
    return new NetworkError(code, `lookup ${name}${on}: ${texts[code] ?? (cause as Error).message}`, { cause });
  }
}

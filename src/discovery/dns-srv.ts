/**
 * Finding a cluster by DNS SRV records:
 *
 *     _etcd-server-ssl._tcp.example.com.  SRV  0 0 2380 infra0.example.com.      members, https and http
 *     _etcd-server._tcp.example.com.      SRV  0 0 2380 infra1.example.com.
 *     _etcd-client-ssl._tcp.example.com.  SRV  0 0 2379 infra0.example.com.      endpoints for clients
 *     _etcd-client._tcp.example.com.      SRV  0 0 2379 infra1.example.com.
 *
 * With a service name, `-name` is put behind the service: `_etcd-server-ssl-blue._tcp`. Records say nothing of names:
 * a member knows itself by the address of one of its peer URLs, and numbers the others.
 *
 * Source: etcd client/pkg/srv/srv.go, server/embed/config.go (`GetDNSClusterNames`).
 */
import { formatUrlsMap, type NamedUrls, parseUrlsMap } from "../membership/peer-urls.ts";
import type { Logger } from "../platform/logger.ts";
import type { Resolver, ServiceRecord } from "../platform/resolver.ts";

export interface SrvDiscovery {
  readonly resolver: Resolver;
  readonly log: Logger;
  /** `--name`. */
  readonly name: string;
  /** `--discovery-srv`. */
  readonly domain: string;
  /** `--discovery-srv-name`; empty: none. */
  readonly serviceName: string;
  /** `--initial-advertise-peer-urls`. */
  readonly advertised: readonly string[];
}

type Scheme = "http" | "https";

/** @throws {Error} with etcd's text, by rejection: nothing is found, or this member is not among what is. */
export async function membersBySrv(options: SrvDiscovery): Promise<NamedUrls[]> {
  const { log, name } = options;
  const found: string[] = [];
  const failures: Error[] = [];
  for (const scheme of ["https", "http"] as const) {
    const service = serviceOf("etcd-server", options.serviceName, scheme);
    const fields = {
      "service-scheme": scheme,
      "service-name": service,
      "server-name": name,
      "discovery-srv": options.domain,
      "advertise-peer-urls": options.advertised,
    };
    try {
      const entries = await entriesOf(options, service, scheme);
      found.push(...entries);
      log.info(`get cluster for ${service} SRV`, { ...fields, "found-cluster": entries });
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      failures.push(failure);
      log.info(`get cluster for ${service} SRV`, { ...fields, "found-cluster": [], error: failure });
    }
  }
  const error = new Error(failures.map(({ message }) => message).join("\n"));
  if (failures.length > 0) log.warn("failed to resolve during SRV discovery", { error });
  if (found.length === 0) throw error;
  for (const node of found) log.info("got bootstrap from DNS for etcd-server", { node });
  const members = parseUrlsMap(found.join(","));
  if (!members.some((member) => member.name === name)) {
    throw new Error(`cannot find local etcd member ${JSON.stringify(name)} in SRV records`);
  }
  log.info("initial cluster by SRV records", { "initial-cluster": formatUrlsMap(members) });
  return members;
}

/** `name=url` of each record of one service. */
async function entriesOf(options: SrvDiscovery, service: string, scheme: Scheme): Promise<string[]> {
  const { resolver, name } = options;
  const own = new Map<string, string>();
  for (const url of options.advertised) own.set(await resolved(resolver, url.replace(/^\w+:\/\//, "")), url);
  const entries: string[] = [];
  let problem: Error | undefined;
  try {
    let number = 0;
    for (const record of await resolver.lookupServices(`_${service}._tcp.${options.domain}`)) {
      const address = await resolved(resolver, hostPortOf(record)).catch((error: Error) => {
        problem = error;
      });
      if (address === undefined) continue;
      const ownUrl = own.get(address);
      const url = `${scheme}://${hostPortOf(record, "short")}`;
      if (ownUrl !== undefined && !ownUrl.startsWith(`${scheme}:`)) {
        problem = new Error(
          `bootstrap at ${url} from DNS for ${service} has scheme mismatch with expected peer ${ownUrl}`,
        );
        continue;
      }
      entries.push(`${ownUrl === undefined ? number++ : name}=${url}`);
    }
  } catch (error) {
    problem = error instanceof Error ? error : new Error(String(error));
  }
  if (entries.length === 0 && problem !== undefined) {
    throw new Error(`error querying DNS SRV records for _${service} ${problem.message}`, { cause: problem });
  }
  return entries;
}

/** URLs for clients as {@link clientRecords} finds them. */
export async function endpointsBySrv(resolver: Resolver, domain: string, serviceName: string): Promise<string[]> {
  const records = await clientRecords(resolver, domain, serviceName);
  return records.map(({ url }) => url);
}

/** An SRV record of a member's client port, and the URL that it stands for. */
export interface ClientRecord extends ServiceRecord {
  readonly url: string;
}

/**
 * What clients may connect to, the encrypted ones first. Host names keep the dot at their end, as etcdctl prints them.
 *
 * @throws {Error} with etcd's text, by rejection, when there are records of neither kind.
 */
export async function clientRecords(resolver: Resolver, domain: string, serviceName: string): Promise<ClientRecord[]> {
  const endpoints: ClientRecord[] = [];
  const problems: string[] = [];
  for (const scheme of ["https", "http"] as const) {
    try {
      const service = serviceOf("etcd-client", serviceName, scheme);
      const records = await resolver.lookupServices(`_${service}._tcp.${domain}`);
      endpoints.push(...records.map((record) => ({ ...record, url: `${scheme}://${hostPortOf(record)}` })));
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (problems.length === 2) throw new Error(`dns lookup errors: ${problems.join(" and ")}`);
  return endpoints;
}

function serviceOf(service: string, name: string, scheme: Scheme): string {
  return service + (scheme === "https" ? "-ssl" : "") + (name === "" ? "" : `-${name}`);
}

/** `short`: without the dot at the end of the name, as URLs of members are written. */
function hostPortOf({ target, port }: ServiceRecord, form: "full" | "short" = "full"): string {
  return `${form === "short" ? target.replace(/\.$/, "") : target}:${port}`;
}

/** `host:port` with the host as an address. */
async function resolved(resolver: Resolver, hostPort: string): Promise<string> {
  const separator = hostPort.lastIndexOf(":");
  const host = hostPort.slice(0, separator).replace(/^\[|\]$/g, "");
  const [address] = await resolver.lookupAddresses(host);
  return `${address}${hostPort.slice(separator)}`;
}

/**
 * `--discovery-srv` of both proxies: the members' client ports by DNS, and of them those that prove to belong to the
 * domain, unless insecure records are accepted.
 *
 * @see etcd server/etcdmain/util.go, client/pkg/transport/tls.go
 */
import { clientRecords, type ClientRecord } from "../discovery/dns-srv.ts";
import { parseEndpoint } from "../client/endpoint.ts";
import type { Address } from "../platform/network.ts";
import type { Platform } from "../platform/platform.ts";
import type { ClientTls } from "../platform/tls.ts";

/** For one handshake, as in etcd. */
const handshakeTimeoutMs = 5000;

export interface EndpointDiscovery {
  /** `--discovery-srv`; empty: nothing is looked up. */
  readonly domain: string;
  readonly serviceName: string;
  /** `--insecure-discovery`. */
  readonly acceptsInsecure: boolean;
  /** `--trusted-ca-file` or `--cacert`; empty: the system's. */
  readonly caFile: string;
}

/** @throws {Error} with etcd's text, by rejection, when DNS has no records. */
export async function discoverEndpoints(discovery: EndpointDiscovery, platform: Platform): Promise<ClientRecord[]> {
  const { domain, serviceName, acceptsInsecure } = discovery;
  if (domain === "") return [];
  const { log } = platform;
  const found = await clientRecords(platform.resolver, domain, serviceName);
  const fields = (records: readonly ClientRecord[]) => ({
    "srv-server": domain,
    endpoints: records.map(({ url }) => url),
  });
  log.info("discovered cluster from SRV", fields(found));
  if (acceptsInsecure) return found;
  log.info("validating discovered SRV endpoints", fields(found));
  const { valid, error } = await validated(found, discovery, platform);
  if (error === undefined) log.info("using validated discovered SRV endpoints", fields(valid));
  else log.warn("failed to validate discovered endpoints", { ...fields(valid), error });
  return valid;
}

async function validated(
  records: readonly ClientRecord[],
  discovery: EndpointDiscovery,
  platform: Platform,
): Promise<{ valid: ClientRecord[]; error: Error | undefined }> {
  const valid: ClientRecord[] = [];
  const problems: string[] = [];
  let check: EndpointCheck;
  try {
    check = await endpointCheck(discovery, platform);
  } catch (error) {
    return { valid, error: error as Error };
  }
  for (const record of records) {
    const endpoint = parseEndpoint(record.url);
    if (endpoint.tls !== "required") {
      problems.push(`${JSON.stringify(record.url)} is insecure`);
      continue;
    }
    try {
      await check(endpoint.address);
      valid.push(record);
    } catch (error) {
      problems.push(`${JSON.stringify(record.url)} failed to dial (${(error as Error).message})`);
    }
  }
  return { valid, error: problems.length === 0 ? undefined : new Error(problems.join(",")) };
}

/** Resolves when who answers there has a certificate for the domain. @throws {NetworkError} by rejection. */
export type EndpointCheck = (address: Address) => Promise<void>;

/** @throws {NetworkError} `ETLS` for a CA file that cannot be used. By rejection. */
export async function endpointCheck(
  { domain, caFile }: Pick<EndpointDiscovery, "domain" | "caFile">,
  { network, log }: Platform,
): Promise<EndpointCheck> {
  const tls: ClientTls = {
    caFile: caFile === "" ? undefined : caFile,
    serverName: domain,
    verifiesServer: true,
    alpn: [],
    log,
  };
  await network.checkFiles(tls);
  return async (address) => (await network.connect(address, { timeoutMs: handshakeTimeoutMs, tls })).destroy();
}

/**
 * `etcd gateway start`. Mistakes are told where etcd tells them: some on stdout, without a log line.
 *
 * @see etcd server/etcdmain/gateway.go
 */
import { openFileLimit } from "../../../http/metrics/runtime-metrics.ts";
import { ConnectionPlaces } from "../../../platform/connection-places.ts";
import type { Address } from "../../../platform/network.ts";
import type { Platform } from "../../../platform/platform.ts";
import type { Resolver } from "../../../platform/resolver.ts";
import { discoverEndpoints, endpointCheck, type EndpointCheck } from "../../../proxy/discover-endpoints.ts";
import type { RemoteAddress } from "../../../proxy/gateway/remotes.ts";
import { TcpGateway } from "../../../proxy/gateway/tcp-gateway.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import type { FlagSet, FlagSpec } from "../../shared/flags.ts";
import type { Terminal } from "../../shared/terminal.ts";
import { notifyReady } from "../notify.ts";
import { stopOnSignals } from "../process-exit.ts";
import { listenAddress, listenFailure, splitHostPort } from "./host-port.ts";
import { commandLine, failedWith, proxyPlatform } from "./start.ts";

/** For the process itself. Each client takes two of the others: its connection and the one to a member. */
const reservedFiles = 50;

const flags: readonly FlagSpec[] = [
  { name: "listen-addr", type: "string", initial: "127.0.0.1:23790", usage: "listen address" },
  { name: "discovery-srv", type: "string", initial: "", usage: "DNS domain used to bootstrap initial cluster" },
  {
    name: "discovery-srv-name",
    type: "string",
    initial: "",
    usage: "service name to query when using DNS discovery",
  },
  { name: "insecure-discovery", type: "bool", initial: false, usage: "accept insecure SRV records" },
  {
    name: "trusted-ca-file",
    type: "string",
    initial: "",
    usage:
      "path to the client server TLS CA file for verifying the discovered endpoints when discovery-srv is provided.",
  },
  { name: "endpoints", type: "list", initial: ["127.0.0.1:2379"], usage: "comma separated etcd cluster endpoints" },
  {
    name: "retry-delay",
    type: "duration",
    initial: 60_000,
    usage: "duration of delay before retrying failed endpoints",
  },
];

export const gatewayCommand: Command = {
  name: "gateway",
  summary: "gateway related command",
  commands: [{ name: "start", summary: "start the gateway", flags, run: startGateway }],
};

/** Runs until a signal ends the process. */
async function startGateway({ flags: given, processArguments, terminal }: Invocation): Promise<never> {
  const platform = proxyPlatform("info", "cli/etcd/proxies/gateway.ts");
  const { log } = platform;
  log.info("Running: ", { args: commandLine(processArguments) });
  const { remotes, check } = await membersOf(given, platform, terminal);
  const listenText = given.text("listen-addr");
  await refuseItself(listenText, remotes, platform.resolver, terminal);
  if (remotes.length === 0) throw told(terminal, "no endpoints found");
  const gateway = await listening(
    listenText,
    (listen) => {
      return new TcpGateway({
        platform,
        listen,
        remotes,
        retryDelayMs: given.duration("retry-delay"),
        check,
        places: places(platform),
      });
    },
    terminal,
  );
  stopOnSignals(log, () => gateway.stop());
  notifyReady(log);
  return new Promise<never>(() => undefined);
}

async function listening(
  text: string,
  create: (listen: Address) => TcpGateway,
  terminal: Terminal,
): Promise<TcpGateway> {
  let address: Address = { host: "", port: 0 };
  try {
    address = listenAddress(text);
    const gateway = create(address);
    await gateway.start();
    return gateway;
  } catch (error) {
    throw failedWith(terminal, listenFailure(address, error));
  }
}

interface Members {
  readonly remotes: readonly RemoteAddress[];
  readonly check?: EndpointCheck;
}

async function membersOf(given: FlagSet, platform: Platform, terminal: Terminal): Promise<Members> {
  const discovery = {
    domain: given.text("discovery-srv"),
    serviceName: given.text("discovery-srv-name"),
    acceptsInsecure: given.bool("insecure-discovery"),
    caFile: given.text("trusted-ca-file"),
  };
  try {
    const records = await discoverEndpoints(discovery, platform);
    if (records.length > 0) {
      const remotes = records.map(({ target, ...rest }) => ({ host: target.replace(/\.$/, ""), ...rest }));
      return discovery.acceptsInsecure ? { remotes } : { remotes, check: await endpointCheck(discovery, platform) };
    }
  } catch (error) {
    throw failedWith(terminal, messageOf(error));
  }
  const remotes = given.list("endpoints").map((endpoint) => {
    // Only bytes are handed on: whether they are encrypted does not matter.
    const text = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]+)/i.exec(endpoint)?.[1] ?? endpoint;
    const parts = splitHostPort(text);
    if (parts === undefined) throw told(terminal, `error parsing endpoint ${JSON.stringify(text)}`, "");
    return { host: parts.host, port: Number.parseInt(parts.port, 10) || 0 };
  });
  return { remotes };
}

/** A gateway that hands its connections to itself would do so until it has no files left (CVE-2020-15114). */
async function refuseItself(
  listenText: string,
  remotes: readonly RemoteAddress[],
  resolver: Resolver,
  terminal: Terminal,
): Promise<void> {
  const listen = splitHostPort(listenText);
  if (listen === undefined) throw told(terminal, `failed to validate listen address: ${listenText}`);
  const lookup = async (host: string, what: string): Promise<readonly string[]> => {
    try {
      if (host === "") throw new Error("no such host");
      return await resolver.lookupAddresses(host);
    } catch {
      throw told(terminal, `failed to resolve ${what} host: ${host}`);
    }
  };
  const own = await lookup(listen.host, "listen");
  for (const { host, port } of remotes) {
    const addresses = await lookup(host, "endpoint");
    const same = String(port) === listen.port ? addresses.find((address) => own.includes(address)) : undefined;
    if (same === undefined) continue;
    const way = `${host}:${port}->${same}:${port}`;
    throw told(terminal, `SRV or endpoint (${way}) should not resolve to the gateway listen addr (${listenText})`);
  }
}

function places({ disk, log }: Platform): ConnectionPlaces {
  const limit = openFileLimit(disk);
  const files = limit > 0 ? limit : Number.MAX_SAFE_INTEGER;
  const max = Math.max(1, Math.floor((files - reservedFiles) / 2));
  return new ConnectionPlaces(max, () => {
    log.warn("too many connections of clients; closing further ones", { "connections-limit": max });
  });
}

/** Ends the command with status 1 after `text` on stdout. */
function told(terminal: Terminal, text: string, end = "\n"): CommandFailure {
  terminal.output.write(text + end);
  return new CommandFailure(ExitCode.Error, undefined);
}

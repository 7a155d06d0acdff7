/** From flags to a client: environment, endpoints, TLS and user options, output format. */
import type { ClientSecurity } from "../../client/channel.ts";
import { Client, type Credentials } from "../../client/client.ts";
import { methods } from "../../client/methods.ts";
import { endpointsBySrv } from "../../discovery/dns-srv.ts";
import { NodeClock } from "../../platform/node/clock.ts";
import { NodeNetwork } from "../../platform/node/network.ts";
import { NodeResolver } from "../../platform/node/resolver.ts";
import type { Invocation } from "../shared/command.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../shared/failure.ts";
import type { FlagSet } from "../shared/flags.ts";
import { askPassword } from "../shared/password.ts";
import type { Terminal } from "../shared/terminal.ts";
import { ToolLogger } from "../shared/tool-logger.ts";
import { applyEnvironment, variableOf } from "./global-flags.ts";
import { createPrinter, type Printer } from "./printer.ts";

/** What a command that talks to a cluster works with. */
export interface Context {
  readonly printer: Printer;
  /** `--endpoints`, or the client URLs of all members with `--cluster`. */
  readonly endpoints: readonly string[];
  /** `--command-timeout`. */
  readonly timeoutMs: number;
  /**
   * A client of the endpoints, or of one of them. Closed when the command ends.
   *
   * @param logger - what its log lines call it; `endpoint health` has a name of its own.
   * @throws {CommandFailure}
   */
  readonly connect: (endpoints?: readonly string[], logger?: string) => Promise<Client>;
}

/** Varies pauses only: loading the system's generator would take longer than the rest of the start. */
const pauseRandom = { float: () => Math.random() };

/** Client connections keep the process alive: the entry point closes those of a command that is done. */
const openClients = new Set<Client>();

export function closeClients(): void {
  for (const client of openClients) client.close();
  openClients.clear();
}

/** @throws {CommandFailure} for options that contradict each other or are not supported. */
export async function openContext(invocation: Invocation, options: { isWatch?: boolean } = {}): Promise<Context> {
  const { flags, terminal, inheritedFlags } = invocation;
  applyEnvironment(flags, inheritedFlags, terminal, options.isWatch === true);
  if (flags.bool("debug")) printFlags(invocation);
  const endpoints = await endpointsOf(invocation);
  const security = await securityOf(invocation);
  const credentials = await credentialsOf(invocation, "");
  const printer = createPrinter(terminal, { format: flags.text("write-out"), hex: flags.bool("hex") });
  const connect: Context["connect"] = (wanted = endpoints, logger) =>
    openClient(invocation, wanted, { security, credentials }, logger);
  const timeoutMs = flags.duration("command-timeout");
  return {
    printer,
    endpoints: flags.bool("cluster") ? await clusterEndpoints(connect, timeoutMs) : endpoints,
    timeoutMs,
    connect,
  };
}

/** `--discovery-srv` finds them; without it, or when it finds none to be trusted, they are `--endpoints`. */
async function endpointsOf({ flags, terminal }: Invocation): Promise<readonly string[]> {
  const domain = flags.text("discovery-srv");
  const discovered = domain === "" ? [] : await discover(domain, flags.text("discovery-srv-name"));
  const accepted = discovered.filter((endpoint) => {
    if (flags.bool("insecure-discovery") || !endpoint.startsWith("http://")) return true;
    terminal.error.write(`ignoring discovered insecure endpoint ${JSON.stringify(endpoint)}\n`);
    return false;
  });
  return accepted.length > 0 ? accepted : flags.list("endpoints").map((endpoint) => endpoint.trim());
}

async function discover(domain: string, serviceName: string): Promise<readonly string[]> {
  try {
    return await endpointsBySrv(new NodeResolver(), domain, serviceName);
  } catch (error) {
    throw new CommandFailure(ExitCode.Error, messageOf(error), { cause: error });
  }
}

/** A client of another cluster, by the `--dest-` flags. @throws {CommandFailure} as {@link openContext}. */
export async function connectDestination(invocation: Invocation, endpoint: string): Promise<Client> {
  const security = await securityOf(invocation, "dest-");
  return openClient(invocation, [endpoint], { security, credentials: await credentialsOf(invocation, "dest-") });
}

/** Who we are to the servers, and who they must be. */
interface Identity {
  readonly security: ClientSecurity | undefined;
  readonly credentials: Credentials | undefined;
}

async function openClient(
  { flags, terminal }: Invocation,
  endpoints: readonly string[],
  { security, credentials }: Identity,
  logger?: string,
): Promise<Client> {
  try {
    const client = new Client({
      network: new NodeNetwork(),
      clock: new NodeClock(),
      random: pauseRandom,
      log: clientLog(terminal, logger),
      endpoints,
      security,
      dialTimeoutMs: flags.duration("dial-timeout"),
      keepaliveTimeMs: flags.duration("keepalive-time"),
      keepaliveTimeoutMs: flags.duration("keepalive-timeout"),
      maxSendBytes: Number(flags.integer("max-request-bytes")),
      maxReceiveBytes: Number(flags.integer("max-recv-bytes")),
      credentials,
    });
    openClients.add(client);
    await client.authenticate(flags.duration("dial-timeout"));
    return client;
  } catch (error) {
    throw new CommandFailure(ExitCode.BadConnection, messageOf(error), { cause: error });
  }
}

/** Runs a request; what it throws becomes exit code 1, or another one. */
export async function request<Value>(
  call: Promise<Value>,
  exitCode: number = ExitCode.Error,
  describe: (message: string) => string = (message) => message,
): Promise<Value> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure(exitCode, describe(messageOf(error)), { cause: error });
  }
}

/** `--debug`: the effective flags on stderr. */
function printFlags({ flags, inheritedFlags, terminal }: Invocation): void {
  const names = inheritedFlags.map((spec) => spec.name).sort();
  for (const name of names) terminal.error.write(`${variableOf(name)}=${flags.format(name)}\n`);
}

/** The flags of the source have plain names, those of a mirror's destination a prefix. */
type FlagPrefix = "" | "dest-";

/**
 * What the TLS flags ask for; undefined when they ask for nothing, and endpoints alone decide. Files are read here, also
 * where no endpoint makes use of them.
 */
async function securityOf(
  { flags, terminal }: Invocation,
  prefix: FlagPrefix = "",
): Promise<ClientSecurity | undefined> {
  for (const name of [`${prefix}cert`, `${prefix}key`, `${prefix}cacert`]) {
    if (flags.changed(name) && flags.text(name) === "") {
      throw badArguments(`empty string is passed to --${name} option`);
    }
  }
  const [cert, key, cacert] = ["cert", "key", "cacert"].map((name) => flags.text(prefix + name));
  if ((cert === "") !== (key === "")) {
    throw badArguments(`KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`);
  }
  const skipsVerification = prefix === "" && flags.bool("insecure-skip-tls-verify");
  const serverName = prefix === "" ? serverNameOf(flags) : undefined;
  const isAsked =
    cert !== "" ||
    cacert !== "" ||
    serverName !== undefined ||
    skipsVerification ||
    !flags.bool(`${prefix}insecure-transport`);
  if (!isAsked) return undefined;
  const files = { certFile: cert || undefined, keyFile: key || undefined, caFile: cacert || undefined };
  try {
    await new NodeNetwork().checkFiles({ ...files, log: clientLog(terminal) });
  } catch (error) {
    throw badArguments(messageOf(error));
  }
  return { ...files, serverName, verifiesServer: !skipsVerification };
}

/** Endpoints that DNS named are who they should be when they can prove to be of the domain. */
function serverNameOf(flags: FlagSet): string | undefined {
  const domain = flags.text("discovery-srv");
  return domain === "" || flags.bool("insecure-discovery") ? undefined : domain;
}

function clientLog(terminal: Terminal, logger = "etcd-client"): ToolLogger {
  return new ToolLogger(terminal.error, { logger, caller: "client/client.ts" });
}

/** Go's words for a file that cannot be opened. */
export function openFailure(path: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const reason = { ENOENT: "no such file or directory", EACCES: "permission denied", EISDIR: "is a directory" }[code];
  return `open ${path}: ${reason ?? messageOf(error)}`;
}

/** A user without a password is none: the request goes without a token, and the server says what it thinks of that. */
async function credentialsOf({ flags, terminal }: Invocation, prefix: FlagPrefix): Promise<Credentials | undefined> {
  const text = flags.text(`${prefix}user`);
  if (text === "") return undefined;
  const colon = text.indexOf(":");
  let user = text;
  let password = flags.text(`${prefix}password`);
  if (password === "" && colon >= 0) {
    user = text.slice(0, colon);
    password = text.slice(colon + 1);
  } else if (password === "") {
    password = await askPassword(prefix === "" ? "Password: " : "Destination Password: ", terminal);
  }
  return user === "" || password === "" ? undefined : { user, password };
}

async function clusterEndpoints(connect: () => Promise<Client>, timeoutMs: number): Promise<readonly string[]> {
  const client = await connect();
  const { members } = await request(
    client.call(methods.memberList, { linearizable: true }, { timeoutMs }),
    ExitCode.Error,
    (message) => `failed to fetch endpoints from etcd cluster member list: ${message}`,
  );
  client.close();
  return members.flatMap((member) => member.clientURLs);
}

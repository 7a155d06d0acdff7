/** From flags to a client: environment, endpoints, TLS and user options, output format. */
import { readFileSync } from "node:fs";
import { Client, type Credentials } from "../../client/client.ts";
import { parseEndpoint } from "../../client/endpoint.ts";
import { methods } from "../../client/methods.ts";
import { NodeClock } from "../../platform/node/clock.ts";
import { NodeNetwork } from "../../platform/node/network.ts";
import type { Invocation } from "../shared/command.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../shared/failure.ts";
import type { FlagSet } from "../shared/flags.ts";
import { askPassword } from "../shared/password.ts";
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
  /** A client of the endpoints, or of one of them. Closed when the command ends. @throws {CommandFailure} */
  readonly connect: (endpoints?: readonly string[]) => Promise<Client>;
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
  const endpoints = flags.list("endpoints").map((endpoint) => endpoint.trim());
  checkTls(flags, endpoints);
  if (flags.text("discovery-srv") !== "") {
    throw new CommandFailure(
      ExitCode.BadFeature,
      "--discovery-srv is not supported yet: give the cluster's addresses with --endpoints",
    );
  }
  const credentials = await credentialsOf(invocation, "");
  const printer = createPrinter(terminal, { format: flags.text("write-out"), hex: flags.bool("hex") });
  const connect = (wanted: readonly string[] = endpoints): Promise<Client> =>
    openClient(invocation, wanted, credentials);
  const timeoutMs = flags.duration("command-timeout");
  return {
    printer,
    endpoints: flags.bool("cluster") ? await clusterEndpoints(connect, timeoutMs) : endpoints,
    timeoutMs,
    connect,
  };
}

/** A client of another cluster, by the `--dest-` flags. @throws {CommandFailure} as {@link openContext}. */
export async function connectDestination(invocation: Invocation, endpoint: string): Promise<Client> {
  checkTls(invocation.flags, [endpoint], "dest-");
  return openClient(invocation, [endpoint], await credentialsOf(invocation, "dest-"));
}

async function openClient(
  { flags, terminal }: Invocation,
  endpoints: readonly string[],
  credentials: Credentials | undefined,
): Promise<Client> {
  try {
    const client = new Client({
      network: new NodeNetwork(),
      clock: new NodeClock(),
      random: pauseRandom,
      log: new ToolLogger(terminal.error, { logger: "etcd-client", caller: "client/client.ts" }),
      endpoints,
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

/** Files are checked even where the endpoint makes no use of them; then TLS, where it is needed, is refused. */
function checkTls(flags: FlagSet, endpoints: readonly string[], prefix: FlagPrefix = ""): void {
  for (const name of [`${prefix}cert`, `${prefix}key`, `${prefix}cacert`]) {
    if (flags.changed(name) && flags.text(name) === "") {
      throw badArguments(`empty string is passed to --${name} option`);
    }
  }
  const [cert, key, cacert] = ["cert", "key", "cacert"].map((name) => flags.text(prefix + name));
  if ((cert === "") !== (key === "")) {
    throw badArguments(`KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`);
  }
  for (const path of [cert, key, cacert]) if (path !== "") checkReadable(path);
  const wantsTls =
    cert !== "" ||
    cacert !== "" ||
    !flags.bool(`${prefix}insecure-transport`) ||
    (prefix === "" && flags.bool("insecure-skip-tls-verify"));
  const encrypted = endpoints.find((endpoint) => {
    const { tls } = parseEndpoint(endpoint);
    return tls === "required" || (tls === "optional" && wantsTls);
  });
  if (encrypted !== undefined) {
    throw new CommandFailure(
      ExitCode.Error,
      `TLS connections are not supported yet: cannot connect to "${encrypted}" (use an http:// endpoint)`,
    );
  }
}

function checkReadable(path: string): void {
  try {
    readFileSync(path);
  } catch (error) {
    throw badArguments(openFailure(path, error));
  }
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

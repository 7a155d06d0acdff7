/** The flags that every etcdctl command takes, and their setting from `ETCDCTL_*` variables. */
import { CommandFailure, ExitCode } from "../shared/failure.ts";
import { FlagError, type FlagSet, type FlagSpec } from "../shared/flags.ts";
import type { Terminal } from "../shared/terminal.ts";
import { ToolLogger } from "../shared/tool-logger.ts";

export const globalFlags: readonly FlagSpec[] = [
  { name: "endpoints", type: "list", initial: ["127.0.0.1:2379"], usage: "gRPC endpoints" },
  { name: "debug", type: "bool", initial: false, usage: "enable client-side debug logging" },
  {
    name: "write-out",
    shorthand: "w",
    type: "string",
    initial: "simple",
    usage: "set the output format (fields, json, protobuf, simple, table)",
  },
  { name: "hex", type: "bool", initial: false, usage: "print byte strings as hex encoded strings" },
  { name: "dial-timeout", type: "duration", initial: 2000, usage: "dial timeout for client connections" },
  {
    name: "command-timeout",
    type: "duration",
    initial: 5000,
    usage: "timeout for short running command (excluding dial timeout)",
  },
  { name: "keepalive-time", type: "duration", initial: 2000, usage: "keepalive time for client connections" },
  { name: "keepalive-timeout", type: "duration", initial: 6000, usage: "keepalive timeout for client connections" },
  {
    name: "max-request-bytes",
    type: "integer",
    initial: 0n,
    usage: "client-side request send limit in bytes (if 0, it defaults to 2.0 MiB (2 * 1024 * 1024).)",
  },
  {
    name: "max-recv-bytes",
    type: "integer",
    initial: 0n,
    usage: 'client-side response receive limit in bytes (if 0, it defaults to "math.MaxInt32")',
  },
  {
    name: "insecure-transport",
    type: "bool",
    initial: true,
    usage: "disable transport security for client connections",
  },
  {
    name: "insecure-discovery",
    type: "bool",
    initial: true,
    usage: "accept insecure SRV records describing cluster endpoints",
  },
  {
    name: "insecure-skip-tls-verify",
    type: "bool",
    initial: false,
    usage: "skip server certificate verification (CAUTION: this option should be enabled only for testing purposes)",
  },
  { name: "cert", type: "string", initial: "", usage: "identify secure client using this TLS certificate file" },
  { name: "key", type: "string", initial: "", usage: "identify secure client using this TLS key file" },
  {
    name: "cacert",
    type: "string",
    initial: "",
    usage: "verify certificates of TLS-enabled secure servers using this CA bundle",
  },
  {
    name: "user",
    type: "string",
    initial: "",
    usage: "username[:password] for authentication (prompt if password is not supplied)",
  },
  {
    name: "password",
    type: "string",
    initial: "",
    usage: "password for authentication (if this option is used, --user option shouldn't include password)",
  },
  {
    name: "discovery-srv",
    shorthand: "d",
    type: "string",
    initial: "",
    usage: "domain name to query for SRV records describing cluster endpoints",
  },
  {
    name: "discovery-srv-name",
    type: "string",
    initial: "",
    usage: "service name to query when using DNS discovery",
  },
];

const prefix = "ETCDCTL_";

/** Variables that are not flags: those of `watch`, and the API version, which etcdctl up to 3.5 took. */
const watchVariables = ["ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"];
const apiVariable = "ETCDCTL_API";

export function variableOf(flagName: string): string {
  return prefix + flagName.replaceAll("-", "_").toUpperCase();
}

/**
 * Sets the flags that the command line left out from the environment. A bad value is ignored, as etcdctl does.
 *
 * @param shared - the flags that the environment may set.
 * @throws {CommandFailure} when a flag is given both ways; the conflict has been logged.
 */
export function applyEnvironment(
  flags: FlagSet,
  shared: readonly FlagSpec[],
  terminal: Terminal,
  isWatch: boolean,
): void {
  const { environment } = terminal;
  const log = new ToolLogger(terminal.error, { caller: "etcdctl/global-flags.ts" });
  const used = new Set<string>(isWatch ? watchVariables : []);
  const given = new Set<string>();
  for (const { name } of shared) {
    const variable = variableOf(name);
    const value = environment[variable];
    if (flags.changed(name)) given.add(variable);
    else if (value !== undefined && value !== "") {
      used.add(variable);
      try {
        flags.set(name, value);
      } catch (error) {
        if (!(error instanceof FlagError)) throw error; // a bad value counts as none
      }
    }
  }
  for (const [variable, value] of Object.entries(environment)) {
    if (used.has(variable)) continue;
    if (given.has(variable)) {
      log.fatal(
        "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))",
        { "environment-variable": variable },
      );
      throw new CommandFailure(ExitCode.Error, undefined);
    }
    if (variable.startsWith(prefix) && !isCurrentApi(variable, value)) {
      log.warn("unrecognized environment variable", { "environment-variable": `${variable}=${value}` });
    }
  }
}

/** `ETCDCTL_API=3` says what is the case anyway; scripts written for older versions set it, so no word about it. */
function isCurrentApi(variable: string, value: string | undefined): boolean {
  return variable === apiVariable && value === "3";
}

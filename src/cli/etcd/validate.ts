/** The checks that etcd makes on its settings before it starts, in etcd's order and words. */
import { formatDuration } from "../../base/duration.ts";
import type { FlagName, FlagValues } from "./flags.ts";
import { formerNames } from "./flags.ts";
import { checkRotationOutputs, parseLogRotation } from "./log-rotation.ts";

/** Longest election timeout in milliseconds. */
const electionTimeoutMaxMs = 50_000;
const tlsVersions = ["", "TLS1.2", "TLS1.3"];

export interface ValidationInput {
  readonly values: FlagValues;
  /** What was given, by any means. */
  readonly given: ReadonlyMap<FlagName, unknown>;
  /** The settings came from a file, where some rules do not apply. */
  readonly fromFile: boolean;
}

/** @throws {Error} with etcd's text for the first rule broken. */
export function validate(input: ValidationInput): void {
  const { values, given, fromFile } = input;
  checkLogging(values);
  for (const name of [
    "listen-peer-urls",
    "listen-client-urls",
    "listen-client-http-urls",
    "listen-metrics-urls",
  ] as const) {
    for (const url of values[name]) checkBindUrl(url);
  }
  for (const name of ["initial-advertise-peer-urls", "advertise-client-urls"] as const) {
    const empty = values[name].find((url) => /^https?:\/\/:/.test(url));
    if (empty !== undefined) {
      throw new Error(
        `--${name} ${goQuote(values[name].join(","))} must be "host:port" (unexpected empty host (${empty}))`,
      );
    }
  }
  checkBootstrap(values, given);
  checkTimes(values);
  if (!fromFile && given.has("listen-client-urls") && !given.has("advertise-client-urls")) {
    throw new Error("--advertise-client-urls is required when --listen-client-urls is set explicitly");
  }
  if (values["auto-compaction-mode"] === "") throw new Error("undefined auto-compaction-mode");
  if (!["periodic", "revision"].includes(values["auto-compaction-mode"])) {
    throw new Error(`unknown auto-compaction-mode ${goQuote(values["auto-compaction-mode"])}`);
  }
  checkTracing(values);
  checkTls(values);
  if (values["discovery-fallback"] === "proxy") {
    throw new Error('v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"');
  }
}

/** A renamed flag given under both names. @throws {Error} with etcd's text. */
export function refuseBothNames(given: ReadonlyMap<FlagName, unknown>): void {
  for (const [former, successor] of formerNames) {
    if (!given.has(former) || !given.has(successor)) continue;
    if (successor === "warning-unary-request-duration") {
      throw new Error(`both --${former} and --${successor} flags are set. Use only --${successor}`);
    }
    throw new Error(`cannot set --${former} and --${successor} at the same time, please use --${successor} only`);
  }
}

function checkLogging(values: FlagValues): void {
  if (values.logger === "capnslog") throw new Error("--logger=capnslog is removed in v3.5");
  if (values.logger !== "zap") throw new Error(`unknown logger option ${goQuote(values.logger)}`);
  if (values["log-outputs"].length > 1 && values["log-outputs"].includes("default")) {
    throw new Error('multi logoutput for "default" is not supported yet');
  }
  if (values["enable-log-rotation"]) {
    checkRotationOutputs(values["log-outputs"]);
    parseLogRotation(values["log-rotation-config-json"]);
  }
  if (values["log-outputs"].length > 1 && values["log-outputs"].includes("systemd/journal")) {
    const outputs = values["log-outputs"].map(goQuote).join(" ");
    throw new Error(
      `running with systemd/journal but other '--log-outputs' values ([${outputs}]) are configured with 'default'; override 'default' value with something else`,
    );
  }
  if (!["json", "console"].includes(values["log-format"])) {
    throw new Error(`unknown log format: ${values["log-format"]}, supported values json, console`);
  }
}

/** A listen URL binds to an address of this machine: an IP, `localhost`, or a Unix socket. */
function checkBindUrl(url: string): void {
  if (/^unixs?:/.test(url)) return;
  const host = url.replace(/^https?:\/\//, "");
  const separator = host.lastIndexOf(":");
  if (separator < 0) throw new Error(`address ${host}: missing port in address`);
  const name = host.slice(0, separator).replace(/^\[|\]$/g, "");
  if (name === "localhost") return;
  const isIp = /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || name.includes(":");
  if (!isIp) throw new Error(`expected IP in URL for binding (${url})`);
}

const registryAccess = [
  "discovery-cert",
  "discovery-key",
  "discovery-cacert",
  "discovery-user",
  "discovery-password",
] as const;

function checkBootstrap(values: FlagValues, given: ReadonlyMap<FlagName, unknown>): void {
  const isNamed = values["discovery-token"] !== "";
  const hasRegistry = values["discovery-endpoints"].length > 0;
  const chosen = [
    given.has("initial-cluster"),
    values.discovery !== "",
    hasRegistry,
    values["discovery-srv"] !== "",
  ].filter(Boolean).length;
  if (chosen > 1) {
    throw new Error(
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"',
    );
  }
  const isV3 = isNamed || hasRegistry || registryAccess.some((name) => values[name] !== "");
  if (values["discovery-proxy"] !== "" && isV3) {
    throw new Error(
      "both v2 discovery settings (discovery, discovery-proxy) and v3 discovery settings (discovery-token, discovery-endpoints, discovery-cert, discovery-key, discovery-cacert, discovery-user, discovery-password) are set",
    );
  }
  if (isNamed !== hasRegistry) {
    throw new Error("both --discovery-token and --discovery-endpoints must be set");
  }
  if (values["discovery-endpoints"].includes("")) {
    throw new Error("--discovery-endpoints must not contain empty endpoints");
  }
}

function checkTimes(values: FlagValues): void {
  const heartbeat = values["heartbeat-interval"];
  const election = values["election-timeout"];
  if (heartbeat === 0) throw new Error(`--heartbeat-interval must be >0 (set to ${heartbeat}ms)`);
  if (election === 0) throw new Error(`--election-timeout must be >0 (set to ${election}ms)`);
  if (5 * heartbeat > election) {
    throw new Error(
      `--election-timeout[${election}ms] should be at least as 5 times as --heartbeat-interval[${heartbeat}ms]`,
    );
  }
  if (election > electionTimeoutMaxMs) {
    throw new Error(
      `--election-timeout[${election}ms] is too long, and should be set less than ${electionTimeoutMaxMs}ms`,
    );
  }
  const hashTime = values["compact-hash-check-time"];
  if (hashTime <= 0) throw new Error(`--compact-hash-check-time must be >0 (set to ${formatDuration(hashTime)})`);
}

function checkTracing(values: FlagValues): void {
  if (!values["enable-distributed-tracing"]) return;
  const rate = values["distributed-tracing-sampling-rate"];
  const problem =
    rate < 0
      ? "tracing sampling rate must be positive"
      : rate > 1_000_000
        ? "tracing sampling rate must be less than 1000000"
        : undefined;
  if (problem !== undefined) throw new Error(`distributed tracing configurition is not valid: (${problem})`);
}

function checkTls(values: FlagValues): void {
  const lowest = values["tls-min-version"];
  const highest = values["tls-max-version"];
  for (const version of [lowest, highest]) {
    if (!tlsVersions.includes(version)) {
      throw new Error(`unexpected TLS version ${goQuote(version)} (must be one of: TLS1.2, TLS1.3)`);
    }
  }
  if (highest !== "" && lowest > highest) {
    throw new Error(`min version (${lowest}) is greater than max version (${highest})`);
  }
  if (values["cipher-suites"].length > 0 && lowest === "TLS1.3") {
    throw new Error("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
}

/** Go's `%q` for the plain texts that occur here. */
function goQuote(value: string): string {
  return JSON.stringify(value);
}

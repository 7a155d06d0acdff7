/**
 * From command line, environment and file to checked settings: precedence, former names, feature gates, derived
 * defaults. A file excludes flags and variables; a flag excludes its variable; both beat the default.
 */
import { type NamedUrls, parseUrlsMap } from "../../membership/peer-urls.ts";
import type { AutoCompaction, MemberConfig } from "../../server/config.ts";
import { memberConfig } from "../../server/config.ts";
import { parseDuration } from "../../base/duration.ts";
import type { Logger } from "../../platform/logger.ts";
import { backupSettings, type BackupSettings } from "./backup/backup-settings.ts";
import { parseConfigFile } from "./config-file.ts";
import { addEnvironment, variableOf } from "./environment.ts";
import { resolveGates, type GateValues } from "./feature-gates.ts";
import { defaultValues, flags, formerNames, type Flag, type FlagName, type FlagValues } from "./flags.ts";
import { refusal } from "./not-yet.ts";
import type { ParsedArguments } from "./parse.ts";
import { refuseBothNames, validate } from "./validate.ts";

export interface Settings {
  readonly values: FlagValues;
  readonly gates: GateValues;
  readonly member: MemberConfig;
  /** Undefined: no scheduled backups. */
  readonly backup: BackupSettings | undefined;
  /** Warnings about former names, to be logged once the log is set up. */
  readonly warnings: readonly string[];
  /** The file that the settings came from. */
  readonly file: string | undefined;
}

export interface SettingsSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** @throws {Error} with the system's text when the file cannot be read. */
  readFile(path: string): string;
  /** Where what happens before the settings are known is logged. */
  readonly log: Logger;
}

/** @throws {Error} with etcd's text; nothing was changed. */
export function resolveSettings(parsed: ParsedArguments, sources: SettingsSources): Settings {
  if (parsed.rest.length > 0) throw new Error(`${JSON.stringify(parsed.rest[0])} is not a valid flag`);
  const file =
    (parsed.given.get("config-file") as string | undefined) ||
    sources.environment[variableOf("config-file")] ||
    undefined;
  const given = file === undefined ? new Map(parsed.given) : parseConfigFile(sources.readFile(file));
  if (file === undefined) addEnvironment(sources.environment, given, sources.log);
  refuseBothNames(given);
  const values = withGiven(given);
  validate({ values, given, fromFile: file !== undefined });
  const gates = resolveGates(values["feature-gates"], given);
  const refused = refusal(values, process.versions.node);
  if (refused !== undefined) throw new Error(refused);
  const backup = backupSettings(values);
  return { values, gates, member: toMemberConfig(values, gates), backup, warnings: warningsFor(values, given), file };
}

/** Defaults, then what was given, then former names carried over to their successors. */
function withGiven(given: ReadonlyMap<FlagName, unknown>): FlagValues {
  const values = Object.assign(defaultValues(), Object.fromEntries(given));
  for (const [former, successor] of formerNames) {
    if (given.has(former)) Object.assign(values, { [successor]: values[former] });
  }
  const discovered =
    values.discovery !== "" || values["discovery-srv"] !== "" || values["discovery-endpoints"].length > 0;
  if (!given.has("initial-cluster") && !discovered) {
    values["initial-cluster"] = values["initial-advertise-peer-urls"].map((url) => `${values.name}=${url}`).join(",");
  }
  if (values["data-dir"] === "") values["data-dir"] = `${values.name}.etcd`;
  values["raft-read-timeout"] = Math.max(values["raft-read-timeout"], 5000);
  values["raft-write-timeout"] = Math.max(values["raft-write-timeout"], 5000);
  if (values["v2-deprecation"] !== "write-only-skip-check") values["v2-deprecation"] = "write-only";
  return values;
}

function warningsFor(values: FlagValues, given: ReadonlyMap<FlagName, unknown>): string[] {
  const warnings: string[] = [];
  if (values["memory-mlock"]) {
    warnings.push(
      "--memory-mlock locks nothing: database pages are read through a bounded cache and never mapped; to keep the process out of swap, set MemorySwapMax=0 or run without swap",
    );
  }
  for (const name of given.keys()) {
    const { deprecated }: Flag<unknown> = flags[name];
    if (deprecated) warnings.push(deprecated);
  }
  return warnings;
}

function toMemberConfig(values: FlagValues, gates: GateValues): MemberConfig {
  return memberConfig({
    name: values.name,
    dataDir: values["data-dir"],
    walDir: values["wal-dir"] === "" ? undefined : values["wal-dir"],
    snapshotCount: values["snapshot-count"],
    snapshotCatchUpEntries: Math.max(values["snapshot-catchup-entries"], 1),
    maxSnapshots: values["max-snapshots"],
    maxWals: values["max-wals"],
    heartbeatIntervalMs: values["heartbeat-interval"],
    electionTimeoutMs: values["election-timeout"],
    initialElectionTickAdvance: values["initial-election-tick-advance"],
    preVote: values["pre-vote"],
    quotaBackendBytes: values["quota-backend-bytes"],
    backendBatchIntervalMs: values["backend-batch-interval"] || 100,
    backendBatchLimit: values["backend-batch-limit"] || 10_000,
    bootstrapDefragThresholdMegabytes: values["bootstrap-defrag-threshold-megabytes"],
    unsafeNoFsync: values["unsafe-no-fsync"],
    maxRequestBytes: values["max-request-bytes"],
    maxTxnOps: values["max-txn-ops"],
    initialAdvertisePeerUrls: values["initial-advertise-peer-urls"],
    advertiseClientUrls: values["advertise-client-urls"],
    initialCluster: foundersOf(values),
    initialClusterState: values["initial-cluster-state"],
    initialClusterToken: values.discovery || values["discovery-token"] || values["initial-cluster-token"],
    strictReconfigCheck: values["strict-reconfig-check"],
    maxLearners: values["max-learners"],
    forceNewCluster: values["force-new-cluster"],
    clientCertAuth: values["client-cert-auth"],
    authToken: values["auth-token"],
    authTokenTtlSeconds: values["auth-token-ttl"],
    bcryptCost: values["bcrypt-cost"],
    autoCompaction: parseAutoCompaction(values["auto-compaction-mode"], values["auto-compaction-retention"]),
    compactionBatchLimit: values["compaction-batch-limit"] || 1000,
    compactionSleepIntervalMs: values["compaction-sleep-interval"] || 10,
    leaseCheckpoint: gates.LeaseCheckpoint,
    leaseCheckpointPersist: gates.LeaseCheckpointPersist,
    warningApplyDurationMs: values["warning-apply-duration"],
    warningUnaryRequestDurationMs: values["warning-unary-request-duration"] || 300,
    watchProgressNotifyIntervalMs: values["watch-progress-notify-interval"] || 600_000,
    initialCorruptCheck: gates.InitialCorruptCheck,
    corruptCheckTimeMs: values["corrupt-check-time"],
    compactHashCheckTimeMs: gates.CompactHashCheck ? values["compact-hash-check-time"] : 0,
    downgradeCheckTimeMs: values["downgrade-check-time"],
  });
}

/**
 * Who founds the cluster, as far as the flags say: with a registry only this member, with DNS nobody yet. A list that
 * cannot be read is none: it matters at the first start only, and is refused there (discovery-settings.ts).
 */
function foundersOf(values: FlagValues): NamedUrls[] {
  if (values["discovery-srv"] !== "") return [];
  if (values.discovery !== "" || values["discovery-endpoints"].length > 0) {
    return [{ name: values.name, peerUrls: values["initial-advertise-peer-urls"] }];
  }
  try {
    return parseUrlsMap(values["initial-cluster"]);
  } catch {
    return [];
  }
}

/** A setting that etcd finds wrong only when it starts: the flags are well-formed. */
export class StartSettingError extends Error {
  override readonly name = "StartSettingError";
}

/** @throws {StartSettingError} with etcd's text. */
export function parseAutoCompaction(mode: string, retention: string): AutoCompaction {
  const isNumber = /^[+-]?\d+$/.test(retention);
  // Go reads a negative number as a duration, which lacks its unit then.
  if (isNumber && retention.startsWith("-") && Number(retention) < 0) {
    const reason = `time: missing unit in duration ${JSON.stringify(retention)}`;
    throw new StartSettingError(`error parsing CompactionRetention: ${reason}`);
  }
  if (mode === "revision") {
    if (!isNumber) {
      throw new StartSettingError(
        `error parsing CompactionRetention: strconv.ParseInt: parsing ${JSON.stringify(retention)}: invalid syntax`,
      );
    }
    const retentionRevisions = Number(retention);
    return retentionRevisions === 0 ? { mode: "off" } : { mode: "revision", retentionRevisions };
  }
  let retentionMs: number;
  try {
    retentionMs = isNumber ? Number(retention) * 3_600_000 : parseDuration(retention);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new StartSettingError(`error parsing CompactionRetention: ${text}`, { cause });
  }
  if (retentionMs < 0) {
    // etcd takes it and compacts without pause (GHSA-pm3m-32r3-7mfh).
    throw new StartSettingError(`--auto-compaction-retention must not be negative, is ${JSON.stringify(retention)}`);
  }
  return retentionMs === 0 ? { mode: "off" } : { mode: "periodic", retentionMs };
}

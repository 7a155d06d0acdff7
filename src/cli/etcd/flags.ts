/**
 * Every flag of etcd 3.6's server, once: its kind, default, help section and where it stands in a configuration
 * file. Parsing, environment, file, help and validation all read this table.
 */
import {
  bool,
  duration,
  int,
  int64,
  oneOf,
  origins,
  outputs,
  strings,
  text,
  uint,
  uint32,
  uint64,
  uniqueStrings,
  urls,
  type ValueKind,
} from "./values.ts";

export interface Flag<T> {
  readonly kind: ValueKind<T>;
  readonly default: T;
  readonly section: Section;
  readonly help: string;
  /** Dotted path in the configuration file when it is not the flag's name; null when a file cannot set it. */
  readonly file?: string | null;
  /** The 3.5 name of a flag that 3.6 renamed: printed as a warning when used. */
  readonly deprecated?: string;
}

export const sections = [
  "Member",
  "Clustering",
  "Security",
  "Auth",
  "Profiling and Monitoring",
  "Logging",
  "Distributed tracing",
  "Checks, compaction and watches",
  "Backups (of quorate)",
  "Unsafe",
  "Miscellaneous",
  "Former names (3.5)",
] as const;

export type Section = (typeof sections)[number];

function flag<T>(
  section: Section,
  kind: ValueKind<T>,
  initial: NoInfer<T>,
  help: string,
  file?: string | null,
): Flag<T> {
  return file === undefined
    ? { kind, default: initial, section, help }
    : { kind, default: initial, section, help, file };
}

/** A 3.5 name; `successor` is its flag or feature gate in 3.6. */
function former<T>(kind: ValueKind<T>, initial: NoInfer<T>, successor: string, warning: string): Flag<T> {
  return {
    kind,
    default: initial,
    section: "Former names (3.5)",
    help: `Use --${successor}.`,
    deprecated: warning,
  };
}

const clientSecurity = "client-transport-security";
const peerSecurity = "peer-transport-security";
const discovery = "discovery-config.client";

/** What the version texts of the deprecation warnings look like differs by flag; etcd prints them so. */
function renamed(name: string, successor: string, prefix = "v3"): string {
  const [from, to] = prefix === "v3" ? ["v3.6", "v3.7"] : ["3.6", "3.7"];
  return `--${name} is deprecated in ${from} and will be decommissioned in ${to}. Use ${successor} instead.`;
}

export const flags = {
  name: flag("Member", text, "default", "Name of this member, for people."),
  "data-dir": flag("Member", text, "", "Where the member keeps its data; <name>.etcd when empty."),
  "wal-dir": flag("Member", text, "", "A directory of its own for the write-ahead log."),
  "snapshot-count": flag("Member", uint64, 10_000, "Applied entries after which the member snapshots its raft state."),
  "heartbeat-interval": flag("Member", uint, 100, "Milliseconds between heartbeats of the leader."),
  "election-timeout": flag("Member", uint, 1000, "Milliseconds without a leader before an election starts."),
  "initial-election-tick-advance": flag("Member", bool, true, "Start the first election sooner after boot."),
  "listen-peer-urls": flag("Member", urls, ["http://localhost:2380"], "URLs to listen on for other members."),
  "listen-client-urls": flag(
    "Member",
    urls,
    ["http://localhost:2379"],
    "URLs to listen on for clients: gRPC, and HTTP unless --listen-client-http-urls is set.",
  ),
  "listen-client-http-urls": flag("Member", urls, [], "URLs for HTTP alone; the client URLs then serve gRPC alone."),
  "max-snapshots": {
    ...flag("Member", uint, 5, "Snapshot files to keep; 0 keeps all."),
    deprecated: "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.",
  },
  "max-wals": flag("Member", uint, 5, "WAL files to keep; 0 keeps all."),
  "memory-mlock": flag("Member", bool, false, "Keep database pages locked in memory."),
  "quota-backend-bytes": flag("Member", int64, 0, "Size limit of the database; 0 is 2 GiB, negative is none."),
  "backend-bbolt-freelist-type": flag("Member", text, "", "Free page list of the database: map or array."),
  "backend-batch-interval": flag("Member", duration, 0, "Longest time before the database commits; 0 is 100ms."),
  "backend-batch-limit": flag("Member", int, 0, "Most changes before the database commits; 0 is 10000."),
  "max-txn-ops": flag("Member", uint, 128, "Most operations in one transaction."),
  "max-request-bytes": flag("Member", uint, 1_572_864, "Largest client request."),
  "max-concurrent-streams": flag("Member", uint32, 0xffff_ffff, "Most streams that a client has open on a connection."),
  "grpc-keepalive-min-time": flag("Member", duration, 5000, "Shortest time between pings that a client may send."),
  "grpc-keepalive-interval": flag("Member", duration, 7_200_000, "Time between pings of the server; 0 is off."),
  "grpc-keepalive-timeout": flag("Member", duration, 20_000, "Wait for a ping's answer before closing; 0 is off."),
  "socket-reuse-port": flag("Member", bool, false, "Listen with SO_REUSEPORT.", "socket-options.reuse-port"),
  "socket-reuse-address": flag("Member", bool, false, "Listen with SO_REUSEADDR.", "socket-options.reuse-address"),
  "enable-grpc-gateway": flag("Member", bool, true, "Serve the JSON gateway below /v3/."),
  "raft-read-timeout": flag("Member", duration, 5000, "Read timeout of connections between members.", null),
  "raft-write-timeout": flag("Member", duration, 5000, "Write timeout of connections between members.", null),
  "snapshot-catchup-entries": flag("Member", uint64, 5000, "Entries kept for slow followers after a raft snapshot."),
  "max-learners": flag("Member", int, 1, "Most learners in the cluster."),
  "bootstrap-defrag-threshold-megabytes": flag(
    "Member",
    uint,
    0,
    "Defragment at start when it frees at least this much; 0 is off.",
  ),

  "initial-advertise-peer-urls": flag(
    "Clustering",
    urls,
    ["http://localhost:2380"],
    "Peer URLs of this member as the others are to use them.",
  ),
  "advertise-client-urls": flag("Clustering", urls, ["http://localhost:2379"], "Client URLs to tell to clients."),
  "initial-cluster": flag("Clustering", text, "", "Members at the first start: name=url,name=url,..."),
  "initial-cluster-state": flag(
    "Clustering",
    oneOf("new", "existing"),
    "new",
    "'new' for a new cluster, 'existing' to join a running one.",
  ),
  "initial-cluster-token": flag("Clustering", text, "etcd-cluster", "Keeps clusters apart at the first start."),
  discovery: flag("Clustering", text, "", "URL of a v2 discovery service."),
  "discovery-proxy": flag("Clustering", text, "", "HTTP proxy for the discovery service."),
  "discovery-fallback": flag(
    "Clustering",
    oneOf("exit", "proxy"),
    "exit",
    "What to do when discovery fails; 'proxy' is no longer possible.",
    null,
  ),
  "discovery-srv": flag("Clustering", text, "", "DNS domain whose SRV records name the members."),
  "discovery-srv-name": flag("Clustering", text, "", "Suffix of the SRV service name."),
  "discovery-token": flag(
    "Clustering",
    text,
    "",
    "Token of this cluster at the discovery service.",
    "discovery-config.token",
  ),
  "discovery-endpoints": flag(
    "Clustering",
    uniqueStrings,
    [],
    "Endpoints of the v3 discovery service.",
    `${discovery}.endpoints`,
  ),
  "discovery-dial-timeout": flag(
    "Clustering",
    duration,
    2000,
    "Timeout to connect to it.",
    `${discovery}.dial-timeout`,
  ),
  "discovery-request-timeout": flag(
    "Clustering",
    duration,
    5000,
    "Timeout of its requests.",
    `${discovery}.request-timeout`,
  ),
  "discovery-keepalive-time": flag(
    "Clustering",
    duration,
    2000,
    "Time between pings to it.",
    `${discovery}.keepalive-time`,
  ),
  "discovery-keepalive-timeout": flag(
    "Clustering",
    duration,
    6000,
    "Wait for a ping's answer.",
    `${discovery}.keepalive-timeout`,
  ),
  "discovery-insecure-transport": flag(
    "Clustering",
    bool,
    true,
    "Connect to it without TLS.",
    `${discovery}.secure.insecure-transport`,
  ),
  "discovery-insecure-skip-tls-verify": flag(
    "Clustering",
    bool,
    false,
    "Do not verify its certificate (for tests).",
    `${discovery}.secure.insecure-skip-tls-verify`,
  ),
  "discovery-cert": flag("Clustering", text, "", "Certificate to show to it.", `${discovery}.secure.cert`),
  "discovery-key": flag("Clustering", text, "", "Key of that certificate.", `${discovery}.secure.key`),
  "discovery-cacert": flag("Clustering", text, "", "CA that signed its certificate.", `${discovery}.secure.cacert`),
  "discovery-user": flag("Clustering", text, "", "User name at it.", `${discovery}.auth.username`),
  "discovery-password": flag("Clustering", text, "", "Password of that user.", `${discovery}.auth.password`),
  "strict-reconfig-check": flag("Clustering", bool, true, "Refuse membership changes that would lose the quorum."),
  "pre-vote": flag("Clustering", bool, true, "Ask for votes before raising the term."),
  "auto-compaction-retention": flag("Clustering", text, "0", "History to keep by automatic compaction; 0 is off."),
  "auto-compaction-mode": flag(
    "Clustering",
    text,
    "periodic",
    "'periodic': retention is a time (hours without a unit); 'revision': a number of revisions.",
  ),
  "v2-deprecation": {
    ...flag(
      "Clustering",
      oneOf("write-only", "write-only-skip-check", "write-only-drop-data", "gone"),
      "write-only",
      "Stage of the v2 store's removal; only write-only-skip-check has an effect.",
    ),
    deprecated:
      "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, ignoring user input.",
  },

  "cert-file": flag("Security", text, "", "Server certificate for clients.", `${clientSecurity}.cert-file`),
  "key-file": flag("Security", text, "", "Key of the server certificate.", `${clientSecurity}.key-file`),
  "client-cert-file": flag(
    "Security",
    text,
    "",
    "Certificate this member shows as a client.",
    `${clientSecurity}.client-cert-file`,
  ),
  "client-key-file": flag("Security", text, "", "Key of that certificate.", `${clientSecurity}.client-key-file`),
  "client-cert-auth": flag(
    "Security",
    bool,
    false,
    "Require client certificates.",
    `${clientSecurity}.client-cert-auth`,
  ),
  "client-crl-file": flag("Security", text, "", "Revoked client certificates.", null),
  "client-cert-allowed-hostname": flag(
    "Security",
    strings,
    [],
    "Host names of which a client certificate must bear one.",
    `${clientSecurity}.allowed-hostname`,
  ),
  "trusted-ca-file": flag("Security", text, "", "CA of client certificates.", `${clientSecurity}.trusted-ca-file`),
  "auto-tls": flag(
    "Security",
    bool,
    false,
    "Make a self-signed certificate for clients.",
    `${clientSecurity}.auto-tls`,
  ),
  "peer-cert-file": flag("Security", text, "", "Server certificate for peers.", `${peerSecurity}.cert-file`),
  "peer-key-file": flag("Security", text, "", "Key of the peer certificate.", `${peerSecurity}.key-file`),
  "peer-client-cert-file": flag(
    "Security",
    text,
    "",
    "Certificate shown to other members.",
    `${peerSecurity}.client-cert-file`,
  ),
  "peer-client-key-file": flag("Security", text, "", "Key of that certificate.", `${peerSecurity}.client-key-file`),
  "peer-client-cert-auth": flag(
    "Security",
    bool,
    false,
    "Require peer certificates.",
    `${peerSecurity}.client-cert-auth`,
  ),
  "peer-trusted-ca-file": flag("Security", text, "", "CA of peer certificates.", `${peerSecurity}.trusted-ca-file`),
  "peer-cert-allowed-cn": flag(
    "Security",
    strings,
    [],
    "Common names allowed for peers.",
    `${peerSecurity}.allowed-cn`,
  ),
  "peer-cert-allowed-hostname": flag(
    "Security",
    strings,
    [],
    "Host names allowed for peers.",
    `${peerSecurity}.allowed-hostname`,
  ),
  "peer-auto-tls": flag(
    "Security",
    bool,
    false,
    "Make a self-signed certificate for peers.",
    `${peerSecurity}.auto-tls`,
  ),
  "peer-crl-file": flag("Security", text, "", "Revoked peer certificates.", null),
  "peer-skip-client-san-verification": flag(
    "Security",
    bool,
    false,
    "Do not check the names in peers' client certificates.",
    `${peerSecurity}.skip-client-san-verification`,
  ),
  "self-signed-cert-validity": flag("Security", uint, 1, "Years that self-made certificates are valid."),
  "cipher-suites": flag("Security", strings, [], "TLS cipher suites to allow."),
  "tls-min-version": flag("Security", text, "TLS1.2", "Lowest TLS version: TLS1.2 or TLS1.3."),
  "tls-max-version": flag("Security", text, "", "Highest TLS version; empty for the newest."),
  cors: flag("Security", origins, ["*"], "Origins that browsers may call from."),
  "host-whitelist": flag("Security", uniqueStrings, ["*"], "Host names that HTTP requests may bear."),

  "auth-token": flag("Auth", text, "simple", "Token type and options: simple, or jwt,sign-method=...,pub-key=..."),
  "bcrypt-cost": flag("Auth", uint, 10, "Cost of password hashing."),
  "auth-token-ttl": flag("Auth", uint, 300, "Seconds that a simple token lives."),

  "enable-pprof": flag("Profiling and Monitoring", bool, false, "Serve profiles below /debug/pprof/."),
  metrics: flag("Profiling and Monitoring", text, "basic", "'extensive' adds histograms of gRPC calls."),
  "listen-metrics-urls": flag("Profiling and Monitoring", urls, [], "More URLs that serve metrics and health."),

  logger: flag("Logging", text, "zap", "Only 'zap' (structured lines)."),
  "log-outputs": flag("Logging", outputs, ["default"], "stderr, stdout, systemd/journal, or files; default is stderr."),
  "log-level": flag("Logging", text, "info", "debug, info, warn, error, panic or fatal."),
  "log-format": flag("Logging", text, "json", "json or console."),
  "enable-log-rotation": flag("Logging", bool, false, "Rotate the one log file of --log-outputs."),
  "log-rotation-config-json": flag(
    "Logging",
    text,
    '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
    "When to put the file aside (maxsize, MB), which old ones stay (maxage, days; maxbackups), compressed or not.",
  ),

  "enable-distributed-tracing": flag("Distributed tracing", bool, false, "Send OpenTelemetry traces."),
  "distributed-tracing-address": flag("Distributed tracing", text, "localhost:4317", "Collector of traces."),
  "distributed-tracing-service-name": flag("Distributed tracing", text, "etcd", "Service name in traces."),
  "distributed-tracing-instance-id": flag("Distributed tracing", text, "", "Instance id in traces."),
  "distributed-tracing-sampling-rate": flag("Distributed tracing", int, 0, "Samples per million spans."),

  "corrupt-check-time": flag(
    "Checks, compaction and watches",
    duration,
    0,
    "Time between corruption checks; 0 is off.",
  ),
  "compact-hash-check-time": flag(
    "Checks, compaction and watches",
    duration,
    60_000,
    "Time between comparisons of compaction hashes.",
  ),
  "compaction-batch-limit": flag(
    "Checks, compaction and watches",
    int,
    0,
    "Revisions per compaction batch; 0 is 1000.",
  ),
  "compaction-sleep-interval": flag("Checks, compaction and watches", duration, 0, "Rest between batches; 0 is 10ms."),
  "watch-progress-notify-interval": flag(
    "Checks, compaction and watches",
    duration,
    0,
    "Time between progress notifications; 0 is 10m.",
  ),
  "warning-apply-duration": flag(
    "Checks, compaction and watches",
    duration,
    100,
    "Applies slower than this are logged.",
  ),
  "warning-unary-request-duration": flag(
    "Checks, compaction and watches",
    duration,
    0,
    "Requests slower than this are logged; 0 is 300ms.",
  ),
  "downgrade-check-time": flag("Checks, compaction and watches", duration, 5000, "Time between downgrade checks."),

  "quorate-backup-schedule": flag(
    "Backups (of quorate)",
    text,
    "",
    "When to back up this member, as a cron expression in UTC ('0 */6 * * *', @hourly, @daily); empty is never.",
  ),
  "quorate-backup-dir": flag("Backups (of quorate)", text, "", "Directory of the backups."),
  "quorate-backup-retention": flag(
    "Backups (of quorate)",
    text,
    "",
    "What to keep: a number of backups, an age (30d, 72h), or both with a comma; empty keeps all.",
  ),
  "quorate-backup-age-recipients": flag(
    "Backups (of quorate)",
    strings,
    [],
    "Encrypt to these: age recipients (age1...), or files with one a line; empty is not encrypted.",
  ),

  "unsafe-no-fsync": flag("Unsafe", bool, false, "Do not sync to disk: a crash loses data."),
  "force-new-cluster": flag("Unsafe", bool, false, "Make a one-member cluster out of this data directory."),

  "feature-gates": flag("Miscellaneous", text, "", "Feature=true|false pairs, comma separated."),
  "config-file": flag("Miscellaneous", text, "", "YAML file with the settings; other flags are then ignored.", null),
  version: flag("Miscellaneous", bool, false, "Print the version and exit.", null),

  "experimental-initial-corrupt-check": former(bool, false, "feature-gates=InitialCorruptCheck=true", ""),
  "experimental-compact-hash-check-enabled": former(
    bool,
    false,
    "feature-gates=CompactHashCheck=true",
    renamed("experimental-compact-hash-check-enabled", "'--feature-gates=CompactHashCheck=true'", ""),
  ),
  "experimental-enable-lease-checkpoint": former(bool, false, "feature-gates=LeaseCheckpoint=true", ""),
  "experimental-enable-lease-checkpoint-persist": former(bool, false, "feature-gates=LeaseCheckpointPersist=true", ""),
  "experimental-txn-mode-write-with-shared-buffer": former(
    bool,
    true,
    "feature-gates=TxnModeWriteWithSharedBuffer=true",
    renamed("experimental-txn-mode-write-with-shared-buffer", "'--feature-gates=TxnModeWriteWithSharedBuffer=true'"),
  ),
  "experimental-stop-grpc-service-on-defrag": former(bool, false, "feature-gates=StopGRPCServiceOnDefrag=true", ""),
  "experimental-corrupt-check-time": formerName(duration, 0, "corrupt-check-time"),
  "experimental-compact-hash-check-time": former(
    duration,
    60_000,
    "compact-hash-check-time",
    renamed("experimental-compact-hash-check-time", "'--compact-hash-check-time'", ""),
  ),
  "experimental-compaction-batch-limit": formerName(int, 0, "compaction-batch-limit"),
  "experimental-compaction-sleep-interval": former(
    duration,
    0,
    "compaction-sleep-interval",
    renamed("experimental-compaction-sleep-interval", "'compaction-sleep-interval'"),
  ),
  "experimental-watch-progress-notify-interval": formerName(duration, 0, "watch-progress-notify-interval"),
  "experimental-warning-apply-duration": formerName(duration, 100, "warning-apply-duration"),
  "experimental-warning-unary-request-duration": former(duration, 0, "warning-unary-request-duration", ""),
  "experimental-bootstrap-defrag-threshold-megabytes": formerName(uint, 0, "bootstrap-defrag-threshold-megabytes"),
  "experimental-memory-mlock": formerName(bool, false, "memory-mlock"),
  "experimental-snapshot-catchup-entries": formerName(uint64, 5000, "snapshot-catchup-entries"),
  "experimental-downgrade-check-time": formerName(duration, 5000, "downgrade-check-time"),
  "experimental-peer-skip-client-san-verification": former(bool, false, "peer-skip-client-san-verification", ""),
  "experimental-enable-distributed-tracing": formerTracing(bool, false, "enable-distributed-tracing"),
  "experimental-distributed-tracing-address": formerTracing(text, "localhost:4317", "distributed-tracing-address"),
  "experimental-distributed-tracing-service-name": formerTracing(text, "etcd", "distributed-tracing-service-name"),
  "experimental-distributed-tracing-instance-id": formerTracing(text, "", "distributed-tracing-instance-id"),
  "experimental-distributed-tracing-sampling-rate": formerTracing(int, 0, "distributed-tracing-sampling-rate"),
} as const satisfies Record<string, unknown>;

function formerName<T>(kind: ValueKind<T>, initial: NoInfer<T>, successor: string): Flag<T> {
  return former(kind, initial, successor, renamed(`experimental-${successor}`, `'--${successor}'`));
}

function formerTracing<T>(kind: ValueKind<T>, initial: NoInfer<T>, successor: string): Flag<T> {
  return former(kind, initial, successor, renamed(`experimental-${successor}`, `--${successor}`, ""));
}

export type FlagName = keyof typeof flags;

/** The value of every flag, by name. */
export type FlagValues = { -readonly [K in FlagName]: (typeof flags)[K] extends Flag<infer T> ? T : never };

export const flagNames = Object.keys(flags) as FlagName[];

export function isFlagName(name: string): name is FlagName {
  return Object.hasOwn(flags, name);
}

/** Old names that etcd accepts, with a warning, and does nothing with. */
export const ignoredFlags: readonly string[] = [
  "cluster-active-size",
  "cluster-remove-delay",
  "cluster-sync-interval",
  "config",
  "force",
  "max-result-buffer",
  "max-retry-attempts",
  "peer-heartbeat-interval",
  "peer-election-timeout",
  "retry-interval",
  "snapshot",
  "v",
  "vv",
  "test.coverprofile",
  "test.outputdir",
];

export function defaultValues(): FlagValues {
  return Object.fromEntries(flagNames.map((name) => [name, flags[name].default])) as unknown as FlagValues;
}

/** Former names that only rename a flag: old → new. */
export const formerNames = flagNames
  .filter((name) => name.startsWith("experimental-") && isFlagName(name.slice("experimental-".length)))
  .map((name) => [name, name.slice("experimental-".length) as FlagName] as const);

import { expect, test } from "vitest";
import type { LogFields, Logger } from "../../platform/logger.ts";
import { parseArguments } from "./parse.ts";
import { parseAutoCompaction, resolveSettings, type Settings } from "./settings.ts";

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

function recordingLogger(lines: Line[]): Logger {
  const log =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields });
  return {
    enabled: () => true,
    log: (level, message, fields) => log(level)(message, fields),
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    fatal: log("fatal"),
    withCaller: () => recordingLogger(lines),
  };
}

function resolve(
  args: string[],
  {
    environment = {},
    files = {},
    lines = [],
  }: { environment?: Record<string, string>; files?: Record<string, string>; lines?: Line[] } = {},
): Settings {
  return resolveSettings(parseArguments(args), {
    environment,
    log: recordingLogger(lines),
    readFile(path) {
      const text = files[path];
      if (text === undefined) throw new Error(`open ${path}: no such file or directory`);
      return text;
    },
  });
}

test("without flags the settings are etcd's defaults", () => {
  const { values, member } = resolve([]);
  expect(values["listen-client-urls"]).toEqual(["http://localhost:2379"]);
  expect(values["data-dir"]).toBe("default.etcd");
  expect(member.initialCluster).toEqual([{ name: "default", peerUrls: ["http://localhost:2380"] }]);
  expect(member.snapshotCount).toBe(10_000);
  expect(member.autoCompaction).toEqual({ mode: "off" });
});

test("the name gives the data directory and the initial cluster", () => {
  const { values, member } = resolve(["--name", "infra0", "--initial-advertise-peer-urls=http://10.0.0.1:2380"]);
  expect(values["data-dir"]).toBe("infra0.etcd");
  expect(member.initialCluster).toEqual([{ name: "infra0", peerUrls: ["http://10.0.0.1:2380"] }]);
});

test("a flag comes as -x v, --x v, -x=v or --x=v, and the last one counts", () => {
  for (const form of [["-name", "b"], ["--name", "b"], ["-name=b"], ["--name=b"]]) {
    expect(resolve(["--name=a", ...form]).values.name).toBe("b");
  }
});

test("a switch takes its value only behind an equals sign", () => {
  expect(resolve(["--pre-vote=false"]).values["pre-vote"]).toBe(false);
  expect(resolve(["--pre-vote"]).values["pre-vote"]).toBe(true);
  expect(() => resolve(["--pre-vote", "false"])).toThrow('"false" is not a valid flag');
});

test.each([
  [["--bogus"], "flag provided but not defined: -bogus"],
  [["--name"], "flag needs an argument: -name"],
  [["--pre-vote=x"], 'invalid boolean value "x" for -pre-vote: parse error'],
  [["--max-wals=x"], 'invalid value "x" for flag -max-wals: parse error'],
  [["--max-wals=-1"], 'invalid value "-1" for flag -max-wals: value out of range'],
  [["--initial-cluster-state=foo"], 'invalid value "foo" for flag -initial-cluster-state: invalid value'],
  [
    ["--listen-client-urls=x"],
    'invalid value "x" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: x',
  ],
  [
    ["--listen-client-urls=http://a"],
    'invalid value "http://a" for flag -listen-client-urls: URL address does not have the form "host:port": http://a',
  ],
  [
    ["--listen-client-urls=http://a:1/b"],
    'invalid value "http://a:1/b" for flag -listen-client-urls: URL must not contain a path: http://a:1/b',
  ],
  [["--feature-gates=Nope=true"], 'invalid value "Nope=true" for flag -feature-gates: unrecognized feature gate: Nope'],
  [["--feature-gates=LeaseCheckpoint"], "missing bool value for LeaseCheckpoint"],
])("%j is a mistake on the command line", (args, message) => {
  expect(() => parseArguments(args)).toThrow(message);
});

test.each([
  [["foo"], '"foo" is not a valid flag'],
  [
    ["--listen-client-urls=http://127.0.0.1:1"],
    "--advertise-client-urls is required when --listen-client-urls is set explicitly",
  ],
  [["--listen-peer-urls=http://foo:2379"], "expected IP in URL for binding (http://foo:2379)"],
  [
    ["--election-timeout=400"],
    "--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]",
  ],
  [["--election-timeout=60000"], "--election-timeout[60000ms] is too long, and should be set less than 50000ms"],
  [["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)"],
  [["--auto-compaction-mode=x"], 'unknown auto-compaction-mode "x"'],
  [["--compact-hash-check-time=0s"], "--compact-hash-check-time must be >0 (set to 0s)"],
  [["--logger=x"], 'unknown logger option "x"'],
  [["--log-format=x"], "unknown log format: x, supported values json, console"],
  [
    ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
    "min version (TLS1.3) is greater than max version (TLS1.2)",
  ],
  [["--discovery-token=a"], "both --discovery-token and --discovery-endpoints must be set"],
  [["--discovery-endpoints=http://d:1"], "both --discovery-token and --discovery-endpoints must be set"],
  [
    ["--discovery-proxy=http://p:1", "--discovery-user=u"],
    "both v2 discovery settings (discovery, discovery-proxy) and",
  ],
  [["--initial-cluster=a=http://a:1", "--discovery-srv=x"], "multiple discovery or bootstrap flags are set."],
  [["--discovery-fallback=proxy"], 'v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"'],
  [["--feature-gates=LeaseCheckpointPersist=true"], "requires enabling feature gate LeaseCheckpoint"],
  [
    ["--compaction-batch-limit=1", "--experimental-compaction-batch-limit=2"],
    "cannot set --experimental-compaction-batch-limit and --compaction-batch-limit at the same time",
  ],
  [
    ["--experimental-initial-corrupt-check", "--feature-gates=InitialCorruptCheck=false"],
    "cannot specify both flags: --experimental-initial-corrupt-check=true and --feature-gates=InitialCorruptCheck=false",
  ],
])("%j is refused with etcd's words", (args, message) => {
  expect(() => resolve(args)).toThrow(message);
});

test("a proxy for a v2 discovery service under TLS is refused because this version does not act on it", () => {
  const proxy = "--discovery-proxy=http://proxy.example.com";
  expect(() => resolve(["--discovery=https://d.example.com/t", proxy])).toThrow(/cannot be used/);
  expect(resolve(["--discovery=http://d.example.com/t", proxy]).member.initialClusterToken).toBe(
    "http://d.example.com/t",
  );
});

test("a variable sets what no flag set, and is logged", () => {
  const lines: Line[] = [];
  const { values } = resolve([], { environment: { ETCD_NAME: "e", ETCD_MAX_WALS: "" }, lines });
  expect(values.name).toBe("e");
  expect(values["max-wals"]).toBe(5);
  expect(lines).toContainEqual({
    level: "info",
    message: "recognized and used environment variable",
    fields: { "variable-name": "ETCD_NAME", "variable-value": "e" },
  });
});

test("a flag and its variable together are refused", () => {
  expect(() => resolve(["--name=a"], { environment: { ETCD_NAME: "e" } })).toThrow(
    "conflicting environment variable is shadowed by corresponding command-line flag",
  );
});

test("a bad variable names the variable", () => {
  expect(() => resolve([], { environment: { ETCD_MAX_WALS: "x" } })).toThrow(
    'invalid value "x" for ETCD_MAX_WALS: parse error',
  );
});

test("an unknown ETCD_ variable is only a warning", () => {
  const lines: Line[] = [];
  resolve([], { environment: { ETCD_NOPE: "1" }, lines });
  expect(lines.map((line) => line.message)).toEqual(["unrecognized environment variable"]);
});

test("a former name carries its value to the new flag and warns", () => {
  const { member, warnings } = resolve(["--experimental-compaction-batch-limit=7"]);
  expect(member.compactionBatchLimit).toBe(7);
  expect(warnings).toEqual([
    "--experimental-compaction-batch-limit is deprecated in v3.6 and will be decommissioned in v3.7. Use '--compaction-batch-limit' instead.",
  ]);
});

test("gates come from --feature-gates, AllAlpha, and 3.5's flags", () => {
  expect(resolve(["--feature-gates=AllAlpha=true,SetMemberLocalAddr=false"]).gates.LeaseCheckpoint).toBe(true);
  expect(resolve(["--experimental-enable-lease-checkpoint"]).member.leaseCheckpoint).toBe(true);
});

test("a file excludes flags and variables", () => {
  const yaml =
    "name: f\nmax-wals: 9\ngrpc-keepalive-min-time: 1000000000\nlisten-client-urls: http://127.0.0.1:1,http://127.0.0.1:2\nsocket-options: {reuse-address: true}\n";
  const { values, file } = resolve(["--config-file", "c.yaml", "--name=x"], {
    environment: { ETCD_MAX_SNAPSHOTS: "3" },
    files: { "c.yaml": yaml },
  });
  expect(file).toBe("c.yaml");
  expect(values.name).toBe("f");
  expect(values["max-wals"]).toBe(9);
  expect(values["max-snapshots"]).toBe(5);
  expect(values["grpc-keepalive-min-time"]).toBe(1000);
  expect(values["listen-client-urls"]).toEqual(["http://127.0.0.1:1", "http://127.0.0.1:2"]);
  expect(values["socket-reuse-address"]).toBe(true);
});

test.each([
  [
    "grpc-keepalive-min-time: 5s",
    "json: cannot unmarshal string into Go struct field configYAML.Config.grpc-keepalive-min-time of type time.Duration",
  ],
  ["initial-cluster-state: x", 'unexpected clusterState "x"'],
  [
    "listen-peer-urls: x",
    "unexpected error setting up listen-peer-urls: URL scheme must be http, https, unix, or unixs: x",
  ],
  ["advertise-client-urls: x", "unexpected error setting up advertise-peer-urls: "],
  ["name: [", "error converting YAML to JSON"],
])("a file with %j is refused", (yaml, message) => {
  expect(() => resolve(["--config-file=c"], { files: { c: yaml } })).toThrow(message);
});

test("a missing file is named", () => {
  expect(() => resolve(["--config-file=nope"])).toThrow("open nope: no such file or directory");
});

test("with discovery the cluster is this member alone, under the registry's token, or not known at all", () => {
  const registry = resolve(["--name=m1", "--discovery-token=t", "--discovery-endpoints=http://d:1"]).member;
  expect(registry.initialCluster).toEqual([{ name: "m1", peerUrls: ["http://localhost:2380"] }]);
  expect(registry.initialClusterToken).toBe("t");
  expect(resolve(["--discovery-srv=example.com"]).member.initialCluster).toEqual([]);
});

test.each([
  ["periodic", "-1", 'time: missing unit in duration "-1"'],
  ["revision", "-1", 'time: missing unit in duration "-1"'],
  ["periodic", "-5m", "must not be negative"],
])("a negative retention, %s %s, is refused and not compacted without pause", (mode, retention, text) => {
  expect(() => parseAutoCompaction(mode, retention)).toThrow(text);
});

test("retention is hours, a duration, or revisions", () => {
  expect(parseAutoCompaction("periodic", "2")).toEqual({ mode: "periodic", retentionMs: 7_200_000 });
  expect(parseAutoCompaction("periodic", "90m")).toEqual({ mode: "periodic", retentionMs: 5_400_000 });
  expect(parseAutoCompaction("revision", "1000")).toEqual({ mode: "revision", retentionRevisions: 1000 });
  expect(() => parseAutoCompaction("periodic", "x")).toThrow(
    'error parsing CompactionRetention: time: invalid duration "x"',
  );
});

test("scheduled backups need a time and a place; the rest has defaults", () => {
  const wanted = ["--quorate-backup-schedule=0 */6 * * *", "--quorate-backup-dir=/b"];
  expect(resolve([]).backup).toBeUndefined();
  expect(resolve(wanted).backup).toMatchObject({ directory: "/b", retention: { count: 0, ageMs: 0 } });
  const { backup } = resolve([], {
    environment: {
      ETCD_QUORATE_BACKUP_SCHEDULE: "@daily",
      ETCD_QUORATE_BACKUP_DIR: "/b",
      ETCD_QUORATE_BACKUP_RETENTION: "14,30d",
      ETCD_QUORATE_BACKUP_AGE_RECIPIENTS: "age1x,/etc/recipients",
    },
  });
  expect(backup).toMatchObject({ retention: { count: 14, ageMs: 2_592_000_000 } });
  expect(backup?.recipientSources).toEqual(["age1x", "/etc/recipients"]);
  const yaml = "quorate-backup-schedule: '@hourly'\nquorate-backup-dir: /c\nquorate-backup-age-recipients: [age1y]";
  const fromFile = resolve(["--config-file=c"], { files: { c: yaml } }).backup;
  expect(fromFile).toMatchObject({ directory: "/c", recipientSources: ["age1y"] });
  const leapDays = ["--quorate-backup-schedule=0 0 29 2 *", "--quorate-backup-dir=/d/etcd2", "--data-dir=/d/etcd"];
  expect(resolve(leapDays).backup?.schedule.next(Date.UTC(1896, 1, 29))).toBe(Date.UTC(1904, 1, 29));
});

test.each([
  [["--quorate-backup-dir=/b"], "--quorate-backup-dir has no effect without --quorate-backup-schedule"],
  [["--quorate-backup-schedule=@daily"], "--quorate-backup-schedule needs --quorate-backup-dir"],
  [["--quorate-backup-schedule=@dayly", "--quorate-backup-dir=/b"], '--quorate-backup-schedule: "@dayly" is none of'],
  [
    ["--quorate-backup-schedule=@daily", "--quorate-backup-dir=/b", "--quorate-backup-retention=0"],
    '--quorate-backup-retention: "0" would keep nothing',
  ],
  [
    ["--quorate-backup-schedule=@daily", "--quorate-backup-dir=/b", "--quorate-backup-retention=3,4"],
    '--quorate-backup-retention: "3,4" has two numbers',
  ],
  [
    ["--quorate-backup-schedule=@daily", "--quorate-backup-dir=/b", "--quorate-backup-retention=3x"],
    "--quorate-backup-retention: time: unknown unit",
  ],
  [
    ["--quorate-backup-schedule=0 0 31 2,4 *", "--quorate-backup-dir=/b"],
    '--quorate-backup-schedule: "0 0 31 2,4 *" is a day that no year has',
  ],
  [
    ["--quorate-backup-schedule=@daily", "--quorate-backup-dir=/d/etcd/backups", "--data-dir=/d/etcd/"],
    "--quorate-backup-dir is in the data directory",
  ],
  [
    ["--quorate-backup-schedule=@daily", "--quorate-backup-dir=default.etcd"],
    "--quorate-backup-dir is in the data directory",
  ],
])("%j is refused", (args, message) => {
  expect(() => resolve(args)).toThrow(message);
});

/**
 * What one member is told at start: plain typed values, one for each server flag that the member itself needs.
 * The command line (`src/cli/etcd`) turns flags, environment and YAML into this; tests and the simulator build it
 * directly with {@link memberConfig}. Flags about listeners, logs and metrics are not here: they belong to the
 * programs around the member. Of TLS only what the member itself does is: how it dials others, and whether certificates are users. Defaults are etcd 3.6's and stand only in {@link memberConfigDefaults}.
 */
import type { NamedUrls } from "../membership/peer-urls.ts";
import type { ClientTls } from "../platform/tls.ts";

/** How old revisions are compacted away without being asked: never, by age, or by count. */
export type AutoCompaction =
  | { readonly mode: "off" }
  | { readonly mode: "periodic"; readonly retentionMs: number }
  | { readonly mode: "revision"; readonly retentionRevisions: number };

/** How a member that has never run learns who founds the cluster with it. */
export type Discovery =
  /** All of them are known beforehand, this one too. @throws {Error} by rejection, with etcd's text. */
  | { readonly kind: "lookup"; readonly members: () => Promise<readonly NamedUrls[]> }
  /**
   * This one registers, and waits for the others.
   * @throws {DiscoveryError} by rejection.
   */
  | {
      readonly kind: "registry";
      /** Of the service. */
      readonly version: 2 | 3;
      readonly join: (memberId: bigint, own: NamedUrls) => Promise<readonly NamedUrls[]>;
    };

/** Durations are milliseconds, sizes bytes. The flag's etcd name stands in front of each field's meaning. */
export interface MemberConfig {
  /** `--name`: human-readable name, published to the cluster. */
  readonly name: string;
  /** `--data-dir`: holds `member/snap` and, unless {@link walDir} is set, `member/wal`. */
  readonly dataDir: string;
  /** `--wal-dir`: the WAL's own directory; undefined puts it into the data directory. */
  readonly walDir: string | undefined;

  /** `--snapshot-count`: applied entries between two raft snapshots on disk. */
  readonly snapshotCount: number;
  /** `--snapshot-catchup-entries`: entries kept in memory behind a snapshot for slow followers; at least 1. */
  readonly snapshotCatchUpEntries: number;
  /** `--max-snapshots`: `.snap` files kept; 0 keeps all. */
  readonly maxSnapshots: number;
  /** `--max-wals`: WAL segments kept; 0 keeps all. */
  readonly maxWals: number;
  /** `--heartbeat-interval`: one raft tick. */
  readonly heartbeatIntervalMs: number;
  /** `--election-timeout`. */
  readonly electionTimeoutMs: number;
  /** `--initial-election-tick-advance`: start close to the first election instead of waiting a full timeout. */
  readonly initialElectionTickAdvance: boolean;
  /** `--pre-vote`. */
  readonly preVote: boolean;

  /** `--quota-backend-bytes`: 0 means 2 GiB, negative means no quota. */
  readonly quotaBackendBytes: number;
  /** `--backend-batch-interval`: longest time between two commits of the backend. */
  readonly backendBatchIntervalMs: number;
  /** `--backend-batch-limit`: writes that force a commit of the backend. */
  readonly backendBatchLimit: number;
  /** `--bootstrap-defrag-threshold-megabytes`: defragment at start when it frees at least this much; 0 never. */
  readonly bootstrapDefragThresholdMegabytes: number;
  /** Ours: most memory of the backend's page cache. */
  readonly pageCacheBytes: number;
  /** `--unsafe-no-fsync`: never waits for the disk; a power failure loses data. */
  readonly unsafeNoFsync: boolean;

  /** `--max-request-bytes`: largest proposal, as InternalRaftRequest bytes. */
  readonly maxRequestBytes: number;
  /** `--max-txn-ops`: most operations of one list of a transaction. */
  readonly maxTxnOps: number;

  /** `--initial-advertise-peer-urls`, in the form Go prints them, sorted. */
  readonly initialAdvertisePeerUrls: readonly string[];
  /** `--advertise-client-urls`: published to the cluster, sorted. */
  readonly advertiseClientUrls: readonly string[];
  /** `--initial-cluster`, used only while the data directory is new. With {@link discovery} this member alone. */
  readonly initialCluster: readonly NamedUrls[];
  /** `--discovery-srv`, `--discovery-endpoints`, `--discovery`. */
  readonly discovery?: Discovery | undefined;
  /** `--initial-cluster-state`. */
  readonly initialClusterState: "new" | "existing";
  /** `--initial-cluster-token`. */
  readonly initialClusterToken: string;
  /** `--strict-reconfig-check`: refuse changes of the group that could cost the quorum. */
  readonly strictReconfigCheck: boolean;
  /** `--max-learners`. */
  readonly maxLearners: number;
  /** `--force-new-cluster`. */
  readonly forceNewCluster: boolean;

  /** `--auth-token`: kind of the tokens and its options; see auth/token-options.ts. */
  readonly authToken: string;
  /** `--auth-token-ttl`: how long a simple token lives after its last use. */
  readonly authTokenTtlSeconds: number;
  /** `--bcrypt-cost`. */
  readonly bcryptCost: number;
  /** `--client-cert-auth`: the common name of a client's verified certificate is a user name. */
  readonly clientCertAuth: boolean;

  /** `--auto-compaction-mode` with `--auto-compaction-retention`. */
  readonly autoCompaction: AutoCompaction;
  /** `--compaction-batch-limit`: rows looked at between two pauses of a compaction. */
  readonly compactionBatchLimit: number;
  /** `--compaction-sleep-interval`: the pause. */
  readonly compactionSleepIntervalMs: number;

  /** Feature gate `LeaseCheckpoint`: the leader puts remaining TTLs into the log every 5 minutes. */
  readonly leaseCheckpoint: boolean;
  /** Feature gate `LeaseCheckpointPersist`: remaining TTLs survive a restart also below cluster version 3.6. */
  readonly leaseCheckpointPersist: boolean;

  /** How members at https URLs are dialled, but for the name of the server: `--peer-cert-file` and so on. */
  readonly peerTls?: Omit<ClientTls, "serverName"> | undefined;
  /** For which name all members' certificates are valid; undefined: each for its host. */
  readonly peerServerName?: string | undefined;
  /** IP address that members are dialled from; undefined: the system's choice. */
  readonly peerLocalAddress?: string | undefined;

  /** `--warning-apply-duration`: a slower apply is logged. */
  readonly warningApplyDurationMs: number;
  /** `--warning-unary-request-duration`: a slower request is logged. */
  readonly warningUnaryRequestDurationMs: number;
  /** `--watch-progress-notify-interval`. */
  readonly watchProgressNotifyIntervalMs: number;
  /** Feature gate `InitialCorruptCheck`: compare with the other members before serving. */
  readonly initialCorruptCheck: boolean;
  /** `--corrupt-check-time`: how often the leader compares all data with the other members; 0 never. */
  readonly corruptCheckTimeMs: number;
  /** `--compact-hash-check-time` with feature gate `CompactHashCheck`: the same with hashes of compactions; 0 never. */
  readonly compactHashCheckTimeMs: number;
  /** `--downgrade-check-time`: how often the leader looks whether a downgrade has finished. */
  readonly downgradeCheckTimeMs: number;
}

/** etcd 3.6's defaults. */
export const memberConfigDefaults = {
  name: "default",
  dataDir: "default.etcd",
  walDir: undefined,
  snapshotCount: 10_000,
  snapshotCatchUpEntries: 5_000,
  maxSnapshots: 5,
  maxWals: 5,
  heartbeatIntervalMs: 100,
  electionTimeoutMs: 1_000,
  initialElectionTickAdvance: true,
  preVote: true,
  quotaBackendBytes: 0,
  backendBatchIntervalMs: 100,
  backendBatchLimit: 10_000,
  bootstrapDefragThresholdMegabytes: 0,
  pageCacheBytes: 48 * 1024 * 1024,
  unsafeNoFsync: false,
  maxRequestBytes: 1_572_864,
  maxTxnOps: 128,
  initialAdvertisePeerUrls: ["http://localhost:2380"],
  advertiseClientUrls: ["http://localhost:2379"],
  initialCluster: [{ name: "default", peerUrls: ["http://localhost:2380"] }],
  initialClusterState: "new",
  initialClusterToken: "etcd-cluster",
  strictReconfigCheck: true,
  maxLearners: 1,
  forceNewCluster: false,
  authToken: "simple",
  authTokenTtlSeconds: 300,
  bcryptCost: 10,
  clientCertAuth: false,
  autoCompaction: { mode: "off" },
  compactionBatchLimit: 1_000,
  compactionSleepIntervalMs: 10,
  leaseCheckpoint: false,
  leaseCheckpointPersist: false,
  warningApplyDurationMs: 100,
  warningUnaryRequestDurationMs: 300,
  watchProgressNotifyIntervalMs: 600_000,
  initialCorruptCheck: false,
  corruptCheckTimeMs: 0,
  compactHashCheckTimeMs: 0,
  downgradeCheckTimeMs: 5_000,
} as const satisfies MemberConfig;

/** The defaults with `changes` on top. */
export function memberConfig(changes: Partial<MemberConfig> = {}): MemberConfig {
  return { ...memberConfigDefaults, ...changes };
}

const REQUEST_TIMEOUT_BASE_MS = 5_000;

/** How long a request may take inside the member: time for the disk, and for two elections on the way. */
export function requestTimeoutMs(config: MemberConfig): number {
  return REQUEST_TIMEOUT_BASE_MS + 2 * config.electionTimeoutMs;
}

/** Ticks of the raft core in an election timeout; there is one each heartbeat interval. */
export function electionTicksOf({ electionTimeoutMs, heartbeatIntervalMs }: MemberConfig): number {
  return Math.round(electionTimeoutMs / heartbeatIntervalMs);
}

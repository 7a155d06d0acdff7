/** The replicated state of a member, opened from its database: what applying entries changes. */
import { AlarmStore } from "../alarm/alarm-store.ts";
import { Lessor } from "../lease/lessor.ts";
import type { Membership } from "../membership/membership.ts";
import { Store } from "../mvcc/store.ts";
import type { Platform } from "../platform/platform.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { ConsistentIndex } from "./apply/consistent-index.ts";
import { type MemberConfig, requestTimeoutMs } from "./config.ts";
import { Quota } from "./quota.ts";

const LEASE_CHECKPOINT_INTERVAL_MS = 300_000;
/** First cluster version in which remaining lease times are always stored. */
const CHECKPOINTS_PERSIST_SINCE_MINOR = 6;

export interface MemberState {
  readonly backend: Backend;
  readonly membership: Membership;
  readonly consistentIndex: ConsistentIndex;
  readonly lessor: Lessor;
  readonly store: Store;
  readonly alarms: AlarmStore;
  readonly quota: Quota;
}

/** @throws {CorruptionError} when the database holds what etcd does not write. */
export function openState(
  config: MemberConfig,
  { log, random }: Platform,
  { backend, membership }: { readonly backend: Backend; readonly membership: Membership },
): MemberState {
  const storeLog = log.withCaller("mvcc/store.ts");
  const consistentIndex = new ConsistentIndex(backend);
  // Leases come before keys: opening the store attaches them.
  const lessor = Lessor.open(backend, {
    minTtlSeconds: Math.ceil((1.5 * config.electionTimeoutMs) / 1000),
    persistCheckpoints: persistsCheckpoints(config, membership),
    checkpointIntervalMs: config.leaseCheckpoint ? LEASE_CHECKPOINT_INTERVAL_MS : 0,
    expiredRetryMs: requestTimeoutMs(config),
  });
  const store = Store.open(backend, lessor, {
    compactionBatchRows: config.compactionBatchLimit,
    hashSeed: { low: random.uint32(), high: random.uint32() },
    warn: (message, fields) => storeLog.warn(message, fields),
  });
  storeLog.info("kvstore restored", { "current-rev": store.currentRevision });
  const quota = new Quota(backend, config.quotaBackendBytes);
  quota.logTo(log.withCaller("server/quota.ts"), config.quotaBackendBytes);
  return { backend, membership, consistentIndex, lessor, store, alarms: AlarmStore.open(backend), quota };
}

/** Whether checkpoints of leases go to the database; changes with the cluster version. */
export function persistsCheckpoints(config: MemberConfig, { clusterVersion }: Membership): boolean {
  const always = clusterVersion !== undefined && clusterVersion.minor >= CHECKPOINTS_PERSIST_SINCE_MINOR;
  return always || config.leaseCheckpointPersist;
}

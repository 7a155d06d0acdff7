/** The replicated state of a member, opened from its database: what applying entries changes. */
import { failpointsOff } from "../base/failpoints.ts";
import { AlarmStore } from "../alarm/alarm-store.ts";
import { Lessor } from "../lease/lessor.ts";
import { AuthStore } from "../auth/auth-store.ts";
import type { Membership } from "../membership/membership.ts";
import { Store } from "../mvcc/store.ts";
import type { Platform } from "../platform/platform.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { ConsistentIndex } from "./apply/consistent-index.ts";
import { Passwords } from "./auth/passwords.ts";
import { createTokens } from "./auth/token-options.ts";
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
  readonly auth: AuthStore;
  readonly passwords: Passwords;
  readonly quota: Quota;
}

/**
 * @throws {CorruptionError} when the database holds what etcd does not write.
 * @throws {StartError} when tokens cannot be made as configured.
 */
export function openState(
  config: MemberConfig,
  platform: Platform,
  { backend, membership }: { readonly backend: Backend; readonly membership: Membership },
): MemberState {
  const { log, random } = platform;
  const passwords = new Passwords(config.bcryptCost, random, log);
  const authLog = log.withCaller("auth/auth-store.ts");
  const auth = AuthStore.open(backend, {
    tokens: createTokens(config.authToken, config.authTokenTtlSeconds, platform),
    hashPassword: (password) => passwords.hashNow(password),
    info: (message, fields) => authLog.info(message, fields),
  });
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
    failpoints: platform.failpoints ?? failpointsOff,
  });
  storeLog.info("kvstore restored", { "current-rev": store.currentRevision });
  const quota = new Quota(backend, config.quotaBackendBytes);
  quota.logTo(log.withCaller("server/quota.ts"), config.quotaBackendBytes);
  const alarms = AlarmStore.open(backend);
  return { backend, membership, consistentIndex, lessor, store, alarms, auth, passwords, quota };
}

/** Whether checkpoints of leases go to the database; changes with the cluster version. */
export function persistsCheckpoints(config: MemberConfig, { clusterVersion }: Membership): boolean {
  const always = clusterVersion !== undefined && clusterVersion.minor >= CHECKPOINTS_PERSIST_SINCE_MINOR;
  return always || config.leaseCheckpointPersist;
}

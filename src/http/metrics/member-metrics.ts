/**
 * etcd's own metrics, by the names of etcd 3.6 (compat: metrics.md). Those that only a cluster or the old store can fill
 * are here as well where dashboards read them unconditionally, and show what is true of this member: nothing happened.
 */
import { AlarmType } from "../../alarm/alarm-store.ts";
import { exponentialBounds, Histogram } from "../../base/histogram.ts";
import { formatId } from "../../membership/member.ts";
import { formatMinor, formatVersion, serverVersion } from "../../membership/version.ts";
import type { Member } from "../../server/member.ts";
import type { Services } from "../../server/services/register.ts";
import type { HealthCounters } from "../health.ts";
import type { MetricsRegistry } from "./registry.ts";

const alarmNames: Readonly<Record<number, string>> = { [AlarmType.NoSpace]: "NOSPACE", [AlarmType.Corrupt]: "CORRUPT" };

export interface MemberMetricsSources {
  readonly member: Member;
  readonly services: Services;
  readonly health: HealthCounters;
  /** Feature gates by name, with their stage. */
  readonly features: readonly { readonly name: string; readonly stage: string; readonly enabled: boolean }[];
}

export function registerMemberMetrics(registry: MetricsRegistry, sources: MemberMetricsSources): void {
  registerServerMetrics(registry, sources);
  registerRaftMetrics(registry, sources.member);
  registerHealthMetrics(registry, sources.health);
  registerStoreMetrics(registry, sources.member);
  registerWatchMetrics(registry, sources.services);
  registerLeaseMetrics(registry, sources.member);
  registerDiskMetrics(registry, sources.member);
  registerSnapshotMetrics(registry, sources.member);
  registerServiceMetrics(registry, sources.services);
}

function registerServerMetrics(registry: MetricsRegistry, { member, services, features }: MemberMetricsSources): void {
  registry.gauge("etcd_server_version", "Which version is running.", () => [
    { labels: { server_version: formatVersion(serverVersion) }, value: 1 },
  ]);
  registry.gauge("etcd_server_go_version", "Which runtime the server runs on.", () => [
    { labels: { server_go_version: `node${process.versions.node}` }, value: 1 },
  ]);
  registry.gauge("etcd_server_id", "The member's id in hexadecimal.", () => [
    { labels: { server_id: formatId(member.memberId) }, value: 1 },
  ]);
  registry.gauge("etcd_cluster_version", "Which version the cluster has agreed on.", () => {
    const { clusterVersion } = member.membership;
    return clusterVersion === undefined ? [] : [{ labels: { cluster_version: formatMinor(clusterVersion) }, value: 1 }];
  });
  registry.gauge("etcd_server_feature_enabled", "Whether a feature is enabled.", () =>
    features.map(({ name, stage, enabled }) => ({ labels: { name, stage }, value: enabled ? 1 : 0 })),
  );
  registry.counter("etcd_server_client_requests_total", "Client requests by kind and client version.", () =>
    [...services.clientRequests].map(([key, value]) => {
      const [type, version] = key.split(" ", 2);
      return { labels: { client_api_version: version, type }, value };
    }),
  );
  registry.gauge("etcd_server_quota_backend_bytes", "Space quota of the database in bytes.", () =>
    Number.isFinite(member.quota.limitBytes) ? member.quota.limitBytes : 0,
  );
  registry.gauge("etcd_debugging_auth_revision", "Revision of users and roles.", () => services.authRevision());
  registry.gauge("etcd_debugging_server_alarms", "Active alarms.", () =>
    member.alarms.list().map(({ memberId, alarm }) => ({
      labels: { alarm_type: alarmNames[alarm] ?? String(alarm), server_id: formatId(memberId) },
      value: 1,
    })),
  );
  registry.counter(
    "etcd_server_slow_apply_total",
    "Applies slower than the warning threshold.",
    () => member.counters.slowApplies + services.slowReads(),
  );
  registry.histogram("etcd_server_apply_duration_seconds", "Time of applying requests.", () =>
    [...member.applyDurations].map(([key, histogram]) => {
      const [op, success] = key.split(" ", 2);
      return { labels: { op, success, version: "v3" }, histogram };
    }),
  );
  registry.gauge(
    "etcd_server_snapshot_apply_in_progress_total",
    "1 while an incoming snapshot is applied.",
    () => member.counters.snapshotsInstalling,
  );
}

function registerRaftMetrics(registry: MetricsRegistry, member: Member): void {
  registry.gauge("etcd_server_has_leader", "Whether a leader is known.", () => (member.raft.leaderId === 0n ? 0 : 1));
  registry.gauge("etcd_server_is_leader", "Whether this member is the leader.", () => (member.raft.isLeader ? 1 : 0));
  registry.gauge("etcd_server_is_learner", "Whether this member is a learner.", () => (member.raft.isLearner ? 1 : 0));
  registry.counter(
    "etcd_server_leader_changes_seen_total",
    "Leader changes seen.",
    () => member.counters.leaderChanges,
  );
  registry.gauge(
    "etcd_server_proposals_committed_total",
    "Index of the last committed proposal.",
    () => member.raft.commitIndex,
  );
  registry.gauge(
    "etcd_server_proposals_applied_total",
    "Index of the last applied proposal.",
    () => member.raft.appliedIndex,
  );
  registry.gauge("etcd_server_proposals_pending", "Proposals under way.", () => member.counters.proposalsPending);
  registry.counter("etcd_server_proposals_failed_total", "Failed proposals.", () => member.counters.proposalsFailed);
  registry.counter("etcd_server_heartbeat_send_failures_total", "Heartbeats sent too late.", () => {
    return member.counters.heartbeatsLate;
  });
  registry.gauge(
    "quorate_server_heartbeat_gap_max_seconds",
    "Longest time between two heartbeats to one member since this one leads.",
    () => {
      const { heartbeatGapMs } = member.counters;
      return heartbeatGapMs === 0 ? [] : [{ value: heartbeatGapMs / 1000 }];
    },
  );
  registry.counter(
    "quorate_server_disk_stalls_total",
    "Times the log's disk did not write for an election timeout (noticed), and what this member did as leader.",
    () => {
      const { stalls, handovers, resignations } = member.diskStalls;
      const values = { noticed: stalls, "handed-over": handovers, resigned: resignations };
      return Object.entries(values)
        .filter(([, value]) => value > 0)
        .map(([event, value]) => ({ labels: { event }, value }));
    },
  );
  registry.counter(
    "etcd_server_slow_read_indexes_total",
    "Read indexes that took too long.",
    () => member.counters.slowReadIndexes,
  );
  registry.counter(
    "etcd_server_read_indexes_failed_total",
    "Read indexes that failed.",
    () => member.counters.readIndexesFailed,
  );
  registry.counter(
    "etcd_server_learner_promote_successes",
    "Learners promoted by this member as the leader.",
    () => member.counters.learnersPromoted,
  );
  registry.counter("etcd_server_learner_promote_failures", "Promotions that failed, by reason.", () =>
    [...member.counters.learnerPromotionFailures].map(([reason, value]) => ({ labels: { Reason: reason }, value })),
  );
}

function registerHealthMetrics(registry: MetricsRegistry, health: HealthCounters): void {
  registry.counter("etcd_server_health_success", "Health checks that succeeded.", () => health.successes);
  registry.counter("etcd_server_health_failures", "Health checks that failed.", () => health.failures);
  const labelsOf = (key: string): { name: string; type: string } => {
    const [type, name] = key.split("/", 2);
    return { name, type };
  };
  registry.gauge("etcd_server_healthcheck", "Last result of each check.", () =>
    [...health.checks].map(([key, { lastPassed }]) => ({ labels: labelsOf(key), value: lastPassed ? 1 : 0 })),
  );
  registry.counter("etcd_server_healthchecks_total", "Checks made, by result.", () =>
    [...health.checks].flatMap(([key, { passed, failed }]) => [
      { labels: { ...labelsOf(key), status: "success" }, value: passed },
      { labels: { ...labelsOf(key), status: "error" }, value: failed },
    ]),
  );
}

function registerStoreMetrics(registry: MetricsRegistry, { store, compactionMetrics }: Member): void {
  const { counters } = store;
  registry.counter("etcd_mvcc_range_total", "Ranges seen by this member.", () => counters.ranges);
  registry.counter("etcd_mvcc_put_total", "Puts seen by this member.", () => counters.puts);
  registry.counter("etcd_mvcc_delete_total", "Deletes seen by this member.", () => counters.deletes);
  registry.counter("etcd_mvcc_txn_total", "Transactions seen by this member.", () => counters.txns);
  registry.gauge("etcd_debugging_mvcc_keys_total", "Keys that exist.", () => store.keyCount);
  registry.gauge("etcd_debugging_mvcc_current_revision", "Current revision of the store.", () => store.currentRevision);
  registry.gauge(
    "etcd_debugging_mvcc_compact_revision",
    "Revision of the last compaction.",
    () => store.compactRevision,
  );
  registry.gauge("etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes of all puts.", () => counters.putBytes);
  registry.counter(
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "Rows removed by compactions.",
    () => counters.compactedRows,
  );
  registry.gauge(
    "etcd_debugging_mvcc_db_compaction_last",
    "Unix time of the last compaction.",
    () => counters.lastCompactionSeconds,
  );
  registry.histogram(
    "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
    "How long slices of compactions of the index held the member, in milliseconds.",
    () => compactionMetrics.indexPauseMs,
  );
  registry.histogram(
    "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
    "How long slices of compactions of the database held the member, in milliseconds.",
    () => compactionMetrics.rowsPauseMs,
  );
  registry.histogram(
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
    "Whole compactions, pauses included, in milliseconds.",
    () => compactionMetrics.totalMs,
  );
}

function registerWatchMetrics(registry: MetricsRegistry, { hub }: Services): void {
  registry.gauge("etcd_debugging_mvcc_watch_stream_total", "Open watch streams.", () => hub.streamCount);
  registry.gauge("etcd_debugging_mvcc_watcher_total", "Watchers.", () => hub.watcherCount);
  registry.gauge("etcd_debugging_mvcc_slow_watcher_total", "Watchers that are behind.", () => hub.slowWatcherCount);
  registry.counter("etcd_debugging_mvcc_events_total", "Events sent to watchers.", () => hub.eventsDelivered);
  registry.gauge(
    "etcd_debugging_mvcc_pending_events_total",
    "Events held in memory for watchers that are behind.",
    () => 0,
  );
}

function registerLeaseMetrics(registry: MetricsRegistry, { lessor, counters }: Member): void {
  registry.counter("etcd_debugging_lease_granted_total", "Leases granted.", () => lessor.counters.granted);
  registry.counter("etcd_debugging_lease_revoked_total", "Leases revoked.", () => lessor.counters.revoked);
  registry.counter("etcd_debugging_lease_renewed_total", "Leases renewed.", () => lessor.counters.renewed);
  registry.histogram(
    "etcd_debugging_lease_ttl_total",
    "TTLs of granted leases in seconds.",
    () => lessor.counters.ttlSeconds,
  );
  registry.counter("etcd_debugging_server_lease_expired_total", "Leases that expired.", () => counters.leaseExpired);
}

function registerDiskMetrics(registry: MetricsRegistry, member: Member): void {
  const { backend, wal } = { backend: member.backend, wal: member.walMetrics };
  registry.gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes of the database.", () => backend.size);
  registry.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of the database in use.", () => backend.sizeInUse);
  registry.gauge("etcd_mvcc_db_open_read_transactions", "Open read transactions.", () => backend.openReaders);
  registry.histogram("etcd_disk_wal_fsync_duration_seconds", "Time of WAL syncs.", () => wal.fsyncSeconds);
  registry.histogram("etcd_disk_wal_write_duration_seconds", "Time of WAL writes.", () => wal.writeSeconds);
  registry.gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the WAL.", () => wal.bytesWritten);
  registry.histogram(
    "etcd_disk_backend_commit_duration_seconds",
    "Time of backend commits.",
    () => backend.metrics.commitSeconds,
  );
  registry.histogram(
    "etcd_debugging_disk_backend_commit_spill_duration_seconds",
    "Part of a commit: bringing the writes into the tree.",
    () => backend.metrics.mergeSeconds,
  );
  registry.histogram(
    "etcd_debugging_disk_backend_commit_write_duration_seconds",
    "Part of a commit: writing pages and waiting for the disk.",
    () => backend.metrics.writeSeconds,
  );
  registry.histogram(
    "etcd_disk_backend_defrag_duration_seconds",
    "Time of defragmentations.",
    () => backend.metrics.defragmentSeconds,
  );
  registry.histogram(
    "etcd_disk_backend_snapshot_duration_seconds",
    "Time of sending the database.",
    () => backend.metrics.snapshotSeconds,
  );
  registry.gauge("etcd_disk_defrag_inflight", "1 while defragmenting.", () => (backend.isDefragmenting ? 1 : 0));
}

/** A commit of ours has no phase of its own for this: pages are balanced as the writes are brought into the tree. */
const noRebalance = new Histogram(exponentialBounds(0.001, 2, 14));

function registerSnapshotMetrics(registry: MetricsRegistry, { snapMetrics }: Member): void {
  registry.histogram(
    "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
    "Part of a commit: balancing pages, which is done while spilling.",
    () => noRebalance,
  );
  registry.histogram(
    "etcd_debugging_snap_save_marshalling_duration_seconds",
    "Time of encoding raft snapshots.",
    () => snapMetrics.encodeSeconds,
  );
  registry.histogram(
    "etcd_debugging_snap_save_total_duration_seconds",
    "Time of saving raft snapshots.",
    () => snapMetrics.totalSeconds,
  );
  registry.histogram(
    "etcd_snap_fsync_duration_seconds",
    "Time of syncing raft snapshots.",
    () => snapMetrics.fsyncSeconds,
  );
}

function registerServiceMetrics(registry: MetricsRegistry, { metrics }: Services): void {
  registry.histogram("etcd_mvcc_hash_duration_seconds", "Time of hashing the database.", () => metrics.hashSeconds);
  registry.histogram(
    "etcd_mvcc_hash_rev_duration_seconds",
    "Time of hashing the keys at a revision.",
    () => metrics.hashRevisionSeconds,
  );
  registry.histogram(
    "etcd_server_range_duration_seconds",
    "Time of evaluating ranges; one in 32 when there are many.",
    () =>
      [
        { labels: { success: "false" }, histogram: metrics.rangeFailureSeconds },
        { labels: { success: "true" }, histogram: metrics.rangeSeconds },
      ].filter(({ histogram }) => histogram.count > 0),
  );
}

/**
 * From a data directory to everything the member runs on. A new directory gets a log that founds the cluster; an
 * existing one is read back:
 *
 *     WAL snapshot records ──► newest .snap they know ──► WAL from there: ids, hard state, entries
 *                                     │                          │
 *     database: consistent index  ────┴── must fit together ─────┘
 *
 * From then on both are the same: raft starts with the snapshot's configuration, hands out every committed entry behind
 * it, and those beyond the consistent index are applied. Source: etcd server/etcdserver/bootstrap.go.
 */
import { join } from "node:path";
import { failpointsOff } from "../base/failpoints.ts";
import { formatId, type Member as ClusterMember } from "../membership/member.ts";
import { Membership } from "../membership/membership.ts";
import type { MemberTable } from "../membership/member-table.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import { MemoryStorage } from "../raft/memory-storage.ts";
import { Backend } from "../storage/backend/backend.ts";
import { readConsistentIndex } from "../storage/backend/schema.ts";
import { loadNewestSnapshot, newestSnapshotName } from "../storage/snap/snap-files.ts";
import { type ReadLog, readValidSnapshots, tryReadLog } from "../storage/wal/log-reader.ts";
import { Wal, type WalOptions } from "../storage/wal/wal.ts";
import { Metadata } from "../wire/gen/etcdserverpb/etcdserver.ts";
import type { Entry, HardState, Snapshot } from "../wire/raft/types.ts";
import type { MemberConfig } from "./config.ts";
import { checkBackend, checkLog, membersAt } from "./bootstrap-checks.ts";
import { type DataDir, openDataDir, refuseWithoutWal } from "./data-dir.ts";
import { forceNewCluster, type LogToForce } from "./force-new-cluster.ts";
import {
  checkAdvertised,
  type InitialCluster,
  initialCluster,
  ownMember,
  refuseDuplicates,
} from "./initial-cluster.ts";
import { joinCluster, refuseBootstrapped } from "./join-cluster.ts";
import { StartError } from "./start-error.ts";
import { WalMetrics } from "./wal-metrics.ts";

/** Larger requests make elections and heartbeats late; etcd warns above this. */
const REQUEST_BYTES_RECOMMENDED_MAX = 10 * 1024 * 1024;

export interface Bootstrapped {
  readonly dirs: DataDir;
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly backend: Backend;
  readonly membership: Membership;
  readonly wal: Wal;
  readonly walMetrics: WalMetrics;
  /** The log behind the snapshot, as raft reads it. */
  readonly storage: MemoryStorage;
  readonly hardState: HardState;
  /** Members as of the snapshot. */
  readonly replayTable: MemberTable;
  /** Members of the cluster that is being joined, which the log does not name yet. */
  readonly remotes: readonly ClusterMember[];
}

interface Context {
  readonly config: MemberConfig;
  readonly platform: Platform;
  readonly log: Logger;
  readonly dirs: DataDir;
  readonly onFatal: (error: Error) => void;
  readonly walMetrics: WalMetrics;
}

/**
 * @param onFatal - the backend cannot write any more.
 * @throws {StartError} or {CorruptionError}: the member must not start; what was opened is closed again.
 */
export async function bootstrap(
  config: MemberConfig,
  platform: Platform,
  onFatal: (error: Error) => void,
): Promise<Bootstrapped> {
  const log = platform.log.withCaller("server/bootstrap.ts");
  if (config.maxRequestBytes > REQUEST_BYTES_RECOMMENDED_MAX) {
    log.warn("exceeded recommended request limit", {
      "max-request-bytes": config.maxRequestBytes,
      "recommended-request-bytes": REQUEST_BYTES_RECOMMENDED_MAX,
    });
  }
  const dirs = await openDataDir(platform.disk, log, config);
  const context = { config, platform, log, dirs, onFatal, walMetrics: new WalMetrics() };
  return dirs.hasWal ? restart(context) : found(context);
}

/** Starts a member that has never run. */
async function found(context: Context): Promise<Bootstrapped> {
  const { config, platform, log, dirs } = context;
  const cluster = await theCluster(context);
  const backend = await openBackend(context);
  try {
    if (readConsistentIndex(backend) > 0) refuseWithoutWal(dirs.backendPath, dirs.walDir);
    const { memberId, clusterId, hardState, entries } = cluster;
    const metadata = Metadata.encode({ NodeID: memberId, ClusterID: clusterId }).finish();
    const wal = await Wal.create(platform.disk, dirs.walDir, metadata, walOptions(context));
    if (entries.length > 0) await save(wal, hardState, entries);
    log.info("starting local member", idFields(cluster));
    return {
      dirs,
      memberId,
      clusterId,
      backend,
      wal,
      hardState,
      walMetrics: context.walMetrics,
      membership: Membership.open(backend, config.maxLearners),
      storage: memoryStorage(undefined, hardState, entries),
      replayTable: membersAt(undefined, dirs.snapDir),
      remotes: cluster.remotes,
    };
  } catch (error) {
    await backend.close();
    throw error;
  }
}

interface ClusterToEnter extends InitialCluster {
  readonly remotes: readonly ClusterMember[];
}

/** A cluster to found, or one that runs already and waits for this member. */
async function theCluster({ config, platform, log }: Context): Promise<ClusterToEnter> {
  const found = await lookUpMembers(config);
  if (found.initialClusterState === "existing") return joinCluster(found, platform);
  ownMember(found);
  await checkAdvertised(found, { resolver: platform.resolver, clock: platform.clock, log });
  await refuseBootstrapped(found, platform, initialCluster(found).memberId);
  return { ...initialCluster(await register(found, log)), remotes: [] };
}

/** @throws {StartError} by rejection, when the other members cannot be found. */
async function lookUpMembers(config: MemberConfig): Promise<MemberConfig> {
  const { discovery } = config;
  if (discovery?.kind !== "lookup") return config;
  try {
    return { ...config, initialCluster: await discovery.members() };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StartError(`error setting up initial cluster: ${reason}`, { cause });
  }
}

/** Makes this member known, and waits until the others are. */
async function register(config: MemberConfig, log: Logger): Promise<MemberConfig> {
  const { discovery } = config;
  if (discovery?.kind !== "registry") return config;
  if (discovery.version === 2) log.warn("V2 discovery is deprecated!");
  else log.info("Bootstrapping cluster using v3 discovery.");
  const { memberId } = initialCluster(config);
  const founders = await discovery.join(memberId, ownMember(config));
  refuseDuplicates(founders, "discovery");
  const found = { ...config, initialCluster: founders };
  // Members of one name would be taken for one with the URLs of both.
  if (initialCluster(found).memberId === memberId) return found;
  throw new StartError(`another member registered as ${JSON.stringify(config.name)}; give each a --name of its own`);
}

/** Starts a member from what it has left on disk. */
async function restart(context: Context): Promise<Bootstrapped> {
  const { config, platform, log, dirs } = context;
  if (config.discovery?.kind === "registry") {
    log.warn("discovery token is ignored since cluster already initialized; valid logs are found", {
      "wal-dir": dirs.walDir,
    });
  }
  const { snapshot, read } = newestSnapshot(context);
  if (snapshot === undefined) log.info("No snapshot found. Recovering WAL from scratch!");
  const replayTable = membersAt(snapshot, dirs.snapDir);
  const backend = await openBackendFor(context, snapshot);
  let wal: Wal | undefined;
  try {
    const membership = Membership.open(backend, config.maxLearners);
    checkBackend(backend, membership, dirs.backendPath);
    const from = { index: snapshot?.metadata.index ?? 0, term: snapshot?.metadata.term ?? 0 };
    const opened = await Wal.open(platform.disk, dirs.walDir, from, walOptions(context), read);
    wal = opened.wal;
    const { NodeID: memberId, ClusterID: clusterId } = Metadata.decode(opened.metadata);
    let history = await completeFounding(context, opened, { snapshot, backend, memberId });
    if (config.forceNewCluster) history = await force(context, wal, { ...history, memberId, snapshot, backend });
    checkLog({ ...history, snapshot, memberId, backend, dirs, maxLearners: config.maxLearners });
    for (const member of membership.promoteAsIn(replayTable)) {
      log.warn("Syncing member in v3store", { "member-id": formatId(member.id) });
    }
    const commit = { "commit-index": history.hardState.commit };
    log.info("restarting local member", { ...idFields({ memberId, clusterId }), ...commit });
    const storage = memoryStorage(snapshot, history.hardState, history.entries);
    const { walMetrics } = context;
    const { hardState } = history;
    const remotes: ClusterMember[] = [];
    return {
      dirs,
      memberId,
      clusterId,
      backend,
      membership,
      wal,
      walMetrics,
      storage,
      hardState,
      replayTable,
      remotes,
    };
  } catch (error) {
    await wal?.close();
    await backend.close();
    throw error;
  }
}

/**
 * The snapshot to start from, and the log behind it if it was read on the way. As a rule that is the newest file, and the
 * segments behind it are all that has to be read, once; only when that does not fit together is the whole log searched.
 */
function newestSnapshot({ platform, log, dirs }: Context): {
  readonly snapshot: Snapshot | undefined;
  readonly read: ReadLog | undefined;
} {
  const { disk } = platform;
  const newest = newestSnapshotName(disk, dirs.snapDir);
  const read = newest === undefined ? undefined : tryReadLog(disk, dirs.walDir, newest);
  if (newest !== undefined && read !== undefined) {
    const snapshot = loadNewestSnapshot(disk, log, dirs.snapDir, [newest]);
    if (snapshot !== undefined || newest.index === 0) return { snapshot, read };
  }
  const valid = readValidSnapshots(disk, dirs.walDir, log);
  return { snapshot: loadNewestSnapshot(disk, log, dirs.snapDir, valid), read: undefined };
}

interface History {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

/**
 * A first start may end between the creation of the log and the entries that found the cluster; they are written again,
 * as nobody can have seen them. etcd stays without a leader on such a directory.
 */
async function completeFounding(
  { config, log }: Context,
  { wal, hardState, entries }: History & { readonly wal: Wal },
  found: { readonly snapshot: Snapshot | undefined; readonly backend: Backend; readonly memberId: bigint },
): Promise<History> {
  const isFounded = found.snapshot !== undefined || hardState.commit > 0 || readConsistentIndex(found.backend) > 0;
  // One that joined a cluster waits for its log.
  if (isFounded || config.initialClusterState === "existing") return { hardState, entries };
  const cluster = initialCluster(await register(await lookUpMembers(config), log));
  if (cluster.memberId !== found.memberId || entries.length > cluster.entries.length) {
    throw new StartError(
      `the log in this directory belongs to member ${formatId(found.memberId)} and is empty, but the flags describe ` +
        `member ${formatId(cluster.memberId)}; remove the directory, or start with the flags of the first start`,
    );
  }
  log.warn("the first start of this member was interrupted; founding the cluster again");
  await save(wal, cluster.hardState, cluster.entries);
  return cluster;
}

async function force(
  { log }: Context,
  wal: Wal,
  member: History & Pick<LogToForce, "memberId" | "snapshot"> & { readonly backend: Backend },
): Promise<History> {
  const forced = forceNewCluster({ ...member, consistentIndex: readConsistentIndex(member.backend) });
  await save(wal, forced.hardState, forced.added);
  log.info("forcing restart member", {
    "local-member-id": formatId(member.memberId),
    "wal-commit-index": member.hardState.commit,
    "commit-index": forced.hardState.commit,
  });
  return forced;
}

function save(wal: Wal, hardState: HardState, entries: readonly Entry[]): Promise<void> {
  return new Promise((resolve, reject) => {
    wal.save(hardState, entries, true, (error) => (error === undefined ? resolve() : reject(error)));
  });
}

function memoryStorage(snapshot: Snapshot | undefined, hardState: HardState, entries: readonly Entry[]): MemoryStorage {
  const storage = new MemoryStorage();
  if (snapshot !== undefined) storage.applySnapshot(snapshot);
  storage.setHardState(hardState);
  storage.append(entries);
  return storage;
}

function openBackend({ config, platform, dirs, onFatal }: Context): Promise<Backend> {
  const log = platform.log.withCaller("storage/backend/backend.ts");
  return Backend.open(platform.disk, platform.clock, log, dirs.backendPath, {
    batchIntervalMs: config.backendBatchIntervalMs,
    batchLimit: config.backendBatchLimit,
    pageCacheBytes: config.pageCacheBytes,
    noSync: config.unsafeNoFsync,
    failpoints: platform.failpoints ?? failpointsOff,
    onFatal,
  });
}

/** Opens the database, or the newer one that a leader sent and that was not yet taken into use. */
async function openBackendFor(context: Context, snapshot: Snapshot | undefined): Promise<Backend> {
  const { dirs, platform, config, log } = context;
  const index = snapshot?.metadata.index ?? 0;
  const received = join(dirs.snapDir, `${index.toString(16).padStart(16, "0")}.snap.db`);
  const hasReceived = index > 0 && platform.disk.exists(received);
  if (!dirs.hasBackend && index > 0 && !hasReceived) {
    throw new StartError(
      `database file (${dirs.backendPath}) of the backend is missing, and the log begins behind the snapshot at index ` +
        `${index}; restore the member from a backup, or remove it from its cluster and add it again`,
    );
  }
  let backend = await openBackend(context);
  if (readConsistentIndex(backend) < index) {
    const found = readConsistentIndex(backend);
    await backend.close();
    if (!hasReceived) {
      throw new StartError(
        `database file (${dirs.backendPath} index ${found}) does not match with snapshot (index ${index}): it is older, ` +
          "and the entries between them are gone; restore the member from a backup",
      );
    }
    platform.disk.rename(received, dirs.backendPath);
    await platform.disk.syncDirectory(dirs.snapDir);
    backend = await openBackend(context);
  }
  await defragmentIfWorthIt(backend, config.bootstrapDefragThresholdMegabytes, log);
  return backend;
}

async function defragmentIfWorthIt(backend: Backend, thresholdMegabytes: number, log: Logger): Promise<void> {
  if (thresholdMegabytes === 0) return;
  const { size, sizeInUse } = backend;
  const thresholdBytes = thresholdMegabytes * 1024 * 1024;
  if (size - sizeInUse >= thresholdBytes) return backend.defragment();
  log.info("Skipping defragmentation", {
    "current-db-size-bytes": size,
    "current-db-size-in-use-bytes": sizeInUse,
    "experimental-bootstrap-defrag-threshold-bytes": thresholdBytes,
  });
}

function walOptions({ config, platform, walMetrics }: Context): WalOptions {
  const log = platform.log.withCaller("storage/wal/wal.ts");
  const { clock, failpoints = failpointsOff } = platform;
  return { clock, log, noSync: config.unsafeNoFsync, observer: walMetrics, failpoints };
}

function idFields(ids: { readonly memberId: bigint; readonly clusterId: bigint }): Record<string, string> {
  return { "local-member-id": formatId(ids.memberId), "cluster-id": formatId(ids.clusterId) };
}

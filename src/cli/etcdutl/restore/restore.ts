/**
 * `snapshot restore`: a data directory for a member of a new cluster, out of a snapshot. What it holds:
 *
 *     member/snap/db                      the snapshot with the members replaced by the new ones, index n, term 1
 *     member/snap/<term 1>-<n>.snap       those members once more
 *     member/wal/                         their n additions, committed, and the record of that .snap
 *
 * All is built below `member.restoring` and gets its name when everything in it is synced, so that a restore that is
 * cut off at any point leaves no member behind, and the next one starts over. (etcd builds in place.) A log outside of the
 * data directory gets its name last; when that is cut off, the member's start does it: server/interrupted-restore.ts.
 * Source: etcdutl/snapshot/v3_snapshot.go.
 */
import { dirname, join, resolve } from "node:path";
import { formatId, memberToJson } from "../../../membership/member.ts";
import type { Clock } from "../../../platform/clock.ts";
import type { Disk } from "../../../platform/disk.ts";
import type { Logger } from "../../../platform/logger.ts";
import { checkDatabase } from "../../../storage/bbolt/check.ts";
import { BoltDb } from "../../../storage/bbolt/db.ts";
import { Backend } from "../../../storage/backend/backend.ts";
import { type Bucket, buckets } from "../../../storage/backend/bucket.ts";
import { writeConsistentIndex, writeScheduledCompact } from "../../../storage/backend/schema.ts";
import { saveSnapshot } from "../../../storage/snap/snap-files.ts";
import { Wal } from "../../../storage/wal/wal.ts";
import { nameRestoredLog, unfinishedMember, unfinishedWalDir } from "../../../server/interrupted-restore.ts";
import { Metadata } from "../../../wire/gen/etcdserverpb/etcdserver.ts";
import { decodeKeyValue } from "../../../wire/hot/key-value.ts";
import { describingFailure } from "../../shared/file-error.ts";
import { quote } from "../../shared/go-quote.ts";
import { copySnapshot } from "./copy-snapshot.ts";
import { type ClusterFlags, type NewCluster, newCluster } from "./new-cluster.ts";
import { encodeNewStore } from "./old-store.ts";

export interface RestoreOptions extends ClusterFlags {
  readonly snapshotPath: string;
  readonly dataDir: string;
  /** Undefined: inside the data directory. */
  readonly walDir: string | undefined;
  readonly skipHashCheck: boolean;
  /**
   * Revisions to jump over, so that no client sees one twice that means something else; everything up to the new
   * revision then counts as compacted. 0 = none.
   */
  readonly bumpRevision: number;
  /** Shown in the log only: nothing is mapped into memory here. */
  readonly initialMmapSize: bigint;
}

export interface RestoreHost {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Where API servers keep their objects (`--etcd-prefix`, which nobody changes). */
const kubernetesPrefix = "/registry/";
const newestRowsLooked = 1000;
/** Nothing is written while the restore waits for something, so the timer has no work. */
const batchIntervalMs = 3_600_000;

/**
 * Durable when the promise resolves.
 *
 * @throws {Error} with etcd's text; nothing is left behind then.
 */
export async function restoreSnapshot(host: RestoreHost, options: RestoreOptions): Promise<void> {
  const { disk, log } = host;
  const { dataDir } = options;
  const cluster = newCluster(options);
  checkTargets(disk, options);
  const walDir = separateWalDir(options);
  const fields = {
    path: options.snapshotPath,
    "wal-dir": options.walDir ?? join(dataDir, "member", "wal"),
    "data-dir": dataDir,
    "snap-dir": join(dataDir, "member", "snap"),
    "initial-memory-map-size": options.initialMmapSize,
  };
  log.info("restoring snapshot", fields);
  const made = makeDirectories(disk, [dataDir, ...(walDir === undefined ? [] : [dirname(walDir)])]);
  const memberDir = join(dataDir, unfinishedMember);
  const newWalDir = walDir === undefined ? join(memberDir, "wal") : unfinishedWalDir(walDir);
  try {
    for (const remains of [memberDir, newWalDir]) disk.remove(remains, { recursive: true });
    const snapDir = join(memberDir, "snap");
    disk.makeDirectory(snapDir);
    await writeDatabase(host, options, cluster, join(snapDir, "db"));
    await writeLog(host, cluster, newWalDir, snapDir);
    for (const directory of [snapDir, memberDir]) await disk.syncDirectory(directory);
    for (const directory of made) await disk.syncDirectory(dirname(directory));
    if (walDir !== undefined) await disk.syncDirectory(dirname(walDir));
    disk.rename(memberDir, join(dataDir, "member"));
  } catch (error) {
    for (const remains of [memberDir, newWalDir]) disk.remove(remains, { recursive: true });
    for (const directory of made.reverse()) {
      if (disk.exists(directory) && disk.list(directory).length === 0) disk.remove(directory, { recursive: true });
    }
    throw error;
  }
  // From here on there is a member.
  await disk.syncDirectory(dataDir);
  if (walDir !== undefined) await nameRestoredLog(disk, walDir);
  log.info("restored snapshot", fields);
}

/** What was there before must stay as it is. The remains of a restore that was cut off may be there. */
function checkTargets(disk: Disk, { dataDir, walDir }: RestoreOptions): void {
  if (disk.exists(dataDir)) {
    const isUsable = disk.stat(dataDir).isDirectory && disk.list(dataDir).every((name) => name === unfinishedMember);
    if (!isUsable) throw new Error(`data-dir ${quote(dataDir)} not empty or could not be read`);
  }
  if (walDir !== undefined && disk.exists(walDir)) throw new Error(`wal-dir ${quote(walDir)} exists`);
}

/** `--wal-dir`, unless it names the usual place. */
function separateWalDir({ dataDir, walDir }: RestoreOptions): string | undefined {
  if (walDir === undefined || resolve(walDir) === resolve(dataDir, "member", "wal")) return undefined;
  return walDir;
}

/** @returns those that were missing, parents first. */
function makeDirectories(disk: Disk, paths: readonly string[]): string[] {
  const made: string[] = [];
  for (const path of paths) {
    const missing: string[] = [];
    for (let at = resolve(path); !disk.exists(at); at = dirname(at)) missing.unshift(at);
    describingFailure("mkdir", path, () => disk.makeDirectory(path));
    made.push(...missing);
  }
  return made;
}

async function writeDatabase(
  { disk, clock, log }: RestoreHost,
  options: RestoreOptions,
  cluster: NewCluster,
  path: string,
): Promise<void> {
  await copySnapshot(disk, options.snapshotPath, path, options);
  // Without a digest nothing else would tell a damaged file from a sound one.
  if (options.skipHashCheck) expectSound(disk, path);
  const backend = await Backend.open(disk, clock, log, path, { batchIntervalMs, noSync: true });
  try {
    log.info("Trimming membership information from the backend...");
    for (const bucket of [buckets.members, buckets.membersRemoved]) {
      for (const key of keysOf(backend, bucket)) backend.delete(bucket, key);
    }
    if (options.bumpRevision > 0) bumpRevision(backend, options.bumpRevision, log);
    else if (holdsKubernetes(backend)) {
      log.info(
        "hint: this is Kubernetes' data, whose clients must never see a revision go back: unless nothing has run since the snapshot was taken, restore with --bump-revision 1000000000 --mark-compacted",
      );
    }
    for (const member of cluster.members) {
      backend.put(buckets.members, text(formatId(member.id)), text(memberToJson(member)));
      log.info("added member", {
        "cluster-id": formatId(cluster.clusterId),
        "local-member-id": "0",
        "added-peer-id": formatId(member.id),
        "added-peer-peer-urls": member.peerUrls,
        "added-peer-is-learner": false,
      });
    }
    writeConsistentIndex(backend, cluster.hardState.commit, cluster.hardState.term);
    await backend.commit();
  } finally {
    await backend.close();
  }
  const file = disk.open(path, "write");
  try {
    await file.sync();
  } finally {
    file.close();
  }
}

function expectSound(disk: Disk, path: string): void {
  const db = BoltDb.open(disk, path, { readOnly: true });
  try {
    const faults = checkDatabase(db);
    if (faults.length === 0) return;
    const head = `snapshot file integrity check failed. ${faults.length} errors found.`;
    throw new Error([head, ...faults].join("\n"));
  } finally {
    db.close();
  }
}

function keysOf(backend: Backend, bucket: Bucket): Uint8Array[] {
  const keys: Uint8Array[] = [];
  backend.range(bucket, new Uint8Array(0), undefined, 0, (key) => keys.push(new Uint8Array(key)) > 0);
  return keys;
}

/** Whether one of the newest rows is an API server's: there, something is renewed every few seconds. */
function holdsKubernetes(backend: Backend): boolean {
  const newest = backend.lastRow()?.main ?? 0;
  let found = false;
  backend.scanRows(
    { main: Math.max(0, newest - newestRowsLooked), sub: 0 },
    undefined,
    (_main, _sub, _tombstone, row) => {
      found = Buffer.from(decodeKeyValue(row).key).indexOf(kubernetesPrefix) === 0;
      return !found;
    },
  );
  return found;
}

/** An empty row at the new revision makes it the current one; the compaction is carried out by the member's start. */
function bumpRevision(backend: Backend, amount: number, log: Logger): void {
  const latest = backend.lastRow()?.main ?? 0;
  const bumped = latest + amount;
  if (!Number.isSafeInteger(bumped)) throw new Error(`cannot bump revision ${latest} by ${amount}: beyond 2^53 - 1`);
  log.info("bumping latest revision", {
    "latest-revision": latest,
    "bump-amount": amount,
    "new-latest-revision": bumped,
  });
  backend.putRow(bumped, 0, false, new Uint8Array(0));
  log.info("marking revision compacted", { revision: bumped });
  writeScheduledCompact(backend, bumped);
}

async function writeLog(host: RestoreHost, cluster: NewCluster, walDir: string, snapDir: string): Promise<void> {
  const { disk, clock, log } = host;
  const { clusterId, memberId, hardState, entries, confState } = cluster;
  const metadata = Metadata.encode({ NodeID: memberId, ClusterID: clusterId }).finish();
  const wal = await Wal.create(disk, walDir, metadata, { clock, log });
  try {
    const point = { index: hardState.commit, term: hardState.term, confState };
    await settled((done) => wal.save(hardState, entries, true, done));
    await saveSnapshot(disk, snapDir, { data: encodeNewStore(cluster.members), metadata: point });
    await settled((done) => wal.saveSnapshot(point, done));
  } finally {
    await wal.close();
  }
}

function settled(work: (done: (error?: Error) => void) => void): Promise<void> {
  return new Promise((fulfil, reject) => {
    work((error) => (error === undefined ? fulfil() : reject(error)));
  });
}

function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value, "utf8"));
}

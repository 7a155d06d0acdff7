/**
 * Keeps the log short. Every `--snapshot-count` applied entries a raft snapshot goes to disk, in an order that leaves a
 * loadable directory after a crash at any step:
 *
 *     backend commit          the database is at least as new as the snapshot's index
 *     <term>-<index>.snap     membership at that index
 *     WAL snapshot record     from here on a start loads the snapshot
 *     release, purge          segments and snapshots that nobody needs any more
 *
 * Membership, configuration and index are taken in one piece between two entries; applying goes on meanwhile. In
 * memory the log is cut more often, keeping `--snapshot-catchup-entries` behind the newest snapshot.
 *
 * Both also have a limit in bytes, which etcd has not: with values of a megabyte ten thousand entries are ten gigabytes, in
 * memory, and to be read at a start.
 * Source: etcd server/etcdserver/server.go (`snapshotIfNeededAndCompactRaftLog`).
 */
import { join } from "node:path";
import type { FailpointSlots } from "../base/failpoints.ts";
import type { Membership } from "../membership/membership.ts";
import type { MemoryStorage } from "../raft/memory-storage.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { Logger } from "../platform/logger.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { saveSnapshot } from "../storage/snap/snap-files.ts";
import { SnapMetrics } from "../storage/snap/snap-metrics.ts";
import type { Wal } from "../storage/wal/wal.ts";
import type { Snapshot } from "../wire/raft/types.ts";
import type { EntryApplier } from "./apply/entry-applier.ts";
import type { ConsistentIndex } from "./apply/consistent-index.ts";
import type { MemberConfig } from "./config.ts";
import type { DataDir } from "./data-dir.ts";

/** Entries applied between two cuts of the log in memory. etcd: 100; each costs a copy of the list that is kept. */
const MEMORY_CUT_ENTRIES = 1_000;
/**
 * Data of applied entries that stays in memory for members that are behind; who is further behind gets the database. Values
 * of 25 kB and less never reach it.
 */
const LOG_BYTES_KEPT = 128 << 20;
/** Data of new entries after which the log in memory is cut whatever the count. */
const MEMORY_CUT_BYTES = 32 << 20;
/** Data of entries since the snapshot on disk at which there is another one. */
const DISK_SNAPSHOT_BYTES = 256 << 20;
const PURGE_INTERVAL_MS = 30_000;

export interface SnapshotterParts {
  readonly config: MemberConfig;
  readonly dirs: DataDir;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  readonly backend: Backend;
  readonly wal: Wal;
  readonly storage: MemoryStorage;
  readonly membership: Membership;
  readonly consistentIndex: ConsistentIndex;
  readonly applier: EntryApplier;
  /** True while a member that got a snapshot goes on from the log in memory. */
  readonly holdsLog: () => boolean;
  readonly failpoints: FailpointSlots;
  /** A snapshot or purge failed: the member cannot go on. */
  readonly fatal: (error: Error) => void;
}

export class Snapshotter {
  readonly #parts: SnapshotterParts;
  readonly #purgeTimer: Timer;
  #diskIndex: number;
  #memoryIndex: number;
  /** Of the log's appended bytes: how many there were at the last snapshot on disk, and at the last cut. */
  #diskBytes = 0;
  #memoryBytes = 0;
  #isForced = false;
  #saving: Promise<void> | undefined;
  readonly metrics = new SnapMetrics();
  /** Snapshots saved to disk since the start. */
  saved = 0;

  constructor(parts: SnapshotterParts) {
    this.#parts = parts;
    this.#diskIndex = parts.storage.snapshot().metadata.index;
    this.#memoryIndex = this.#diskIndex;
    this.#purgeTimer = parts.clock.setTicker(() => this.#purge(), PURGE_INTERVAL_MS);
  }

  /** Asks for a snapshot on disk at the next chance, whatever the count. */
  force(): void {
    this.#isForced = true;
  }

  /** The state was replaced by that of a received snapshot, which is on disk. */
  installed(index: number): void {
    this.#diskIndex = index;
    this.#memoryIndex = index;
    this.#diskBytes = this.#memoryBytes = this.#parts.storage.appendedBytes;
  }

  /** Call after entries were applied, between two entries. */
  afterApply(): void {
    const { appliedIndex } = this.#parts.applier;
    // While entries from before the last stop are replayed, the membership in the backend is newer than the index.
    if (appliedIndex < this.#parts.consistentIndex.index) return;
    const { storage, applier, membership, config } = this.#parts;
    const { appendedBytes } = storage;
    const isDue =
      appliedIndex - this.#diskIndex > config.snapshotCount ||
      (appendedBytes - this.#diskBytes > DISK_SNAPSHOT_BYTES && appliedIndex > this.#memoryIndex);
    const toDisk = (isDue || (this.#isForced && appliedIndex !== this.#diskIndex)) && this.#saving === undefined;
    const isMuch = appendedBytes - this.#memoryBytes > MEMORY_CUT_BYTES && appliedIndex > this.#memoryIndex;
    if (!toDisk && !isMuch && appliedIndex - this.#memoryIndex < MEMORY_CUT_ENTRIES) return;
    this.#memoryBytes = appendedBytes;
    const snapshot = storage.createSnapshot(appliedIndex, applier.confState, membership.toOldStore());
    this.#memoryIndex = appliedIndex;
    this.#cutMemory(appliedIndex);
    if (!toDisk) return;
    this.#isForced = false;
    this.#diskBytes = appendedBytes;
    this.#saving = this.#save(snapshot, this.#parts.backend.commit()).finally(() => (this.#saving = undefined));
  }

  /** Stops purging. */
  stop(): void {
    this.#purgeTimer.cancel();
  }

  /** Resolves when the snapshot that is being saved, if any, is saved. */
  async settled(): Promise<void> {
    await this.#saving;
  }

  #cutMemory(appliedIndex: number): void {
    if (this.#parts.holdsLog()) return this.#parts.log.info("skip compaction since there is an inflight snapshot");
    const { storage, config } = this.#parts;
    const byCount = appliedIndex - Math.max(1, config.snapshotCatchUpEntries);
    const byBytes = Math.min(storage.firstWithin(LOG_BYTES_KEPT), appliedIndex) - 1;
    const index = Math.max(byCount, byBytes);
    if (index >= storage.firstIndex()) storage.compact(index);
  }

  async #save(snapshot: Snapshot, committed: Promise<void>): Promise<void> {
    const { config, dirs, disk, clock, log, wal, failpoints, fatal } = this.#parts;
    const { index, term, confState } = snapshot.metadata;
    const lastIndex = this.#diskIndex;
    this.#diskIndex = index;
    log.info("triggering snapshot", {
      "local-member-applied-index": index,
      "local-member-snapshot-index": lastIndex,
      "local-member-snapshot-count": config.snapshotCount,
    });
    try {
      await committed;
      await saveSnapshot(disk, dirs.snapDir, snapshot, { clock, metrics: this.metrics });
      await failpoints.raftBeforeWALSaveSnaphot?.pass();
      await new Promise<void>((resolve, reject) => {
        wal.saveSnapshot({ index, term, confState }, (error) => (error === undefined ? resolve() : reject(error)));
      });
      wal.releaseTo(index);
      this.#removeReceivedDatabases(index);
      this.saved++;
      log.info("saved snapshot to disk", { "snapshot-index": index });
    } catch (error) {
      fatal(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Databases that a leader sent, older than our own snapshot. */
  #removeReceivedDatabases(index: number): void {
    const { disk, dirs } = this.#parts;
    for (const name of disk.list(dirs.snapDir)) {
      const match = /^([0-9a-f]{16})\.snap\.db$/.exec(name);
      if (match !== null && BigInt(`0x${match[1]}`) < BigInt(index)) disk.remove(join(dirs.snapDir, name));
    }
  }

  #purge(): void {
    const { config, dirs, disk, log, wal, fatal } = this.#parts;
    try {
      if (config.maxWals > 0) {
        for (const name of wal.purge(config.maxWals)) log.info("purged", { path: join(dirs.walDir, name) });
      }
      if (config.maxSnapshots === 0) return;
      for (const suffix of [".snap", ".snap.db"]) {
        const names = disk.list(dirs.snapDir).filter((name) => name.endsWith(suffix));
        for (const name of names.slice(0, Math.max(0, names.length - config.maxSnapshots))) {
          disk.remove(join(dirs.snapDir, name));
          log.info("purged", { path: join(dirs.snapDir, name) });
        }
      }
    } catch (error) {
      fatal(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

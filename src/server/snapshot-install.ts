/**
 * A snapshot that a leader sent: its database lies in the snapshot directory already (the transport put it there); it
 * becomes durable as a raft snapshot, and then the state of this member, while it runs.
 *
 *     database opened ──► leases, keys: index built beside the old one ─┬─► leases, keys, alarms, users, members
 *                         a step a turn of the loop                     └─► watches catch up, peers are dialed anew
 *                                                                           all in one turn
 *
 * While the new index is built the old state answers reads, and ticks, probes and peers are served. Both indexes are in
 * memory then. The change itself takes one turn of the event loop, so that no read sees half of it.
 * Source: etcd server/etcdserver/server.go, `applySnapshot`.
 */
import { join } from "node:path";
import type { FailpointSlots } from "../base/failpoints.ts";
import { CorruptionError } from "../base/corruption.ts";
import type { PreparedLeases } from "../lease/lessor.ts";
import type { PreparedStore } from "../mvcc/store.ts";
import type { Clock } from "../platform/clock.ts";
import type { Disk } from "../platform/disk.ts";
import type { Logger } from "../platform/logger.ts";
import { runInTurns } from "../platform/turns.ts";
import type { BackendReader } from "../storage/backend/bucket.ts";
import { readConsistentIndex } from "../storage/backend/schema.ts";
import { saveSnapshot, snapshotDatabaseName } from "../storage/snap/snap-files.ts";
import type { Wal } from "../storage/wal/wal.ts";
import type { Snapshot } from "../wire/raft/types.ts";
import type { EntryApplier } from "./apply/entry-applier.ts";
import type { DataDir } from "./data-dir.ts";
import type { MemberState } from "./state.ts";

export interface SnapshotInstallParts {
  readonly state: MemberState;
  readonly dirs: DataDir;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly wal: Wal;
  readonly log: Logger;
  readonly applier: EntryApplier;
  readonly failpoints: FailpointSlots;
  /** In the turn in which the state has become that of the snapshot. `revisionBefore` is the store's until then. */
  readonly onInstalled: (index: number, revisionBefore: number) => void;
}

interface Prepared {
  readonly leases: PreparedLeases;
  readonly store: PreparedStore;
}

export class SnapshotInstall {
  /** A snapshot is being taken into use. */
  isInstalling = false;
  readonly #parts: SnapshotInstallParts;

  constructor(parts: SnapshotInstallParts) {
    this.#parts = parts;
  }

  /** Writes the snapshot file, then its record into the WAL. */
  async save(snapshot: Snapshot): Promise<void> {
    const { disk, dirs, wal, failpoints } = this.#parts;
    const { index, term, confState } = snapshot.metadata;
    await failpoints.raftBeforeSaveSnap?.pass();
    await saveSnapshot(disk, dirs.snapDir, snapshot);
    await failpoints.raftBeforeWALSaveSnaphot?.pass();
    await new Promise<void>((resolve, reject) => {
      wal.saveSnapshot({ index, term, confState }, (error) => (error === undefined ? resolve() : reject(error)));
    });
    await failpoints.raftAfterSaveSnap?.pass();
  }

  /** @throws {CorruptionError} by rejection: the database is not there, or not of this snapshot. */
  async install(snapshot: Snapshot): Promise<void> {
    this.isInstalling = true;
    try {
      await this.#install(snapshot);
    } finally {
      this.isInstalling = false;
    }
  }

  async #install({ metadata }: Snapshot): Promise<void> {
    const { state, dirs, disk, wal, log, applier, failpoints, onInstalled } = this.#parts;
    const fields = { "current-applied-index": applier.appliedIndex, "incoming-leader-snapshot-index": metadata.index };
    const path = join(dirs.snapDir, snapshotDatabaseName(metadata.index));
    log.info("applying snapshot", { ...fields, "incoming-leader-snapshot-term": metadata.term });
    if (!disk.exists(path)) throw new CorruptionError({ path }, "the database of a received snapshot is not there");
    await failpoints.applyBeforeOpenSnapshot?.pass();
    await state.backend.replaceBy(
      path,
      (reader) => this.#prepare(reader, path, metadata.index),
      ({ store, leases }) => {
        failpoints.applyAfterOpenSnapshot?.hit();
        state.consistentIndex.reload();
        const revisionBefore = state.store.currentRevision;
        state.lessor.adopt(leases);
        state.store.adopt(store);
        state.alarms.reload();
        state.auth.reload();
        state.membership.reload();
        applier.restart(metadata);
        onInstalled(metadata.index, revisionBefore);
      },
    );
    wal.releaseTo(metadata.index);
    await failpoints.raftAfterWALRelease?.pass();
    log.info("applied snapshot", fields);
  }

  /** Reads leases and keys of the new database, in steps, while the old state answers reads and peers are served. */
  async #prepare(reader: BackendReader, path: string, index: number): Promise<Prepared> {
    const { state, clock } = this.#parts;
    const held = readConsistentIndex(reader);
    if (held < index) {
      throw new CorruptionError({ path }, `holds index ${held}, and the snapshot that came with it ${index}`);
    }
    const leases = state.lessor.prepare(reader);
    return { leases, store: await runInTurns(clock, state.store.prepare(reader, leases)) };
  }
}

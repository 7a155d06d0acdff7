/** What a member does besides answering: each part on its own timer, all stopped together. */
import { failpointsOff } from "../base/failpoints.ts";
import { type Caller, rootUser } from "../auth/caller.ts";
import type { Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import { CompactionRequest } from "../wire/gen/etcdserverpb/rpc.ts";
import type { EntryApplier } from "./apply/entry-applier.ts";
import { startAutoCompaction } from "./auto-compaction.ts";
import type { Bootstrapped } from "./bootstrap.ts";
import type { ClusterSide } from "./cluster-side.ts";
import { CompactionLoop } from "./compaction-loop.ts";
import type { MemberConfig } from "./config.ts";
import { LeaseLoop } from "./lease-loop.ts";
import type { Member } from "./member.ts";
import { Snapshotter } from "./snapshotter.ts";
import type { MemberState } from "./state.ts";
import { VersionMonitor } from "./version-monitor.ts";

export interface BackgroundParts {
  readonly config: MemberConfig;
  readonly platform: Platform;
  readonly log: Logger;
  readonly bootstrapped: Bootstrapped;
  readonly state: MemberState;
  readonly applier: EntryApplier;
  readonly propose: Member["propose"];
  readonly readIndex: Member["readIndex"];
  readonly isLeader: () => boolean;
  readonly isSureToLead: () => boolean;
  readonly fatal: (error: Error) => void;
  readonly cluster: ClusterSide;
}

export class Background {
  readonly snapshotter: Snapshotter;
  readonly leases: LeaseLoop;
  readonly versions: VersionMonitor;
  readonly compactions: CompactionLoop;
  readonly #autoCompaction: Timer | undefined;

  constructor(parts: BackgroundParts) {
    const { config, state, propose, log, isLeader } = parts;
    const { clock, disk, failpoints = failpointsOff } = parts.platform;
    const { cluster } = parts;
    const root = (): Caller => ({ username: rootUser, revision: state.auth.revision });
    const holdsLog = (): boolean => cluster.snapshots.holdsLog;
    this.snapshotter = new Snapshotter({
      ...parts.bootstrapped,
      ...state,
      ...parts,
      clock,
      disk,
      holdsLog,
      failpoints,
    });
    this.leases = new LeaseLoop({
      ...parts,
      clock,
      failpoints,
      lessor: state.lessor,
      checkpoints: config.leaseCheckpoint,
      propose: (kind, request, callback) => propose(kind, request, callback, state.auth.isEnabled ? root() : undefined),
      forward: (id, renewHere) => cluster.renewLease(id, renewHere),
    });
    this.versions = new VersionMonitor({
      ...state,
      ...parts,
      clock,
      memberId: parts.bootstrapped.memberId,
      downgradeCheckTimeMs: config.downgradeCheckTimeMs,
      serverVersions: () => cluster.serverVersions(),
    });
    this.compactions = new CompactionLoop({ ...state, clock, log, pauseMs: config.compactionSleepIntervalMs });
    this.#autoCompaction = startAutoCompaction(config.autoCompaction, {
      clock,
      log,
      isLeader,
      currentRevision: () => state.store.currentRevision,
      compact: (revision, callback) => {
        propose(
          "compaction",
          CompactionRequest.encode({ revision: BigInt(revision), physical: false }).finish(),
          callback,
        );
      },
    });
  }

  /** No timer runs after this. */
  stop(): void {
    this.leases.stop();
    this.versions.stop();
    this.compactions.stop();
    this.#autoCompaction?.cancel();
    this.snapshotter.stop();
  }

  /** Resolves when a raft snapshot that is being saved is saved. */
  settled(): Promise<void> {
    return this.snapshotter.settled();
  }
}

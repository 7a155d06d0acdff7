/**
 * The member as services, HTTP endpoints and programs see it: what it is, what it knows, and the two doors into the
 * log (`propose`) and past it (`readIndex`). `startMember` in start-member.ts makes one.
 *
 * Nothing here allocates a promise for a request: answers come by callback, each exactly once.
 */
import type { AlarmStore } from "../alarm/alarm-store.ts";
import type { AuthStore } from "../auth/auth-store.ts";
import type { Caller } from "../auth/caller.ts";
import type { Histogram } from "../base/histogram.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { Membership } from "../membership/membership.ts";
import type { Store } from "../mvcc/store.ts";
import type { Platform } from "../platform/platform.ts";
import type { Backend } from "../storage/backend/backend.ts";
import type { LeaseRemaining } from "../peer/pages.ts";
import type { PeerServer } from "../peer/server.ts";
import type { EtcdError } from "../wire/errors.ts";
import type { ApplyResult } from "./apply/result.ts";
import type { Passwords } from "./auth/passwords.ts";
import type { MemberConfig } from "./config.ts";
import type { DiskStallCounters } from "./disk-stall.ts";
import type { MemberChanges } from "./member-changes.ts";
import type { Peers } from "./peers.ts";
import type { Quota } from "./quota.ts";
import type { WalMetrics } from "./wal-metrics.ts";
import type { CompactionMetrics } from "./compaction-loop.ts";
import type { RaftStatus } from "../raft/status.ts";
import type { SnapMetrics } from "../storage/snap/snap-metrics.ts";
import type { RequestKind } from "../wire/hot/raft-request.ts";

/**
 * Outcome of one proposal, called exactly once; when it is refused before the log, possibly before `propose` has
 * returned. A caller whose client has gone ignores it: what is in the log is applied all the same. `error` is set when the request was refused before the log, when its outcome is unknown (`timeout`, `stopped`), or
 * when applying it failed; `result` is set otherwise.
 */
export type ProposalCallback = (error: EtcdError | undefined, result: ApplyResult | undefined) => void;

/** Called exactly once, possibly before `readIndex` has returned: the store then shows everything committed before the call. */
export type ReadCallback = (error: EtcdError | undefined) => void;

/** What raft knows on this member right now. */
export interface RaftState {
  readonly term: number;
  /** 0n while there is none. */
  readonly leaderId: bigint;
  readonly isLeader: boolean;
  readonly isLearner: boolean;
  readonly commitIndex: number;
  /** Invariant: appliedIndex <= commitIndex. */
  readonly appliedIndex: number;
  /** Term of the entry at `appliedIndex`. */
  readonly appliedTerm: number;
}

/** A snapshot of the member's counters; they only grow unless named a gauge. For the metrics endpoint. */
export interface MemberCounters {
  readonly leaderChanges: number;
  readonly proposalsCommitted: number;
  readonly proposalsApplied: number;
  /** Gauge. */
  readonly proposalsPending: number;
  readonly proposalsFailed: number;
  readonly slowApplies: number;
  /** Heartbeats that left later than twice their interval after the last. */
  readonly heartbeatsLate: number;
  /** Gauge: longest time between two heartbeats to one member since this one leads; 0 when it does not. */
  readonly heartbeatGapMs: number;
  readonly slowReadIndexes: number;
  readonly readIndexesFailed: number;
  readonly leaseExpired: number;
  readonly snapshotsSaved: number;
  /** Gauge: 1 while a snapshot that the leader sent is taken into use. */
  readonly snapshotsInstalling: number;
  /** Learners made voters by this member as the leader. */
  readonly learnersPromoted: number;
  /** Promotions that this member refused as the leader, or that failed, by the text of the error. */
  readonly learnerPromotionFailures: ReadonlyMap<string, number>;
}

/** Why the member stopped by itself: the process logs it and exits with 1. */
export type FatalCallback = (error: Error) => void;

export interface Member {
  readonly config: MemberConfig;
  readonly platform: Platform;
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly raft: RaftState;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly backend: Backend;
  readonly alarms: AlarmStore;
  readonly auth: AuthStore;
  readonly passwords: Passwords;
  readonly membership: Membership;
  readonly quota: Quota;
  readonly counters: MemberCounters;
  readonly walMetrics: WalMetrics;
  /** How often the disk of the log stalled, and what came of it. */
  readonly diskStalls: DiskStallCounters;
  readonly snapMetrics: SnapMetrics;
  readonly compactionMetrics: CompactionMetrics;
  /** Time of applying, in seconds: the key is etcd's operation, a blank, and `true` or `false` for its success. */
  readonly applyDurations: ReadonlyMap<string, Histogram>;

  /** Everything raft knows, copied; for reports. */
  raftStatus(): RaftStatus;

  /** Text of the storage version ("3.6.0"), or undefined when the files do not say. */
  readonly storageVersion: string | undefined;
  /** True once attributes are published: client requests are served from here on. Never goes back except on stop. */
  readonly isReady: boolean;
  /** Settles when {@link isReady} becomes true; rejects when the member stops before. */
  whenReady(): Promise<void>;

  /**
   * Puts one request into the log and answers when it is applied here.
   *
   * @param kind - which field of InternalRaftRequest the request is.
   * @param request - canonical bytes of that field's message; borrowed until the call returns (copied once, into the log entry).
   * @param caller - whose request it is; nobody's when absent. Applying it checks what the caller may do.
   * @param callback - see {@link ProposalCallback}. Etcd's reasons: `requestTooLarge`, `tooManyRequests`, `timeout`,
   *   `noLeader`, `stopped`, and whatever applying the request gives.
   */
  propose(kind: RequestKind, request: Uint8Array, callback: ProposalCallback, caller?: Caller): void;

  /**
   * Goes on when this member has applied the entry at `index`, at once when it has; after a second, or when too many
   * wait, all the same.
   */
  whenApplied(index: number, proceed: () => void): void;

  /**
   * Calls back when the store shows everything that was committed before this call (a linearizable read may then be
   * served from it). Calls made in one turn of the loop share one confirmation; no call waits for the disk.
   * Reasons: `timeout`, `leaderChanged`, `noLeader`, `stopped`.
   */
  readIndex(callback: ReadCallback): void;

  /** A fresh id, unique over members and restarts: lease ids are made from it as etcd does (`id & 2^63-1`). */
  nextRequestId(): bigint;

  /** Deadline of internal requests: 5 s + 2 election timeouts. */
  readonly requestTimeoutMs: number;

  /**
   * Renews a lease if that can be done within the call: this member leads for sure. @returns its TTL in seconds, 0 when there is
   * none with this id; undefined when it takes {@link renewLease}.
   */
  renewLeaseAtOnce(leaseId: bigint): number | undefined;

  /**
   * Renews a lease on the primary lessor without using the log; calls back with its TTL in seconds.
   * Reasons: `leaseNotFound`, `noLeader`, `timeout`, `stopped`.
   */
  renewLease(leaseId: bigint, callback: (error: EtcdError | undefined, ttlSeconds: number) => void): void;

  /** What is left of a lease, as the leader knows it. Rejects with `leaseNotFound`, `noLeader`, `timeout`, `stopped`. */
  leaseTimeToLive(leaseId: bigint, withKeys: boolean): Promise<LeaseRemaining>;

  /** Changes of the cluster's members. */
  readonly changes: MemberChanges;

  /** The ways to the other members, for metrics. */
  readonly peers: Peers;

  /**
   * Hands leadership to a voter and resolves when it leads.
   * Rejects with `notLeader`, `badLeaderTransferee`, `timeoutLeaderTransfer`.
   */
  moveLeader(target: bigint): Promise<void>;

  /** Puts the endpoints for other members on the peer port. Once. */
  registerPeerEndpoints(server: PeerServer): void;

  /** More writes wait than the disk takes, or no longer: clients should send less, or as they like. */
  onCongested: ((isCongested: boolean) => void) | undefined;
  /**
   * Set by the watch hub: the store was reloaded from a snapshot, with changes that nobody was told of. `revision` is
   * the one that the store had before.
   */
  onReloaded: ((revision: number) => void) | undefined;

  /** Set by the program around the member; called once when the cluster has removed this member: it must be stopped. */
  onRemoved: (() => void) | undefined;

  /** Raises the NOSPACE alarm of this member through the log; for the quota check in front of `propose`. */
  raiseNoSpaceAlarm(): void;

  /** Set by the program around the member; called at most once. The member has already stopped serving. */
  onFatal: FatalCallback | undefined;

  /** Called on every change of leader or of readiness; returns the unsubscribe function. */
  onLeadershipChange(callback: () => void): () => void;

  /** Stops in etcd's order: refuse, finish what is in the log, sync, close files. Idempotent. */
  stop(): Promise<void>;
}

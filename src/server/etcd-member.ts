/**
 * The running member: puts the parts together, starts them in order, and stops them in order.
 *
 *     start   state (leases, store, alarms) ► raft, peers ► replay ► leader ► publish own attributes ► ready
 *     stop    hand leadership over ► refuse new requests ► finish what is in the log ► peers, raft, WAL ► backend
 */
import { failpointsOff } from "../base/failpoints.ts";
import type { Histogram } from "../base/histogram.ts";
import { formatId } from "../membership/member.ts";
import type { AlarmStore } from "../alarm/alarm-store.ts";
import type { AuthStore } from "../auth/auth-store.ts";
import type { Caller } from "../auth/caller.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { Store } from "../mvcc/store.ts";
import type { Membership } from "../membership/membership.ts";
import type { LeaseRemaining } from "../peer/pages.ts";
import type { PeerServer } from "../peer/server.ts";
import { formatMinor, formatVersion, serverVersion } from "../membership/version.ts";
import type { Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import type { RawNode } from "../raft/raw-node.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { EtcdError, type ReasonName } from "../wire/errors.ts";
import { ClusterMemberAttrSetRequest } from "../wire/gen/membershippb/membership.ts";
import type { RequestKind } from "../wire/hot/raft-request.ts";
import { type ConfChange, type Entry, type Message, NONE } from "../wire/raft/types.ts";
import { ApplyDurations } from "./apply/apply-durations.ts";
import { AppliedWait } from "./applied-wait.ts";
import { Applier } from "./apply/applier.ts";
import { EntryApplier } from "./apply/entry-applier.ts";
import { warnOfSlowApply } from "./apply/slow-apply.ts";
import { MembershipApplier } from "./apply/membership-applier.ts";
import type { Passwords } from "./auth/passwords.ts";
import type { Bootstrapped } from "./bootstrap.ts";
import { Background } from "./background.ts";
import { ClusterSide } from "./cluster-side.ts";
import { electionTicksOf, type MemberConfig, requestTimeoutMs } from "./config.ts";
import { DiskStall, type DiskStallCounters } from "./disk-stall.ts";
import { advanceFirstElection } from "./first-election.ts";
import { HeartbeatWatch } from "./heartbeat-watch.ts";
import { RequestIds } from "./ids.ts";
import { LeaderLease } from "./leader-lease.ts";
import type { RenewCallback } from "./lease-loop.ts";
import type { MemberChanges } from "./member-changes.ts";
import type { FatalCallback, Member, MemberCounters, ProposalCallback, RaftState, ReadCallback } from "./member.ts";
import type { Peers } from "./peers.ts";
import { Proposals } from "./proposals.ts";
import type { Quota } from "./quota.ts";
import { RaftLoop } from "./raft-loop.ts";
import { createRaftNode, RaftView } from "./raft-node.ts";
import { ReadIndex } from "./read-index.ts";
import { SpaceAlarm } from "./space-alarm.ts";
import { type MemberState, persistsCheckpoints } from "./state.ts";
import { storageVersion } from "./version-monitor.ts";
import type { WalMetrics } from "./wal-metrics.ts";
import type { CompactionMetrics } from "./compaction-loop.ts";
import type { RaftStatus } from "../raft/status.ts";
import type { SnapMetrics } from "../storage/snap/snap-metrics.ts";

/** Most committed entries that wait to be applied; further proposals are refused. */
const APPLY_GAP_MAX = 5_000;
/** Requests that wait for an entry which their token names; a token may name any. */
const APPLIED_WAITERS_MAX = 1_000;
/** So many bytes of proposals that raft has no room for slow clients down. */
const CONGESTED_BYTES = 8 << 20;
/** Proposals that wait for others to be applied are looked at again after so long. */
const ROOM_RETRY_MS = 2;
/** How long a stop waits for proposals that are in the log already. */
const DRAIN_MS_MAX = 5_000;
/** Time in which answers about its own removal leave a member, before it stops. */
const REMOVED_STOP_DELAY_MS = 1_000;

export class EtcdMember implements Member {
  readonly config: MemberConfig;
  readonly platform: Platform;
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly store: Store;
  readonly lessor: Lessor;
  readonly backend: Backend;
  readonly alarms: AlarmStore;
  readonly auth: AuthStore;
  readonly passwords: Passwords;
  readonly membership: Membership;
  readonly quota: Quota;
  readonly requestTimeoutMs: number;
  readonly raft: RaftState;
  readonly walMetrics: WalMetrics;
  onFatal: FatalCallback | undefined = undefined;
  onCongested: Member["onCongested"] = undefined;
  onReloaded: Member["onReloaded"] = undefined;
  onRemoved: (() => void) | undefined = undefined;

  readonly #log: Logger;
  readonly #wal: Bootstrapped["wal"];
  readonly #node: RawNode;
  readonly #ids: RequestIds;
  readonly #proposals: Proposals;
  #isCongested = false;
  readonly #reads: ReadIndex;
  readonly #leaderLease: LeaderLease;
  readonly #loop: RaftLoop;
  readonly #heartbeats: HeartbeatWatch;
  readonly #diskStall: DiskStall;
  readonly #applier: EntryApplier;
  readonly #cluster: ClusterSide;
  readonly #background: Background;
  readonly #spaceAlarm: SpaceAlarm;
  readonly #appliedWait: AppliedWait;
  readonly #timers: Timer[] = [];
  readonly #durations = new ApplyDurations();
  readonly #leadershipCallbacks = new Set<() => void>();
  readonly #ready = deferred();
  #electedMs = -Infinity;
  #leaderChanges = 0;
  #slowApplies = 0;
  #hasCampaigned = false;
  #state: "starting" | "ready" | "stopping" = "starting";
  #stopped: Promise<void> | undefined;
  #hasFailed = false;
  #isRemoved = false;

  constructor(config: MemberConfig, platform: Platform, bootstrapped: Bootstrapped, state: MemberState) {
    const { clock } = platform;
    const log = platform.log.withCaller("server/etcd-member.ts");
    this.config = config;
    this.platform = platform;
    this.#log = log;
    this.memberId = bootstrapped.memberId;
    this.clusterId = bootstrapped.clusterId;
    this.walMetrics = bootstrapped.walMetrics;
    this.#wal = bootstrapped.wal;
    this.backend = state.backend;
    this.membership = state.membership;
    this.lessor = state.lessor;
    this.store = state.store;
    this.alarms = state.alarms;
    this.auth = state.auth;
    this.passwords = state.passwords;
    this.#appliedWait = new AppliedWait(clock);
    this.quota = state.quota;
    this.requestTimeoutMs = requestTimeoutMs(config);
    const ids = new RequestIds(this.memberId, clock.now());
    this.#ids = ids;
    const node = createRaftNode({
      config,
      memberId: this.memberId,
      storage: bootstrapped.storage,
      random: platform.random,
      log: platform.log.withCaller("raft"),
    });
    this.#node = node;
    const timeoutMs = this.requestTimeoutMs;
    this.#proposals = new Proposals({
      ids,
      node,
      timeoutMs,
      requestBytesMax: config.maxRequestBytes,
      room: () => this.backend.room,
      onceRoom: () => this.#flushOnceRoom(),
    });
    const leaderLease = new LeaderLease({ ...config, node, clock, readIndex: (callback) => this.readIndex(callback) });
    this.#leaderLease = leaderLease;
    this.#reads = new ReadIndex({
      ids,
      log,
      timeoutMs,
      ask: (context) => node.readIndex(context),
      beginRound: () => leaderLease.beginRound(),
      roundConfirmed: (round) => leaderLease.confirmed(round),
    });
    this.#applier = new EntryApplier({
      ...state,
      ids,
      log,
      proposals: this.#proposals,
      applier: new Applier({ ...state, clock }),
      membershipApplier: new MembershipApplier({
        membership: this.membership,
        log,
        onVersionLowered: () => this.#background.snapshotter.force(),
      }),
      replayTable: bootstrapped.replayTable,
      maxLearners: config.maxLearners,
      position: bootstrapped.storage.snapshot().metadata,
      applyConfChange: (change) => {
        leaderLease.configurationChanged();
        return node.applyConfChange(change);
      },
      onConfChange: (change, member) => {
        this.#cluster.peers.changed(change, member);
        if (member === undefined && change.nodeId === this.memberId) this.#removed(REMOVED_STOP_DELAY_MS);
      },
      onTermStarted: () => this.#onTermStarted(),
      withNoSpaceAlarm: (callback) => this.#spaceAlarm.raise(callback),
    });
    this.raft = new RaftView(node, this.#applier, this.membership);
    this.#loop = new RaftLoop(
      {
        node,
        storage: bootstrapped.storage,
        wal: bootstrapped.wal,
        clock,
        failpoints: platform.failpoints ?? failpointsOff,
      },
      {
        beforeReady: (nowMs) => this.#beforeReady(nowMs),
        applyEntry: (entry) => this.#applier.apply(entry),
        entryApplied: (entry, tookMs) => this.#onEntryApplied(entry, tookMs),
        afterApply: () => this.#afterApply(),
        readConfirmed: (context, index) => this.#onReadConfirmed(context, index),
        leaderChanged: (leaderId) => this.#onLeaderChanged(leaderId),
        send: (messages) => this.#send(messages),
        saveSnapshot: (snapshot) => this.#cluster.install.save(snapshot),
        installSnapshot: (snapshot) => this.#cluster.install.install(snapshot),
        fatal: (error) => this.fail(error),
      },
    );
    this.#heartbeats = new HeartbeatWatch(config.heartbeatIntervalMs, log);
    this.#diskStall = new DiskStall({
      node,
      log,
      electionTicks: electionTicksOf(config),
      saves: this.#loop,
      voters: () => this.membership.voters(),
      isConnected: (id) => this.#cluster.peers.activeSince(id) !== undefined,
    });
    const propose = this.propose.bind(this);
    const { memberId, alarms } = this;
    this.#spaceAlarm = new SpaceAlarm({ memberId, alarms, quotaBytes: this.quota.limitBytes, log, propose });
    this.#cluster = new ClusterSide({
      config,
      platform,
      log,
      bootstrapped,
      state,
      node,
      applier: this.#applier,
      handlers: {
        receive: (message) => this.#loop.receive(message),
        isRemoved: (id) => this.membership.isRemoved(id),
        reportUnreachable: (id) => this.#report(() => node.reportUnreachable(id)),
        reportSnapshot: (id, ok) => this.#report(() => node.reportSnapshot(id, ok)),
        removedFromCluster: () => this.#removed(0),
      },
      schedule: () => this.#loop.schedule(),
      isStopping: () => this.#state === "stopping",
      readIndex: this.readIndex.bind(this),
      renewLease: (id, callback) => this.#background.leases.renewForOther(id, callback),
      proposeConfChange: (change, callback) => this.#proposeConfChange(change, callback),
      onInstalled: (index, revisionBefore) => this.#onInstalled(index, revisionBefore),
    });
    this.#background = new Background({
      cluster: this.#cluster,
      config,
      platform,
      log,
      bootstrapped,
      state,
      applier: this.#applier,
      propose,
      readIndex: this.readIndex.bind(this),
      isLeader: () => node.isLeader,
      isSureToLead: () => this.#isSureToLead(),
      fatal: (error) => this.fail(error),
    });
    this.membership.onVersionChange = () => {
      this.lessor.persistCheckpoints = persistsCheckpoints(config, this.membership);
      clock.nextTurn(() => this.#unlessStopping(() => this.#background.versions.check()));
    };
  }

  /** Starts time and the raft loop. */
  run(): void {
    const { clock } = this.platform;
    const { config } = this;
    const { clusterVersion } = this.membership;
    this.#log.info("starting etcd server", {
      "local-member-id": formatId(this.memberId),
      "local-server-version": formatVersion(serverVersion),
      "cluster-id": formatId(this.clusterId),
      "cluster-version": clusterVersion === undefined ? "to_be_decided" : formatMinor(clusterVersion),
    });
    this.#timers.push(clock.setTicker(() => this.#tick(), config.heartbeatIntervalMs));
    this.#cluster.start();
    this.#cluster.corruption.watch({
      intervalMs: config.corruptCheckTimeMs,
      compactionIntervalMs: config.compactHashCheckTimeMs,
      isLeader: () => this.#node.isLeader,
      readIndex: () =>
        new Promise((resolve, reject) => {
          this.readIndex((error) => (error === undefined ? resolve() : reject(error)));
        }),
      proposeAlarm: (request) => this.propose("alarm", request, () => undefined),
    });
    advanceFirstElection({
      config,
      clock,
      node: this.#node,
      activePeers: () => this.#cluster.peers.activeCount,
      isOver: () => this.#state === "stopping",
    });
    const before = this.platform.failpoints?.beforePublishing?.pass();
    if (before === undefined) this.#publish();
    else void before.then(() => this.#unlessStopping(() => this.#publish()));
    this.#loop.schedule();
  }

  /** Of a member that has run before. @throws {StartError} by rejection: its data is not that of the others. */
  async checkBeforeStart(hasRunBefore: boolean): Promise<void> {
    if (hasRunBefore && this.config.initialCorruptCheck) await this.#cluster.corruption.beforeStart();
  }

  get changes(): MemberChanges {
    return this.#cluster.changes;
  }

  get peers(): Peers {
    return this.#cluster.peers;
  }

  get isReady(): boolean {
    return this.#state === "ready";
  }

  get storageVersion(): string | undefined {
    const version = storageVersion(this.backend);
    return version === undefined ? undefined : formatVersion(version);
  }

  get counters(): MemberCounters {
    return {
      leaderChanges: this.#leaderChanges,
      proposalsCommitted: this.raft.commitIndex,
      proposalsApplied: this.raft.appliedIndex,
      proposalsPending: this.#proposals.count,
      proposalsFailed: this.#proposals.failed,
      slowApplies: this.#slowApplies,
      heartbeatsLate: this.#heartbeats.late,
      heartbeatGapMs: this.#heartbeats.longestGapMs,
      slowReadIndexes: this.#reads.slow,
      readIndexesFailed: this.#reads.failed,
      leaseExpired: this.#background.leases.expired,
      snapshotsSaved: this.#background.snapshotter.saved,
      snapshotsInstalling: this.#cluster.install.isInstalling ? 1 : 0,
      learnersPromoted: this.changes.promoted,
      learnerPromotionFailures: this.changes.promotionFailures,
    };
  }

  get diskStalls(): DiskStallCounters {
    return this.#diskStall.counters;
  }

  get snapMetrics(): SnapMetrics {
    return this.#background.snapshotter.metrics;
  }

  get compactionMetrics(): CompactionMetrics {
    return this.#background.compactions.metrics;
  }

  raftStatus(): RaftStatus {
    return this.#node.status();
  }

  get applyDurations(): ReadonlyMap<string, Histogram> {
    return this.#durations.toMap();
  }

  whenReady(): Promise<void> {
    return this.#ready.promise;
  }

  propose(kind: RequestKind, request: Uint8Array, callback: ProposalCallback, caller?: Caller): void {
    if (this.#state === "stopping") return callback(new EtcdError("stopped"), undefined);
    if (this.#node.committed > this.#applier.appliedIndex + APPLY_GAP_MAX) {
      return callback(new EtcdError("tooManyRequests"), undefined);
    }
    this.#submit(kind, request, callback, caller);
  }

  /** As {@link propose}, whatever waits already. */
  #submit(kind: RequestKind, request: Uint8Array, callback: ProposalCallback, caller?: Caller): void {
    try {
      this.#proposals.propose(kind, request, callback, this.platform.clock.monotonic(), caller);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      return callback(error, undefined);
    }
    this.#loop.schedule();
  }

  /** Looks again when the database has caught up, or, when raft alone had no room, in a while. */
  #flushOnceRoom(): void {
    const { clock } = this.platform;
    const again = (): void => {
      this.#proposals.roomMayBeThere();
      this.#loop.schedule();
    };
    if (this.backend.room > 0) clock.setTimer(again, ROOM_RETRY_MS);
    // A backend that fails ends the member.
    else this.backend.drained().then(again, again);
  }

  readIndex(callback: ReadCallback): void {
    if (this.#state === "stopping") return callback(new EtcdError("stopped"));
    this.#reads.add(callback);
    this.#loop.schedule();
  }

  whenApplied(index: number, proceed: () => void): void {
    if (index <= this.#applier.appliedIndex || this.#appliedWait.count >= APPLIED_WAITERS_MAX) return proceed();
    this.#appliedWait.until(index, this.#applier.appliedIndex).then(proceed, proceed);
  }

  nextRequestId(): bigint {
    return this.#ids.toBigInt(this.#ids.next());
  }

  renewLeaseAtOnce(leaseId: bigint): number | undefined {
    return this.#background.leases.renewAtOnce(leaseId);
  }

  renewLease(leaseId: bigint, callback: RenewCallback): void {
    this.#background.leases.renew(leaseId, callback);
  }

  leaseTimeToLive(leaseId: bigint, withKeys: boolean): Promise<LeaseRemaining> {
    return this.#cluster.leaseTimeToLive(leaseId, withKeys);
  }

  moveLeader(target: bigint): Promise<void> {
    return this.#cluster.transfer.move(target, this.requestTimeoutMs);
  }

  registerPeerEndpoints(server: PeerServer): void {
    this.#cluster.register(server);
  }

  raiseNoSpaceAlarm(): void {
    this.#spaceAlarm.raise(() => undefined);
  }

  onLeadershipChange(callback: () => void): () => void {
    this.#leadershipCallbacks.add(callback);
    return () => this.#leadershipCallbacks.delete(callback);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** The member cannot go on: nothing that is not durable may be answered any more. */
  fail(error: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#log.fatal("the member cannot go on and stops", { error, stacktrace: error.stack });
    this.#quiesce();
    this.onFatal?.(error);
  }

  async #stop(): Promise<void> {
    if (!this.#hasFailed) {
      await this.#cluster.transfer.beforeStop(this.requestTimeoutMs);
      this.#state = "stopping";
      await this.#drain();
      this.#quiesce();
    }
    await this.passwords.close();
    await this.#background.settled();
    await this.#cluster.stop();
    await this.#loop.stop();
    await this.#wal.close();
    await this.backend.close();
  }

  /** Waits until everything that was accepted is answered. */
  async #drain(): Promise<void> {
    if (this.#proposals.count === 0 || this.#node.lead === NONE) return;
    await new Promise<void>((resolve) => {
      this.#proposals.onIdle = resolve;
      this.#timers.push(this.platform.clock.setTimer(resolve, DRAIN_MS_MAX));
    });
  }

  /** No timer runs and nobody waits after this. */
  #quiesce(): void {
    this.#state = "stopping";
    for (const timer of this.#timers) timer.cancel();
    this.#background.stop();
    this.#proposals.failAll("stopped");
    this.#reads.failAll("stopped");
    this.#appliedWait.failAll("stopped");
    this.#ready.reject(new EtcdError("stopped"));
  }

  #tick(): void {
    const nowMs = this.platform.clock.monotonic();
    this.#proposals.expire(nowMs, (startedMs) => this.#timeoutReason(startedMs));
    this.#reads.tick(nowMs);
    this.#diskStall.tick();
    this.#loop.tick();
  }

  #send(messages: readonly Message[]): void {
    this.#heartbeats.sending(messages, this.platform.clock.monotonic());
    this.#leaderLease.sending(messages);
    this.#cluster.peers.send(messages);
  }

  /** A proposal made shortly before the present leader was elected was probably lost with the one before. */
  #timeoutReason(startedMs: number): ReasonName {
    const lostMs = this.#electedMs - 2 * this.config.electionTimeoutMs;
    if (startedMs > lostMs && startedMs < this.#electedMs) return "timeoutDueToLeaderFail";
    return this.#wasConnectedSince(startedMs) ? "timeout" : "timeoutDueToConnectionLost";
  }

  /** Whether the way to the leader, or from the leader to a quorum, was there all the time. Without a leader nobody knows. */
  #wasConnectedSince(sinceMs: number): boolean {
    const { peers } = this.#cluster;
    const { lead } = this.#node;
    if (lead === NONE) return true;
    if (lead !== this.memberId) return peers.isConnectedSince(lead, sinceMs);
    const members = this.membership.members();
    return peers.countConnectedSince(members, sinceMs) > Math.floor(members.length / 2);
  }

  #slowClients(): void {
    const isCongested = this.#proposals.queuedBytes > (this.#isCongested ? 0 : CONGESTED_BYTES);
    if (isCongested === this.#isCongested) return;
    this.#isCongested = isCongested;
    this.onCongested?.(isCongested);
  }

  #beforeReady(nowMs: number): void {
    this.#campaignIfAlone();
    this.#proposals.flush();
    this.#slowClients();
    this.#reads.start(nowMs);
  }

  #afterApply(): void {
    this.#appliedWait.release(this.#applier.appliedIndex);
    const { appliedIndex } = this.#applier;
    this.#applier.answerConfChanges();
    this.#reads.release(appliedIndex);
    this.#cluster.afterApply(appliedIndex);
    this.#background.snapshotter.afterApply();
    this.#campaignIfAlone();
  }

  #onReadConfirmed(context: Uint8Array, index: number): void {
    this.#reads.confirm(context, index);
    this.#reads.release(this.#applier.appliedIndex);
  }

  /** Nobody else leads now, and the state here has everything that is committed: as after a linearizable read. */
  #isSureToLead(): boolean {
    return this.#applier.appliedIndex >= this.#node.committed && this.#leaderLease.isSure();
  }

  /** The only voter need not wait for an election timeout: nobody else can lead. */
  #campaignIfAlone(): void {
    if (this.#hasCampaigned || this.#applier.appliedIndex < this.#node.committed) return;
    const { voters } = this.#applier.confState;
    if (voters.length !== 1 || voters[0] !== this.memberId) return;
    this.#hasCampaigned = true;
    this.#node.campaign();
  }

  #onLeaderChanged(leaderId: bigint): void {
    this.#heartbeats.reset();
    if (leaderId === this.memberId) {
      this.#electedMs = this.platform.clock.monotonic();
    } else {
      this.lessor.demote();
      this.#background.leases.demoted();
    }
    // A leader that is lost may be found again: reads wait for it, or for the next one.
    if (leaderId !== NONE) {
      this.#leaderChanges++;
      this.#reads.leaderChanged();
    }
    for (const callback of this.#leadershipCallbacks) callback();
  }

  #onTermStarted(): void {
    const { clock } = this.platform;
    this.#reads.firstCommitInTerm(clock.monotonic());
    if (!this.#node.isLeader) return;
    this.lessor.promote(this.config.electionTimeoutMs, clock.monotonic());
    clock.nextTurn(() => this.#unlessStopping(() => this.#background.versions.check()));
  }

  #onEntryApplied(entry: Entry, tookMs: number): void {
    const { lastRequest } = this.#applier;
    if (lastRequest.kind !== "") this.#durations.observe(lastRequest.kind, lastRequest.hasSucceeded, tookMs / 1000);
    const { warningApplyDurationMs: expectedMs } = this.config;
    if (tookMs <= expectedMs || lastRequest.kind === "") return;
    this.#slowApplies++;
    warnOfSlowApply(this.#log, { ...lastRequest, tookMs, expectedMs, entry });
  }

  /** Tells the core of something that happened on the way to a peer. */
  #report(report: () => void): void {
    if (this.#state === "stopping") return;
    report();
    this.#loop.schedule();
  }

  #proposeConfChange(change: Omit<ConfChange, "id">, callback: ProposalCallback): void {
    if (this.#state === "stopping") return callback(new EtcdError("stopped"), undefined);
    try {
      this.#proposals.proposeConfChange(change, callback, this.platform.clock.monotonic());
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      return callback(error, undefined);
    }
    this.#loop.schedule();
  }

  /** The state is that of a snapshot now, in this very turn. */
  #onInstalled(index: number, revisionBefore: number): void {
    this.#background.snapshotter.installed(index);
    this.#cluster.peers.reset();
    this.onReloaded?.(revisionBefore);
    this.#reads.release(index);
    this.#cluster.afterApply(index);
    if (this.membership.isRemoved(this.memberId)) this.#removed(REMOVED_STOP_DELAY_MS);
  }

  /** The cluster has removed this member; etcd stops then, and so does the program around it. */
  #removed(delayMs: number): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    const stop = (): void => {
      const error = "the member has been permanently removed from the cluster";
      this.#log.warn("server error", { error });
      this.#log.warn("data-dir used by this member must be removed");
      this.onRemoved?.();
    };
    this.#timers.push(this.platform.clock.setTimer(() => this.#unlessStopping(stop), delayMs));
  }

  /**
   * Tells the cluster this member's name and client URLs, until that is applied: then it is ready. Proposed even while a
   * long log is being applied again, which would refuse a client's request.
   */
  #publish(): void {
    const { name, advertiseClientUrls } = this.config;
    const memberAttributes = { name, clientUrls: [...advertiseClientUrls] };
    const request = ClusterMemberAttrSetRequest.encode({ memberID: this.memberId, memberAttributes }).finish();
    const fields = {
      "local-member-id": formatId(this.memberId),
      "local-member-attributes": `{Name:${name} ClientURLs:[${advertiseClientUrls.join(" ")}]}`,
      "cluster-id": formatId(this.clusterId),
      "publish-timeout": `${this.requestTimeoutMs / 1000}s`,
    };
    this.#submit("clusterMemberAttrSet", request, (error) => {
      if (this.#state === "stopping") return;
      if (error !== undefined) {
        this.#log.warn("failed to publish local member to cluster through raft", { ...fields, error });
        // Never at once: the refusal may have come within the call, and would come again.
        const again = (): void => this.#unlessStopping(() => this.#publish());
        this.#timers.push(this.platform.clock.setTimer(again, this.config.heartbeatIntervalMs));
        return;
      }
      this.#log.info("published local member to cluster through raft", fields);
      this.#state = "ready";
      this.#ready.resolve();
      for (const callback of this.#leadershipCallbacks) callback();
    });
  }

  #unlessStopping(action: () => void): void {
    if (this.#state !== "stopping") action();
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // A member that stops before it is ready need not have anybody waiting for it.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

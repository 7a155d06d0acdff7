/**
 * What a member has because it is not alone: ways to the others, requests to the leader, changes of the group, snapshots
 * out and in, and the answers it gives to its peers. Made by `EtcdMember`, which is the side that clients see.
 */
import { peerDial } from "./peer-dial.ts";
import { type Failpoint, failpointsOff } from "../base/failpoints.ts";
import { nobody } from "../auth/caller.ts";
import { bareToken } from "../auth/tokens.ts";
import { formatId, type Member as ClusterMember } from "../membership/member.ts";
import { formatVersion, parseVersion, serverVersion, type Version } from "../membership/version.ts";
import { PeerClient } from "../peer/client.ts";
import { type LeaseRemaining, type PeerServices, registerPages } from "../peer/pages.ts";
import type { PeerServer } from "../peer/server.ts";
import type { PeerHandlers } from "../peer/types.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import type { RawNode } from "../raft/raw-node.ts";
import { EtcdError } from "../wire/errors.ts";
import type { ConfChange } from "../wire/raft/types.ts";
import { AppliedWait } from "./applied-wait.ts";
import type { EntryApplier } from "./apply/entry-applier.ts";
import type { Bootstrapped } from "./bootstrap.ts";
import { type MemberConfig, requestTimeoutMs } from "./config.ts";
import { CorruptionCheck, hashKv } from "./corruption-check.ts";
import { LeaderRequests } from "./leader-requests.ts";
import { LeaderTransfer } from "./leader-transfer.ts";
import { MemberChanges } from "./member-changes.ts";
import type { RenewCallback } from "./lease-loop.ts";
import type { ProposalCallback, ReadCallback } from "./member.ts";
import { Peers, peerDialTimeoutMs } from "./peers.ts";
import { SnapshotInstall } from "./snapshot-install.ts";
import { SnapshotSource } from "./snapshot-source.ts";
import type { MemberState } from "./state.ts";
import { storageVersion } from "./version-monitor.ts";

export interface ClusterSideParts {
  readonly config: MemberConfig;
  readonly platform: Platform;
  readonly log: Logger;
  readonly bootstrapped: Bootstrapped;
  readonly state: MemberState;
  readonly applier: EntryApplier;
  readonly node: RawNode;
  readonly handlers: PeerHandlers;
  readonly schedule: () => void;
  readonly isStopping: () => boolean;
  readonly readIndex: (callback: ReadCallback) => void;
  /** For another member. @see LeaseLoop.renewForOther */
  readonly renewLease: (id: bigint, callback: RenewCallback) => void;
  readonly proposeConfChange: (change: Omit<ConfChange, "id">, callback: ProposalCallback) => void;
  /** The state has become that of a received snapshot. */
  readonly onInstalled: (index: number, revisionBefore: number) => void;
}

export class ClusterSide {
  readonly peers: Peers;
  readonly snapshots: SnapshotSource;
  readonly install: SnapshotInstall;
  readonly changes: MemberChanges;
  readonly corruption: CorruptionCheck;
  readonly transfer: LeaderTransfer;
  readonly #parts: ClusterSideParts;
  readonly #client: PeerClient;
  readonly #leaderRequests: LeaderRequests;
  readonly #appliedWait: AppliedWait;

  constructor(parts: ClusterSideParts) {
    const { config, platform, log, bootstrapped, state, applier, node, handlers } = parts;
    const { clock, disk, failpoints = failpointsOff } = platform;
    const { memberId, clusterId, dirs, wal } = bootstrapped;
    const { membership, backend } = state;
    this.#parts = parts;
    this.#client = new PeerClient({
      platform,
      dialTimeoutMs: peerDialTimeoutMs(config),
      dial: peerDial(config, platform),
    });
    this.#appliedWait = new AppliedWait(clock);
    this.snapshots = new SnapshotSource({ backend, clock, log, memberId, confState: () => applier.confState });
    this.peers = new Peers({
      config,
      platform,
      memberId,
      clusterId,
      membership,
      snapshotDirectory: dirs.snapDir,
      snapshots: this.snapshots,
      handlers,
    });
    const { onInstalled } = parts;
    this.install = new SnapshotInstall({ state, dirs, disk, clock, wal, log, applier, failpoints, onInstalled });
    this.#leaderRequests = new LeaderRequests({
      membership,
      clock,
      electionTimeoutMs: config.electionTimeoutMs,
      timeoutMs: requestTimeoutMs(config),
      leaderId: () => node.lead,
      isStopping: parts.isStopping,
    });
    this.transfer = new LeaderTransfer({
      ...parts,
      membership,
      clock,
      peers: this.peers,
      heartbeatIntervalMs: config.heartbeatIntervalMs,
    });
    this.corruption = new CorruptionCheck({
      memberId,
      clusterId,
      membership,
      store: state.store,
      client: this.#client,
      clock,
      log,
      requestTimeoutMs: requestTimeoutMs(config),
    });
    this.changes = new MemberChanges({
      memberId,
      strict: config.strictReconfigCheck,
      node,
      membership,
      peers: this.peers,
      client: this.#client,
      leaderRequests: this.#leaderRequests,
      clock,
      log,
      requestTimeoutMs: requestTimeoutMs(config),
      waitApplied: () => this.#waitApplied(),
      propose: parts.proposeConfChange,
    });
  }

  /** Dials the members, and those of the cluster that is being joined. */
  start(): void {
    this.peers.start();
    this.peers.addRemotes(this.#parts.bootstrapped.remotes);
  }

  /** Serves the peer port. */
  register(server: PeerServer): void {
    this.peers.register(server);
    registerPages(server, this.#services());
  }

  /** Call after entries were applied. */
  afterApply(appliedIndex: number): void {
    this.#appliedWait.release(appliedIndex);
  }

  async stop(): Promise<void> {
    this.corruption.stop();
    this.#appliedWait.failAll("stopped");
    this.#client.close();
    await this.peers.stop();
  }

  /** Renews a lease at the leader. @param renewHere - once this member is the primary. */
  renewLease(id: bigint, renewHere: () => Promise<number>): Promise<number> {
    const { state, config } = this.#parts;
    return this.#leaderRequests.send({
      answerHere: () => (state.lessor.isPrimary ? renewHere() : undefined),
      ask: (url) => this.#client.renewLease(url, id, requestTimeoutMs(config)),
      isAnswer: ({ reason }) => reason === "leaseNotFound",
    });
  }

  /** What is left of a lease; the leader knows. @throws {EtcdError} by rejection: `leaseNotFound` and reasons of waiting. */
  leaseTimeToLive(id: bigint, withKeys: boolean): Promise<LeaseRemaining> {
    const { state, config, platform } = this.#parts;
    return this.#leaderRequests.send({
      answerHere: () => {
        if (!state.lessor.isPrimary) return undefined;
        return this.#leaseTimeToLiveHere(id, withKeys, platform.failpoints?.beforeLookupWhenLeaseTimeToLive);
      },
      ask: (url) => this.#client.leaseTimeToLive(url, id, withKeys, requestTimeoutMs(config)),
      isAnswer: ({ reason }) => reason === "leaseNotFound",
    });
  }

  /** Versions of the servers of all other members; undefined for one that cannot be asked. */
  serverVersions(): Promise<(Version | undefined)[]> {
    const { state, bootstrapped } = this.#parts;
    const others = state.membership.members().filter(({ id }) => id !== bootstrapped.memberId);
    return Promise.all(others.map((member) => this.#serverVersion(member)));
  }

  async #serverVersion(member: ClusterMember): Promise<Version | undefined> {
    const { log, config } = this.#parts;
    for (const url of member.peerUrls) {
      try {
        return parseVersion((await this.#client.versions(url, requestTimeoutMs(config))).server);
      } catch (error) {
        const fields = { address: `${url}/version`, "remote-member-id": formatId(member.id), error };
        log.warn("failed to reach the peer URL", fields);
      }
    }
    log.warn("failed to get version", { "remote-member-id": formatId(member.id) });
    return undefined;
  }

  async #leaseTimeToLiveHere(id: bigint, withKeys: boolean, point: Failpoint | undefined): Promise<LeaseRemaining> {
    await this.#waitApplied();
    await point?.pass();
    const { lessor } = this.#parts.state;
    const lease = lessor.lookup(id);
    if (lease === undefined) throw new EtcdError("leaseNotFound");
    if (!lessor.isPrimary) throw new EtcdError("notPrimaryLessor");
    const left = lessor.remainingSeconds(id, this.#parts.platform.clock.monotonic()) ?? -1;
    return {
      ttlSeconds: left,
      grantedTtlSeconds: lease.ttlSeconds,
      keys: withKeys ? lessor.keysOf(id) : [],
    };
  }

  /** Resolves when everything that is committed now is applied here. */
  #waitApplied(): Promise<void> {
    const { node, applier } = this.#parts;
    return this.#appliedWait.until(node.committed, applier.appliedIndex);
  }

  /** Resolves when a leader is confirmed and everything it had committed is applied here. */
  #confirmRead(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#parts.readIndex((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  #services(): PeerServices {
    const { bootstrapped, log, state, platform } = this.#parts;
    const { membership } = state;
    return {
      clusterId: bootstrapped.clusterId,
      log,
      members: () => membership.members(),
      versions: () => {
        const storage = storageVersion(state.backend);
        return {
          server: formatVersion(serverVersion),
          cluster: membership.clusterVersion === undefined ? "not_decided" : formatVersion(membership.clusterVersion),
          storage: storage === undefined ? "unknown" : formatVersion(storage),
        };
      },
      promoteMember: async (id, token) => {
        const { auth } = state;
        if (auth.isEnabled) auth.requireAdmin(token === undefined ? nobody : auth.callerOf(bareToken(token)));
        await this.changes.promoteHere(id);
        return membership.members();
      },
      renewLease: (id) => {
        return new Promise<number>((resolve, reject) => {
          this.#parts.renewLease(id, (error, ttlSeconds) =>
            error === undefined ? resolve(ttlSeconds) : reject(error),
          );
        });
      },
      leaseTimeToLive: (id, withKeys) =>
        this.#leaseTimeToLiveHere(id, withKeys, platform.failpoints?.beforeLookupWhenForwardLeaseTimeToLive),
      hashKv: (revision) => hashKv({ store: state.store, clock: platform.clock }, revision),
      downgradeEnabled: async () => {
        await this.#confirmRead();
        return membership.downgrade.enabled;
      },
    };
  }
}

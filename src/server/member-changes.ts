/**
 * Changes of the cluster's members: the checks that protect a running cluster before a change is proposed, and the
 * proposals. What all members check alike when they apply one is in membership/member-table.ts.
 *
 * With strict checks on (the default) a change is refused when it could cost the quorum: when too few members have ever
 * been started, or when too few could be reached all the last five seconds.
 * Source: etcd server/etcdserver/server.go and server/etcdserver/api/membership/cluster.go (`IsReadyTo...`).
 */
import { confChangeContextToJson, formatId, type Member as ClusterMember, memberToJson } from "../membership/member.ts";
import type { Membership } from "../membership/membership.ts";
import { parsePeerUrls } from "../membership/peer-urls.ts";
import type { PeerClient } from "../peer/client.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { RawNode } from "../raft/raw-node.ts";
import { EtcdError } from "../wire/errors.ts";
import { type ConfChange, ConfChangeType } from "../wire/raft/types.ts";
import { deriveMemberId } from "./ids.ts";
import type { LeaderRequests } from "./leader-requests.ts";
import type { ProposalCallback } from "./member.ts";
import type { Peers } from "./peers.ts";

/** Who could be reached for so long counts as connected. */
const HEALTHY_MS = 5_000;
/** A learner may vote when it has this part of the leader's log. */
const LEARNER_READY_PART = 0.9;

export interface MemberChangesParts {
  readonly memberId: bigint;
  readonly strict: boolean;
  readonly node: RawNode;
  readonly membership: Membership;
  readonly peers: Peers;
  readonly client: PeerClient;
  readonly leaderRequests: LeaderRequests;
  readonly clock: Clock;
  readonly log: Logger;
  readonly requestTimeoutMs: number;
  /** Resolves when everything that is committed now is applied here. */
  readonly waitApplied: () => Promise<void>;
  readonly propose: (change: Omit<ConfChange, "id">, callback: ProposalCallback) => void;
}

/** All reject with an EtcdError; the reasons of applying are those of `ConfChangeRefusal`. */
export class MemberChanges {
  /** Learners made voters here, as the leader. */
  promoted = 0;
  /** Why others were not: texts of errors and how often. */
  readonly promotionFailures = new Map<string, number>();
  readonly #parts: MemberChangesParts;

  constructor(parts: MemberChangesParts) {
    this.#parts = parts;
  }

  /** @returns the new member. Reasons: `memberBadUrls`, `notEnoughStartedMembers`, `unhealthy`, and those of applying. */
  async add(urls: readonly string[], isLearner: boolean): Promise<ClusterMember> {
    const peerUrls = parsePeerUrls(urls);
    if (peerUrls === undefined) throw new EtcdError("memberBadUrls");
    const seconds = Math.floor(this.#parts.clock.now() / 1000);
    const member = { id: deriveMemberId(peerUrls, String(seconds)), peerUrls, isLearner, name: "", clientUrls: [] };
    if (this.#parts.strict) this.#checkAddition(member);
    const type = isLearner ? ConfChangeType.AddLearnerNode : ConfChangeType.AddNode;
    await this.#configure(type, member.id, memberToJson(member));
    return member;
  }

  /** Reasons: `notEnoughStartedMembers`, `unhealthy`, and those of applying. */
  async remove(id: bigint): Promise<void> {
    if (this.#parts.strict) this.#checkRemoval(id);
    await this.#configure(ConfChangeType.RemoveNode, id, "");
  }

  /** Replaces the peer URLs. Reasons: those of applying. */
  async update(id: bigint, peerUrls: readonly string[]): Promise<void> {
    const member = { id, peerUrls, isLearner: false, name: "", clientUrls: [] };
    await this.#configure(ConfChangeType.UpdateNode, id, memberToJson(member));
  }

  /** Makes a learner a voter; asks the leader, which alone knows how far the learner is. */
  promote(id: bigint, token: string | undefined): Promise<void> {
    const { node, client, leaderRequests, requestTimeoutMs } = this.#parts;
    return leaderRequests.send<void>({
      answerHere: () => (node.isLeader ? this.promoteHere(id) : undefined),
      ask: async (url) => {
        await client.promoteMember(url, id, token, requestTimeoutMs);
      },
      isAnswer: ({ reason }) =>
        reason === "learnerNotReady" || reason === "memberNotFound" || reason === "memberNotLearner",
    });
  }

  /** As {@link promote}, on the leader. Also `notLeader`. */
  async promoteHere(id: bigint): Promise<void> {
    try {
      await this.#promote(id);
      this.promoted++;
    } catch (error) {
      if (error instanceof EtcdError && error.reason !== "notLeader") {
        this.promotionFailures.set(error.message, (this.promotionFailures.get(error.message) ?? 0) + 1);
      }
      throw error;
    }
  }

  async #promote(id: bigint): Promise<void> {
    await this.#parts.waitApplied();
    this.#checkPromotion(id);
    const member = { id, peerUrls: [], isLearner: false, name: "", clientUrls: [] };
    await this.#configure(ConfChangeType.AddNode, id, confChangeContextToJson({ member, isPromote: true }));
  }

  #checkAddition(member: ClusterMember): void {
    const { membership, peers, log, memberId } = this.#parts;
    const voters = membership.voters();
    const fields = { "local-member-id": formatId(memberId), "requested-member-add": memberToJson(member) };
    if (!member.isLearner && !isReady(voters, { voters: 1, started: 0 })) {
      log.warn("rejecting member add request; not enough healthy members", fields);
      throw new EtcdError("notEnoughStartedMembers");
    }
    // The new member counts as one that is down.
    const connected = peers.countConnectedSince(voters, this.#healthySince());
    if (voters.length > 1 && connected < quorum(voters.length + 1)) {
      log.warn(
        "rejecting member add request; local member has not been connected to majority peers, reconfigure breaks active quorum",
        fields,
      );
      throw new EtcdError("unhealthy");
    }
  }

  #checkRemoval(id: bigint): void {
    const { membership, peers, log, memberId } = this.#parts;
    const member = membership.member(id);
    if (member?.isLearner === true) return;
    const voters = membership.voters();
    const rest = voters.filter((voter) => voter.id !== id);
    const fields = { "local-member-id": formatId(memberId), "requested-member-remove-id": formatId(id) };
    if (started(rest) < quorum(rest.length)) {
      log.warn("rejecting member remove request; not enough healthy members", fields);
      throw new EtcdError("notEnoughStartedMembers");
    }
    // One that is down may always go: it is not part of the active quorum.
    if (id !== memberId && peers.activeSince(id) === undefined) return;
    const connected = peers.countConnectedSince(voters, this.#healthySince());
    if (connected - 1 < 1 + Math.floor((voters.length - 1) / 2)) {
      log.warn(
        "rejecting member remove request; local member has not been connected to all peers, reconfigure breaks active quorum",
        { ...fields, "active-peers": connected },
      );
      throw new EtcdError("unhealthy");
    }
  }

  #checkPromotion(id: bigint): void {
    const { membership, node, strict, log, memberId } = this.#parts;
    if (!node.isLeader) throw new EtcdError("notLeader");
    const { progress } = node.status();
    const learner = progress.get(id);
    if (learner === undefined) throw new EtcdError("memberNotFound");
    const readyPart = learner.match / (progress.get(node.id)?.match ?? 1);
    if (readyPart < LEARNER_READY_PART) {
      log.error("rejecting promote learner: learner is not ready", {
        "learner-ready-percent": readyPart,
        "ready-percent-threshold": LEARNER_READY_PART,
      });
      throw new EtcdError("learnerNotReady");
    }
    if (strict && !isReady(membership.voters(), { voters: 1, started: 1 })) {
      log.warn("rejecting member promote request; not enough healthy members", {
        "local-member-id": formatId(memberId),
        "requested-member-remove-id": formatId(id),
      });
      throw new EtcdError("notEnoughStartedMembers");
    }
  }

  #configure(type: ConfChange["type"], nodeId: bigint, context: string): Promise<void> {
    const { propose, log, memberId } = this.#parts;
    const bytes = new Uint8Array(Buffer.from(context, "utf8"));
    return new Promise((resolve, reject) => {
      propose({ type, nodeId, context: bytes }, (error) => {
        if (error !== undefined) return reject(error);
        log.info("applied a configuration change through raft", {
          "local-member-id": formatId(memberId),
          "raft-conf-change": typeNames[type],
          "raft-conf-change-node-id": formatId(nodeId),
        });
        resolve();
      });
    });
  }

  #healthySince(): number {
    return this.#parts.clock.monotonic() - HEALTHY_MS;
  }
}

const typeNames = ["ConfChangeAddNode", "ConfChangeRemoveNode", "ConfChangeUpdateNode", "ConfChangeAddLearnerNode"];

function quorum(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** A member has a name from its first start on. */
function started(members: readonly ClusterMember[]): number {
  return members.filter((member) => member.name !== "").length;
}

/** Whether enough members have been started for a group that is larger by `more`; a group of one may always grow. */
function isReady(voters: readonly ClusterMember[], more: { voters: number; started: number }): boolean {
  if (started(voters) === 1 && voters.length === 1) return true;
  return started(voters) + more.started >= quorum(voters.length + more.voters);
}

/**
 * Hands leadership over: because a client asks for it, or because the leader stops, so that the cluster need not wait for
 * an election timeout. Source: etcd server/etcdserver/server.go (`MoveLeader`, `TryTransferLeadershipOnShutdown`).
 */
import { formatId } from "../membership/member.ts";
import type { Membership } from "../membership/membership.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { RawNode } from "../raft/raw-node.ts";
import { EtcdError } from "../wire/errors.ts";
import type { Peers } from "./peers.ts";

export interface LeaderTransferParts {
  readonly node: RawNode;
  readonly membership: Membership;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly heartbeatIntervalMs: number;
  /** Sees to it that the core's messages go out. */
  readonly schedule: () => void;
  readonly isStopping: () => boolean;
}

export class LeaderTransfer {
  readonly #parts: LeaderTransferParts;

  constructor(parts: LeaderTransferParts) {
    this.#parts = parts;
  }

  /**
   * @param timeoutMs - how long the transferee may take to win.
   * @param isHopeless - it will not win.
   * @throws {EtcdError} by rejection: `notLeader`, `badLeaderTransferee`, `timeoutLeaderTransfer`; `unhealthy` when hopeless.
   */
  async move(target: bigint, timeoutMs: number, isHopeless: () => boolean = () => false): Promise<void> {
    const { node, membership, clock, log, heartbeatIntervalMs, schedule, isStopping } = this.#parts;
    if (!node.isLeader) throw new EtcdError("notLeader");
    const member = membership.member(target);
    if (member === undefined || member.isLearner) throw new EtcdError("badLeaderTransferee");
    const oldLeader = node.lead;
    const local = { "local-member-id": formatId(node.id) };
    const startedMs = clock.monotonic();
    log.info("leadership transfer starting", {
      ...local,
      "current-leader-member-id": formatId(oldLeader),
      "transferee-member-id": formatId(target),
    });
    node.transferLeader(target);
    schedule();
    while (node.lead !== target) {
      if (clock.monotonic() - startedMs >= timeoutMs || isStopping()) throw new EtcdError("timeoutLeaderTransfer");
      if (isHopeless()) throw new EtcdError("unhealthy");
      await new Promise<void>((resolve) => void clock.setTimer(resolve, heartbeatIntervalMs));
    }
    log.info("leadership transfer finished", {
      ...local,
      "old-leader-member-id": formatId(oldLeader),
      "new-leader-member-id": formatId(target),
      took: `${Math.round(clock.monotonic() - startedMs)}ms`,
    });
  }

  /**
   * On the way down: to the voter that has been reachable for the longest time. Never fails; the stop goes on, and at once when
   * that voter goes too: all members may be stopping. (etcd waits for the whole of the time limit then.)
   */
  async beforeStop(timeoutMs: number): Promise<void> {
    const { node, membership, peers, log } = this.#parts;
    const fields = { "local-member-id": formatId(node.id), "current-leader-member-id": formatId(node.lead) };
    if (!node.isLeader) return log.info("skipped leadership transfer; local server is not leader", fields);
    const voters = membership.voters();
    if (voters.length <= 1) {
      return log.info("skipped leadership transfer for single voting member cluster", fields);
    }
    try {
      const transferee = peers.longestConnected(voters);
      if (transferee === undefined) throw new EtcdError("unhealthy");
      await this.move(transferee, timeoutMs, () => peers.activeSince(transferee) === undefined);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      log.warn("leadership transfer failed", { "local-member-id": formatId(node.id), error });
    }
  }
}

/**
 * Requests that only the leader can answer and that do not go through the log: lease renewals and times, promotions of
 * learners. A follower passes them on over the leader's peer URLs, and tries again while leadership moves.
 * Source: etcd server/etcdserver/v3_server.go (`LeaseRenew`, `waitLeader`), server/etcdserver/server.go (`PromoteMember`).
 */
import type { Membership } from "../membership/membership.ts";
import type { Clock } from "../platform/clock.ts";
import { EtcdError } from "../wire/errors.ts";
import { NONE } from "../wire/raft/types.ts";

/** Pause between two rounds over the leader's URLs. */
const RETRY_MS = 50;

export interface LeaderRequestsParts {
  readonly membership: Membership;
  readonly clock: Clock;
  readonly electionTimeoutMs: number;
  /** How long one request may take in all. */
  readonly timeoutMs: number;
  readonly leaderId: () => bigint;
  readonly isStopping: () => boolean;
}

export interface LeaderRequest<T> {
  /** Asks the leader at one of its peer URLs. */
  readonly ask: (url: string) => Promise<T>;
  /** Whether an error is the leader's answer; any other is tried again. */
  readonly isAnswer: (error: EtcdError) => boolean;
  /** Answers here, once this member can (it has become the leader); undefined while it cannot. */
  readonly answerHere: () => Promise<T> | undefined;
}

export class LeaderRequests {
  readonly #parts: LeaderRequestsParts;

  constructor(parts: LeaderRequestsParts) {
    this.#parts = parts;
  }

  /** @throws {EtcdError} by rejection: the leader's answer, or `noLeader`, `timeout`, `stopped`. */
  async send<T>({ ask, isAnswer, answerHere }: LeaderRequest<T>): Promise<T> {
    const { clock, timeoutMs } = this.#parts;
    const deadlineMs = clock.monotonic() + timeoutMs;
    for (;;) {
      const here = answerHere();
      if (here !== undefined) return here;
      for (const url of await this.#leaderUrls(deadlineMs)) {
        try {
          return await ask(url);
        } catch (error) {
          if (error instanceof EtcdError && isAnswer(error)) throw error;
        }
      }
      if (this.#parts.isStopping()) throw new EtcdError("stopped");
      if (clock.monotonic() >= deadlineMs) throw new EtcdError("timeout");
      await this.#pause(RETRY_MS);
    }
  }

  /** The peer URLs of the leader, when there is one: it is waited for. */
  async #leaderUrls(deadlineMs: number): Promise<readonly string[]> {
    const { membership, clock, electionTimeoutMs, leaderId, isStopping } = this.#parts;
    for (;;) {
      const id = leaderId();
      const leader = id === NONE ? undefined : membership.member(id);
      if (leader !== undefined) return leader.peerUrls;
      if (clock.monotonic() >= deadlineMs) throw new EtcdError("noLeader");
      await this.#pause(Math.min(electionTimeoutMs, Math.max(1, deadlineMs - clock.monotonic())));
      if (isStopping()) throw new EtcdError("stopped");
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#parts.clock.setTimer(resolve, ms));
  }
}

/**
 * How long a leader may be sure that it still leads without asking the others: for what costs nothing else, the renewal of
 * a lease.
 *
 * Each linearizable read that raft confirms here proves that a quorum of voters, asked after the read had begun, still took
 * this member for the leader of its term. Until an election timeout has passed since the read began, none of them votes for
 * anybody else; and whoever leads after it gives every lease its whole time again and an election timeout more, so that what
 * was renewed within that time cannot run out early, however the next leader came about. Of this time only a part is used:
 *
 *     read begins          confirmed        looked after again   no longer sure       others may vote
 *     │────────────────────│────────────────│────────────────────│····················│
 *     0                                     a third              three heartbeats, at most half an election timeout
 *
 * Whoever asks while a third is over has a new read begun, so while there are renewals one read every few of them keeps
 * the leader sure. Not sure is always allowed: the caller then asks the others itself. It is the answer
 *
 * - in any other term than that of the read, and to who does not lead;
 * - when the configuration has changed since the read began, until a later one is confirmed;
 * - for the rest of a term in which MsgTimeoutNow was sent: that election disregards what voters have heard;
 * - when either clock says that the time is over: the monotonic one does not count time in which the machine slept.
 *
 * See docs/decisions/0010-leader-lease.md. Source: Raft thesis 6.4.1; etcd's `ensureLeadership` (server/etcdserver) has its place,
 * and looks at the leader's own ticks only.
 */
import type { Clock } from "../platform/clock.ts";
import { type Message, MessageType } from "../wire/raft/types.ts";

/** As long as etcd relies on its ticks. A busy loop or a short pause does not make the leader unsure. */
const HEARTBEATS = 3;
/** What remains is for clocks that run differently, ticks that come early, and other flags on other members. */
const ELECTION_TIMEOUT_SHARE = 1 / 2;
/** After this share of the time a new read begins. */
const REFRESH_SHARE = 1 / 3;

/** A linearizable read, as it began. */
export interface LeadershipRound {
  /** The term that this member led; 0 when it did not. */
  readonly term: number;
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface LeaderLeaseParts {
  readonly node: { readonly isLeader: boolean; readonly term: number };
  readonly clock: Pick<Clock, "monotonic" | "now">;
  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  /** Begins a linearizable read; its callback comes when it is over, whatever came of it. */
  readonly readIndex: (callback: () => void) => void;
}

const never: LeadershipRound = { term: 0, monotonicMs: -Infinity, wallMs: -Infinity };

export class LeaderLease {
  readonly #parts: LeaderLeaseParts;
  readonly #lastsMs: number;
  #confirmed = never;
  /** Rounds that began up to here do not count. */
  #changedMs = -Infinity;
  /** Leadership of this term was handed over, or may yet be. */
  #handedOverTerm = 0;
  #isRefreshing = false;

  constructor(parts: LeaderLeaseParts) {
    this.#parts = parts;
    const { heartbeatIntervalMs, electionTimeoutMs } = parts;
    this.#lastsMs = Math.min(HEARTBEATS * heartbeatIntervalMs, ELECTION_TIMEOUT_SHARE * electionTimeoutMs);
  }

  /** Call before raft is asked. */
  beginRound(): LeadershipRound {
    const { node, clock } = this.#parts;
    return { term: node.isLeader ? node.term : 0, monotonicMs: clock.monotonic(), wallMs: clock.now() };
  }

  /** Raft has confirmed a read. */
  confirmed(round: LeadershipRound): void {
    const { node } = this.#parts;
    // Leading in one term twice is leading all the time between.
    if (!node.isLeader || round.term !== node.term || round.monotonicMs <= this.#changedMs) return;
    if (round.monotonicMs > this.#confirmed.monotonicMs) this.#confirmed = round;
  }

  /** Other voters than those that were asked may decide now. */
  configurationChanged(): void {
    this.#changedMs = this.#parts.clock.monotonic();
    this.#confirmed = never;
  }

  /** Messages are about to leave. */
  sending(messages: readonly Message[]): void {
    for (let index = 0; index < messages.length; index++) {
      if (messages[index].type === MessageType.TimeoutNow) this.#handedOverTerm = messages[index].term;
    }
  }

  /** Whether nobody else leads at this moment. */
  isSure(): boolean {
    const { node, clock } = this.#parts;
    const { term, monotonicMs, wallMs } = this.#confirmed;
    if (!node.isLeader || term !== node.term || term === this.#handedOverTerm) return false;
    const ageMs = Math.max(clock.monotonic() - monotonicMs, clock.now() - wallMs);
    if (ageMs >= this.#lastsMs) return false;
    if (ageMs >= REFRESH_SHARE * this.#lastsMs) this.#refresh();
    return true;
  }

  #refresh(): void {
    if (this.#isRefreshing) return;
    this.#isRefreshing = true;
    this.#parts.readIndex(() => {
      this.#isRefreshing = false;
    });
  }
}

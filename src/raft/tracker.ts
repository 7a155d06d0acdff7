/**
 * The active configuration, the progress of everybody in it, and the votes of the running election. Mirrors etcd-io/raft
 * tracker/tracker.go.
 */
import type { ConfState } from "../wire/raft/types.ts";
import { Inflights } from "./inflights.ts";
import type { Progress } from "./progress.ts";
import { JointConfig } from "./quorum/joint.ts";
import { compareIds, majorityIndex, MajorityConfig } from "./quorum/majority.ts";
import type { VoteResult } from "./quorum/vote-result.ts";

/** Who votes and who only listens. Immutable. */
export interface GroupConfig {
  readonly voters: JointConfig;
  /** The joint configuration is left automatically once it is applied. */
  readonly autoLeave: boolean;
  /** Invariant: nobody is learner and voter (of either half) at once. */
  readonly learners: MajorityConfig;
  /**
   * Demoted voters that still vote in the outgoing half; they become learners when it is dropped. Keeping them apart
   * upholds the invariant above.
   */
  readonly learnersNext: MajorityConfig;
}

export const emptyConfig: GroupConfig = {
  voters: JointConfig.empty,
  autoLeave: false,
  learners: MajorityConfig.empty,
  learnersNext: MajorityConfig.empty,
};

/** The progress of every member by id; `undefined` where there is none. */
export type ProgressMap = ReadonlyMap<bigint, Progress>;

export interface WindowLimits {
  /** Most appends in flight to one follower. */
  readonly inflightCountMax: number;
  /** Most bytes in flight to one follower; `Infinity` for no limit. */
  readonly inflightBytesMax: number;
}

export class Tracker {
  readonly limits: WindowLimits;

  #config: GroupConfig = emptyConfig;
  #progress: ProgressMap = new Map();
  /** All progresses in ascending order of id, so that iteration is stable and allocates nothing. */
  #ordered: readonly Progress[] = [];
  #incoming: readonly Progress[] = [];
  #outgoing: readonly Progress[] = [];
  #scratch: number[] = [];
  #votes = new Map<bigint, boolean>();

  constructor(limits: WindowLimits) {
    this.limits = limits;
  }

  get config(): GroupConfig {
    return this.#config;
  }

  get progress(): ProgressMap {
    return this.#progress;
  }

  /** All progresses in ascending order of id. */
  get ordered(): readonly Progress[] {
    return this.#ordered;
  }

  get(id: bigint): Progress | undefined {
    // Groups are small: comparing a few ids is several times faster than hashing a bigint, and this is asked for each
    // proposal and each answer.
    for (const member of this.#ordered) if (member.id === id) return member;
    return undefined;
  }

  /** Makes a configuration the active one. `progress` has an entry for each of its members and no others. */
  install(config: GroupConfig, progress: ProgressMap): void {
    this.#config = config;
    this.#progress = progress;
    this.#ordered = [...progress.values()].sort((a, b) => compareIds(a.id, b.id));
    this.#incoming = this.#ordered.filter((member) => config.voters.incoming.has(member.id));
    this.#outgoing = this.#ordered.filter((member) => config.voters.outgoing.has(member.id));
  }

  createInflights(): Inflights {
    return new Inflights(this.limits.inflightCountMax, this.limits.inflightBytesMax);
  }

  confState(): ConfState {
    return {
      voters: [...this.#config.voters.incoming.ids],
      learners: [...this.#config.learners.ids],
      votersOutgoing: [...this.#config.voters.outgoing.ids],
      learnersNext: [...this.#config.learnersNext.ids],
      autoLeave: this.#config.autoLeave,
    };
  }

  /** True if one node decides alone. */
  get isSingleton(): boolean {
    return this.#config.voters.incoming.size === 1 && !this.#config.voters.joint;
  }

  /** The highest index that a quorum is known to hold. */
  committedIndex(): number {
    return Math.min(this.#quorumMatch(this.#incoming), this.#quorumMatch(this.#outgoing));
  }

  /** Whether a quorum was heard of since the last check. */
  quorumActive(): boolean {
    const votes = new Map<bigint, boolean>();
    for (const member of this.#ordered) if (!member.isLearner) votes.set(member.id, member.recentActive);
    return this.#config.voters.voteResult(votes) === "won";
  }

  resetVotes(): void {
    if (this.#votes.size > 0) this.#votes = new Map();
  }

  /** The first answer of a voter counts. */
  recordVote(id: bigint, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  tallyVotes(): { granted: number; rejected: number; result: VoteResult } {
    let granted = 0;
    let rejected = 0;
    for (const member of this.#ordered) {
      const vote = member.isLearner ? undefined : this.#votes.get(member.id);
      if (vote === true) granted++;
      else if (vote === false) rejected++;
    }
    return { granted, rejected, result: this.#config.voters.voteResult(this.#votes) };
  }

  #quorumMatch(voters: readonly Progress[]): number {
    if (voters.length === 1) return voters[0].match;
    this.#scratch.length = voters.length;
    for (let i = 0; i < voters.length; i++) this.#scratch[i] = voters[i].match;
    return majorityIndex(this.#scratch);
  }
}

/**
 * The state of one node of a raft group and its changes of role. Pure: no clock, no disk, no network, no chance but
 * the injected one. What happens on an input is in the step functions beside this file:
 *
 * ```text
 *   tick.ts ---+
 *   input ---- step.ts: term check, votes, storage answers --+-- leader.ts ----- replication.ts (sending)
 *                                                            +-- candidate.ts -- campaign.ts
 *                                                            +-- follower.ts
 *   membership.ts: conf changes and snapshots        raw-node.ts: the face of all this
 *
 *                 no leader heard                 quorum granted
 *   follower  ------------------> [preCandidate] ----> candidate ----> leader
 *       ^                             |                   |               |
 *       +---- higher term, or a leader in this term, or a lost vote ------+
 * ```
 *
 * Mirrors etcd-io/raft raft.go, release v3.6.0: the same messages in the same order. Fields are open to the files of
 * this folder and to nobody else.
 */
import { assert, InvariantError } from "../base/assert.ts";
import { createMessage, EntryType, MessageType, NONE } from "../wire/raft/types.ts";
import type { Entry, HardState, Message } from "../wire/raft/types.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { CompleteConfig } from "./config.ts";
import { describeMessageType, hex } from "./describe.ts";
import { payloadSize } from "./entries.ts";
import { RaftLog } from "./log.ts";
import type { RaftLogger } from "./logger.ts";
import { ReadOnly } from "./read-only.ts";
import type { ReadState } from "./read-only.ts";
import { Tracker } from "./tracker.ts";

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** What is true for the moment and need not be stored. */
export interface SoftState {
  /** The leader, as far as known, or {@link NONE}. */
  readonly lead: bigint;
  readonly role: Role;
}

export class Raft {
  readonly config: CompleteConfig;
  readonly id: bigint;
  readonly log: RaftLog;
  readonly logger: RaftLogger;
  /** Replaced when a snapshot brings a configuration of its own. */
  tracker: Tracker;

  term = 0;
  /** The candidate voted for in `term`. */
  vote: bigint = NONE;
  lead: bigint = NONE;
  role: Role = "follower";
  isLearner = false;
  /** No campaign begins meanwhile: see `RawNode.holdCampaigns`. */
  holdsCampaigns = false;

  /** To be sent at once. None is for this node. */
  messages: Message[] = [];
  /**
   * Answers that promise something (a vote, an append), to this node too: they leave when everything that is not yet
   * durable now, handed out or not, has become so.
   */
  messagesAfterAppend: Message[] = [];
  readStates: ReadState[] = [];

  /** Leader: whom leadership is being handed to. Aborted after an election timeout. */
  leadTransferee: bigint = NONE;
  /**
   * Leader: no conf change in the log lies behind this index. The next may be proposed when it is applied, so that at
   * most one is under way.
   */
  pendingConfIndex = 0;
  /** Leader: payload bytes in the log that are not committed. May be too small after an election, never too large. */
  uncommittedBytes = 0;
  /** Leader: reads waiting for a quorum. */
  readOnly = new ReadOnly();
  /** Leader: reads that came before an entry of this term was committed. */
  postponedReads: Message[] = [];

  /** Ticks since the leader was heard of (follower), or since the last round (candidate, leader). */
  electionElapsed = 0;
  /** Leader: ticks since the last heartbeat. */
  heartbeatElapsed = 0;
  /** Drawn from [electionTicks, 2 * electionTicks) at each change of role. */
  randomizedElectionTicks = 0;

  constructor(config: CompleteConfig) {
    this.config = config;
    this.id = config.id;
    this.logger = config.logger;
    this.log = new RaftLog(config.storage, config.logger, config.applyingBytesMax);
    this.tracker = new Tracker(config);
  }

  softState(): SoftState {
    return { lead: this.lead, role: this.role };
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  // ---------------------------------------------------------------------------------------------------------- roles

  becomeFollower(term: number, lead: bigint): void {
    this.#reset(term);
    this.lead = lead;
    this.role = "follower";
    this.logger.info(`${hex(this.id)} became follower at term ${this.term}`);
  }

  /** Asks who would vote for us. Neither term nor vote change, so nobody is disturbed if the answer is no. */
  becomePreCandidate(): void {
    assert(this.role !== "leader", "a leader does not campaign");
    this.tracker.resetVotes();
    this.lead = NONE;
    this.role = "preCandidate";
    this.logger.info(`${hex(this.id)} became pre-candidate at term ${this.term}`);
  }

  becomeCandidate(): void {
    assert(this.role !== "leader", "a leader does not campaign");
    this.#reset(this.term + 1);
    this.vote = this.id;
    this.role = "candidate";
    this.logger.info(`${hex(this.id)} became candidate at term ${this.term}`);
  }

  /** Starts the term with an empty entry: only by committing one of its own may a leader commit older ones. */
  becomeLeader(): void {
    assert(this.role !== "follower", "a follower campaigns before it leads");
    this.#reset(this.term);
    this.lead = this.id;
    this.role = "leader";
    const self = this.tracker.get(this.id);
    assert(self !== undefined, "a leader is a member");
    self.becomeReplicate();
    self.recentActive = true;
    // The log may hold a conf change that is not applied. Looking for it could be expensive, so assume one at its end.
    this.pendingConfIndex = this.log.lastIndex();
    const appended = this.appendEntries([{ type: EntryType.Normal, term: 0, index: 0, data: emptyBytes }]);
    assert(appended, "an entry without data is never refused");
    this.logger.info(`${hex(this.id)} became leader at term ${this.term}`);
  }

  #reset(term: number): void {
    if (this.term !== term) {
      this.term = term;
      this.vote = NONE;
    }
    this.lead = NONE;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    const { electionTicks, random } = this.config;
    this.randomizedElectionTicks = electionTicks + random(electionTicks);
    this.leadTransferee = NONE;
    this.tracker.resetVotes();
    const last = this.log.lastIndex();
    for (const member of this.tracker.ordered) member.reset(member.id === this.id ? last : 0, last + 1);
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.readOnly = new ReadOnly();
  }

  /** Whether this node may become leader: it votes, and no snapshot is about to replace its log. */
  get promotable(): boolean {
    const self = this.tracker.get(this.id);
    return self !== undefined && !self.isLearner && this.log.unstable.snapshot === undefined;
  }

  // -------------------------------------------------------------------------------------------------------- sending

  /** Queues a message that the core made, filling in sender and term. Promises wait for the disk (see the queues). */
  send(message: Message): void {
    const { type } = message;
    if (message.from === NONE) message.from = this.id;
    if (
      type === MessageType.Vote ||
      type === MessageType.VoteResp ||
      type === MessageType.PreVote ||
      type === MessageType.PreVoteResp
    ) {
      // The term of a vote is the one campaigned for, which with pre-votes is not ours.
      if (message.term === 0) throw new InvariantError(`term should be set when sending ${describeMessageType(type)}`);
    } else {
      if (message.term !== 0) {
        throw new InvariantError(
          `term should not be set when sending ${describeMessageType(type)} (was ${message.term})`,
        );
      }
      // What is passed on to the leader stays without a term, like a local input.
      if (type !== MessageType.Prop && type !== MessageType.ReadIndex) message.term = this.term;
    }
    if (type === MessageType.AppResp || type === MessageType.VoteResp || type === MessageType.PreVoteResp) {
      this.messagesAfterAppend.push(message);
    } else {
      assert(message.to !== this.id, "only promises are sent to oneself");
      this.messages.push(message);
    }
  }

  // ------------------------------------------------------------------------------------------------------ appending

  /**
   * Leader: puts `entries` at the end of the log, in this term. They are copied, as the message that brought them may
   * be delivered twice. False, and nothing changes, if too much is uncommitted already.
   */
  appendEntries(entries: readonly Entry[]): boolean {
    if (!this.#reserveUncommitted(payloadSize(entries))) {
      this.logger.warn(
        `${hex(this.id)} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
      );
      return false;
    }
    const { term } = this;
    const next = this.log.lastIndex() + 1;
    const appended: Entry[] = [];
    for (let i = 0; i < entries.length; i++) {
      appended.push({ type: entries[i].type, term, index: next + i, data: entries[i].data });
    }
    // The leader's own acknowledgement, which arrives when the entries are durable.
    const acknowledgement = createMessage(MessageType.AppResp, this.id);
    acknowledgement.index = this.log.append(appended);
    this.send(acknowledgement);
    return true;
  }

  /** The first proposal may have any size, and entries without data (new leader, leaving a joint state) always pass. */
  #reserveUncommitted(bytes: number): boolean {
    if (this.uncommittedBytes > 0 && bytes > 0 && this.uncommittedBytes + bytes > this.config.uncommittedBytesMax) {
      return false;
    }
    this.uncommittedBytes += bytes;
    return true;
  }

  releaseUncommitted(bytes: number): void {
    this.uncommittedBytes = Math.max(0, this.uncommittedBytes - bytes);
  }

  /** Leader: commits what a quorum has. True if that is more than before. */
  maybeCommit(): boolean {
    return this.log.maybeCommit(this.term, this.tracker.committedIndex());
  }

  /** Leader: whether an entry of its own term is committed; before that it does not know all that is committed. */
  committedInTerm(): boolean {
    return this.log.term(this.log.committed) === this.term;
  }
}

/**
 * The face of the raft core: inputs go in, a {@link Ready} says what is to be done. Mirrors etcd-io/raft rawnode.go.
 *
 * ```text
 *   tick, step, propose, ...   ->   RawNode   ->   ready(): messages, entries, committed entries
 *                                      ^                |  done by the member: disk, network, state machine
 *            advance(), or the responses of storage messages stepped back
 * ```
 *
 * Not reentrant: no method may be called while another runs.
 */
import { assert } from "../base/assert.ts";
import { emptyBytes } from "../base/bytes.ts";
import { encodeConfChange } from "../wire/raft/conf-change-codec.ts";
import { ConfChangeType, createMessage, EntryType, isLocalThread, MessageType, NONE } from "../wire/raft/types.ts";
import type { ConfState, Entry, HardState, Message } from "../wire/raft/types.ts";
import type { RaftConfig } from "./config.ts";
import { encodeConfChangeEntry, toV2 } from "./confchange/conf-change.ts";
import type { AnyConfChange } from "./confchange/conf-change.ts";
import { createRaft } from "./create.ts";
import { encodedSize } from "./entries.ts";
import { RaftError } from "./errors.ts";
import { applyConfChange } from "./membership.ts";
import type { Raft, SoftState } from "./raft.ts";
import {
  createStorageAppend,
  createStorageAppendResp,
  createStorageApply,
  createStorageApplyResp,
  needsStorageAppend,
  needsStorageAppendResp,
} from "./ready.ts";
import type { Ready } from "./ready.ts";
import { createStatus } from "./status.ts";
import type { RaftStatus } from "./status.ts";
import { step } from "./step.ts";
import { tick } from "./tick.ts";

/** A member of a group that is being founded. */
export interface Peer {
  readonly id: bigint;
  /** Goes into the conf change entry that adds it. */
  readonly context: Uint8Array;
}

export class RawNode {
  readonly #raft: Raft;
  readonly #async: boolean;
  /** What the last Ready said, to tell what changed. */
  #softState: SoftState;
  #hardState: HardState;
  /** Without async storage writes: inputs that wait for `advance`; empty when no Ready is out. */
  #stepsOnAdvance: Message[] = [];

  /** @throws {RaftConfigError} */
  constructor(config: RaftConfig) {
    this.#raft = createRaft(config);
    this.#async = this.#raft.config.asyncStorageWrites;
    this.#softState = this.#raft.softState();
    this.#hardState = this.#raft.hardState();
  }

  get id(): bigint {
    return this.#raft.id;
  }

  get term(): number {
    return this.#raft.term;
  }

  /** The leader, as far as known, or {@link NONE}. */
  get lead(): bigint {
    return this.#raft.lead;
  }

  get isLeader(): boolean {
    return this.#raft.role === "leader";
  }

  get committed(): number {
    return this.#raft.log.committed;
  }

  /** A copy of everything worth reporting. It allocates: the getters above are for the hot path. */
  status(): RaftStatus {
    return createStatus(this.#raft);
  }

  // --------------------------------------------------------------------------------------------------------- inputs

  /** One unit of logical time has passed. */
  tick(): void {
    tick(this.#raft);
  }

  /**
   * A message from a peer, or the response of a storage thread. The core keeps its entries.
   * @throws {RaftError} `stepLocalMessage`, `stepPeerNotFound`, or `proposalDropped` for a forwarded proposal.
   */
  step(message: Message): void {
    const { type, from } = message;
    if (!isLocalThread(from)) {
      if (isLocalMessage(type)) throw new RaftError("stepLocalMessage");
      if (isResponse(type) && this.#raft.tracker.get(from) === undefined) throw new RaftError("stepPeerNotFound");
    }
    if (!step(this.#raft, message)) throw new RaftError("proposalDropped");
  }

  /** Campaigns now, if that is possible. */
  campaign(): void {
    this.#stepLocal(createMessage(MessageType.Hup, NONE));
  }

  /**
   * Proposes an entry; the core keeps `data`. It may still be lost without notice.
   * @throws {RaftError} `proposalDropped`
   */
  propose(data: Uint8Array): void {
    this.#propose([{ type: EntryType.Normal, term: 0, index: 0, data }]);
  }

  /**
   * Proposes several entries (at least one) at once: all of them or none. Much cheaper than one by one, as they share one
   * acknowledgement and one round of appends.
   * @throws {RaftError} `proposalDropped`
   */
  proposeBatch(batch: readonly Uint8Array[]): void {
    const entries: Entry[] = [];
    for (const data of batch) entries.push({ type: EntryType.Normal, term: 0, index: 0, data });
    this.#propose(entries);
  }

  /**
   * Proposes a change of membership. One that may not be proposed now ends up as an empty entry in the log.
   * @throws {RaftError} `proposalDropped`
   */
  proposeConfChange(change: AnyConfChange): void {
    const message = createMessage(MessageType.Prop, NONE);
    message.entries = [encodeConfChangeEntry(change)];
    if (!step(this.#raft, message)) throw new RaftError("proposalDropped");
  }

  /**
   * A committed change is being applied. A change that the application refuses is given with node id 0, so that nothing
   * happens here but all members still agree.
   */
  applyConfChange(change: AnyConfChange): ConfState {
    return applyConfChange(this.#raft, toV2(change));
  }

  /** Asks for a read state with this context (unique among the requests of the group; kept). It may never come. */
  readIndex(context: Uint8Array): void {
    const message = createMessage(MessageType.ReadIndex, NONE);
    message.entries = [{ type: EntryType.Normal, term: 0, index: 0, data: context }];
    this.#stepLocal(message);
  }

  /** Asks the leader to hand over to `id`. */
  transferLeader(id: bigint): void {
    this.#stepAbout(MessageType.TransferLeader, id, false);
  }

  /**
   * A follower that has reason to think that its leader is gone forgets it, so that it votes for others before its
   * election timeout.
   */
  forgetLeader(): void {
    this.#stepLocal(createMessage(MessageType.ForgetLeader, NONE));
  }

  /**
   * A leader becomes a follower of its own term that knows no leader, as after a failed quorum check: the others find a
   * new one after their election timeout. Nothing happens on who does not lead. Not in etcd-io/raft.
   */
  resign(): void {
    if (this.isLeader) this.#raft.becomeFollower(this.#raft.term, NONE);
  }

  /**
   * While held, this node begins no campaign: neither when time is up nor when a leader hands over to it. It still votes
   * and follows. Not in etcd-io/raft.
   */
  holdCampaigns(held: boolean): void {
    this.#raft.holdsCampaigns = held;
  }

  /** The last message to `id` could not be sent. */
  reportUnreachable(id: bigint): void {
    this.#stepAbout(MessageType.Unreachable, id, false);
  }

  /** The snapshot for `id` was sent (`ok`) or not. Each `Snap` message must be followed by such a report. */
  reportSnapshot(id: bigint, ok: boolean): void {
    this.#stepAbout(MessageType.SnapStatus, id, !ok);
  }

  /** The next campaign comes after this many ticks, until the role changes: for tests that must know. */
  setRandomizedElectionTicks(ticks: number): void {
    this.#raft.randomizedElectionTicks = ticks;
  }

  /**
   * Founds a group: the log begins with one committed conf change per peer, in term 1. Storage must be empty.
   * All founders give the same peers in the same order.
   */
  bootstrap(peers: readonly Peer[]): void {
    const raft = this.#raft;
    assert(peers.length > 0, "a group has members");
    assert(raft.log.lastIndex() === 0, "only an empty log can be the beginning of a group");
    // Even what was there from the start is to be written.
    this.#hardState = { term: 0, vote: NONE, commit: 0 };
    raft.becomeFollower(1, NONE);
    const changes = peers.map((peer) => ({
      id: 0n,
      type: ConfChangeType.AddNode,
      nodeId: peer.id,
      context: peer.context,
    }));
    raft.log.append(
      changes.map((change, i) => ({
        type: EntryType.ConfChange,
        term: 1,
        index: i + 1,
        data: encodeConfChange(change),
      })),
    );
    raft.log.commitTo(peers.length);
    // In force at once, so that a node can campaign; the application will see the entries and apply them again.
    for (const change of changes) applyConfChange(raft, toV2({ ...change, context: emptyBytes }));
  }

  // -------------------------------------------------------------------------------------------------------- outputs

  /** Whether {@link ready} would have anything to say. */
  hasReady(): boolean {
    const { log, lead, role, messages, messagesAfterAppend, readStates } = this.#raft;
    return (
      messages.length > 0 ||
      messagesAfterAppend.length > 0 ||
      log.unstable.hasNextEntries ||
      log.hasNextCommittedEntries(!this.#async) ||
      this.#hardStateChanged() ||
      lead !== this.#softState.lead ||
      role !== this.#softState.role ||
      readStates.length > 0 ||
      log.unstable.nextSnapshot() !== undefined
    );
  }

  /**
   * Takes what there is to do; it must be done. Without async storage writes the next call comes after
   * {@link advance}.
   */
  ready(): Ready {
    const raft = this.#raft;
    const entries = raft.log.unstable.nextEntries();
    const committedEntries = raft.log.nextCommittedEntries(!this.#async);
    const hardState = this.#hardStateChanged() ? raft.hardState() : undefined;
    const { lead, role } = this.#softState;
    const ready: Ready = {
      softState: raft.lead === lead && raft.role === role ? undefined : raft.softState(),
      hardState,
      readStates: raft.readStates,
      entries,
      snapshot: raft.log.unstable.nextSnapshot(),
      committedEntries,
      messages: raft.messages,
      mustSync: entries.length > 0 || raft.term !== this.#hardState.term || raft.vote !== this.#hardState.vote,
    };
    if (this.#async) this.#addStorageMessages(ready);
    else this.#prepareAdvance(ready);
    this.#accept(ready);
    return ready;
  }

  /** Everything in the last Ready is done. Not with async storage writes, where responses take its place. */
  advance(): void {
    assert(!this.#async, "with async storage writes there is nothing to advance");
    const steps = this.#stepsOnAdvance;
    this.#stepsOnAdvance = [];
    // Steps of our own answers; a conf change proposal among their effects may be dropped, and is proposed again later.
    for (const message of steps) step(this.#raft, message);
  }

  #addStorageMessages(ready: Ready): void {
    const { messages } = this.#raft; // the same list as in the Ready
    if (needsStorageAppend(this.#raft, ready)) messages.push(createStorageAppend(this.#raft, ready));
    if (ready.committedEntries.length > 0) messages.push(createStorageApply(this.#raft, ready.committedEntries));
  }

  #prepareAdvance(ready: Ready): void {
    const raft = this.#raft;
    assert(this.#stepsOnAdvance.length === 0, "a Ready is advanced before the next is taken");
    // Messages are sent after the entries are durable by contract, so promises may go with them.
    for (const message of raft.messagesAfterAppend) {
      if (message.to === raft.id) this.#stepsOnAdvance.push(message);
      else raft.messages.push(message);
    }
    if (needsStorageAppendResp(raft, ready)) this.#stepsOnAdvance.push(createStorageAppendResp(raft, ready));
    if (ready.committedEntries.length > 0) {
      this.#stepsOnAdvance.push(createStorageApplyResp(raft, ready.committedEntries));
    }
  }

  #accept(ready: Ready): void {
    const raft = this.#raft;
    if (ready.softState !== undefined) this.#softState = ready.softState;
    if (ready.hardState !== undefined) this.#hardState = ready.hardState;
    if (ready.readStates.length > 0) raft.readStates = [];
    raft.messages = [];
    raft.messagesAfterAppend = [];
    raft.log.unstable.acceptInProgress();
    const { committedEntries } = ready;
    if (committedEntries.length > 0) {
      const last = committedEntries[committedEntries.length - 1].index;
      raft.log.acceptApplying(last, encodedSize(committedEntries), !this.#async);
    }
  }

  #hardStateChanged(): boolean {
    const { term, vote, log } = this.#raft;
    const last = this.#hardState;
    return term !== last.term || vote !== last.vote || log.committed !== last.commit;
  }

  #propose(entries: readonly Entry[]): void {
    const message = createMessage(MessageType.Prop, NONE);
    message.from = this.#raft.id;
    message.entries = entries;
    if (!step(this.#raft, message)) throw new RaftError("proposalDropped");
  }

  #stepAbout(type: MessageType, id: bigint, reject: boolean): void {
    const message = createMessage(type, NONE);
    message.from = id;
    message.reject = reject;
    this.#stepLocal(message);
  }

  #stepLocal(message: Message): void {
    step(this.#raft, message);
  }
}

/** Types that only this node may step; a peer that sends one is confused. */
function isLocalMessage(type: MessageType): boolean {
  switch (type) {
    case MessageType.Hup:
    case MessageType.Beat:
    case MessageType.Unreachable:
    case MessageType.SnapStatus:
    case MessageType.CheckQuorum:
    case MessageType.StorageAppend:
    case MessageType.StorageAppendResp:
    case MessageType.StorageApply:
    case MessageType.StorageApplyResp:
      return true;
    default:
      return false;
  }
}

/** Types that answer something this node sent; they make sense from members only. */
function isResponse(type: MessageType): boolean {
  switch (type) {
    case MessageType.AppResp:
    case MessageType.VoteResp:
    case MessageType.HeartbeatResp:
    case MessageType.Unreachable:
    case MessageType.ReadIndexResp:
    case MessageType.PreVoteResp:
      return true;
    default:
      return false;
  }
}

/**
 * Drives the raft core: the one place where it meets the log on disk, the state machine and time.
 *
 *     propose, readIndex, tick, messages ──► core ──► Ready ─┬─ StorageAppend ──► WAL (fdatasync) ──► responses ──► core
 *                                                            ├─ StorageApply ───► entries, in slices ► responses ──► core
 *                                                            ├─ read states ────► ReadIndex
 *                                                            └─ messages ───────► peers
 *
 * Everything that arrives in one turn of the event loop is one Ready, so one WAL write; while a sync is under way the
 * WAL collects what comes and syncs it next. Nothing here waits: a read or a heartbeat goes out while a sync hangs, and
 * applying yields after {@link APPLY_SLICE_MS}. Messages to peers leave before anything is applied, but for two kinds:
 * appends behind entries that are being synced wait for that (append-hold.ts), and a commit index alone for the answers.
 *
 * A snapshot replaces log and state machine; what comes behind it waits until both are replaced:
 *
 *     .snap file ──► WAL snapshot record ──► hard state, synced ──► database in use ──► responses ──► core
 *
 * The database comes last, because a start after a crash believes a snapshot only when the hard state reaches it.
 *
 * Storage work is asynchronous as etcd-io/raft's `AsyncStorageWrites` describes it; own acknowledgements count only
 * after the sync, and only what is in our own WAL is applied. In one thing this is stricter: a candidate asks for votes
 * only when its own term and vote are durable. The core would let it win by the votes of others alone, and after a crash
 * it could win the same term again, with other entries.
 */
import { assert } from "../base/assert.ts";
import type { FailpointSlots } from "../base/failpoints.ts";
import type { MemoryStorage } from "../raft/memory-storage.ts";
import type { RawNode } from "../raft/raw-node.ts";
import type { Ready } from "../raft/ready.ts";
import { RaftError } from "../raft/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { Wal } from "../storage/wal/wal.ts";
import {
  type Entry,
  EntryType,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  MessageType,
  NONE,
  type Snapshot,
} from "../wire/raft/types.ts";
import { AppendHold } from "./append-hold.ts";
import { HeldProposals } from "./held-proposals.ts";

/** Longest time that entries are applied in one turn of the loop; the rest waits for the next turn. */
const APPLY_SLICE_MS = 5;

export interface RaftLoopParts {
  readonly node: RawNode;
  readonly storage: MemoryStorage;
  readonly wal: Wal;
  readonly clock: Clock;
  readonly failpoints: FailpointSlots;
}

/** What the member does on what happens here. All run inside a turn of the loop. */
export interface RaftLoopHandlers {
  /** Before the core is asked for work: the place to step what has been waiting for this turn. */
  beforeReady(nowMs: number): void;
  applyEntry(entry: Entry): void;
  /** After each entry, with the time it took. */
  entryApplied(entry: Entry, tookMs: number): void;
  /** A list of committed entries is applied and the core knows. */
  afterApply(): void;
  readConfirmed(context: Uint8Array, index: number): void;
  leaderChanged(leaderId: bigint): void;
  /** Messages to peers, in order: all of one turn, or of a part of it. */
  send(messages: readonly Message[]): void;
  /** Makes a received snapshot durable: its file, and its record in the WAL. */
  saveSnapshot(snapshot: Snapshot): Promise<void>;
  /** Takes the database of a snapshot into use. Nothing is applied meanwhile. */
  installSnapshot(snapshot: Snapshot): Promise<void>;
  /** The member cannot go on. Called once; nothing is handled afterwards. */
  fatal(error: Error): void;
}

/** With so few entries to apply, clients hear of a commit before the followers. */
const ANSWERED_FIRST_MAX = 8;

const none: Message[] = [];

/** Entries being applied, in order. */
interface Applying {
  readonly message: Message;
  next: number;
}

export class RaftLoop {
  readonly #node: RawNode;
  readonly #storage: MemoryStorage;
  readonly #wal: Wal;
  readonly #clock: Clock;
  readonly #failpoints: FailpointSlots;
  readonly #handlers: RaftLoopHandlers;
  readonly #applying: Applying[] = [];
  /** Storage work that came behind a snapshot which is being installed; undefined while there is none. */
  #behindSnapshot: { message: Message; ready: Ready }[] | undefined;
  /** Entries up to here are part of an installed snapshot. */
  #installedIndex = 0;
  #outbox: Message[] = [];
  readonly #hold = new AppendHold();
  readonly #heldProposals = new HeldProposals();
  #leaderId = NONE;
  /** A failpoint holds applying before the entry of this index. */
  #isHeld = false;
  #heldIndex = 0;
  #isScheduled = false;
  #isStopped = false;
  /** Writes of the log that were begun and are not durable yet. */
  savesInFlight = 0;
  /** Writes of the log that became durable; only grows. */
  savesFinished = 0;
  #installsInFlight = 0;
  #whenSaved: (() => void) | undefined;

  constructor(parts: RaftLoopParts, handlers: RaftLoopHandlers) {
    this.#node = parts.node;
    this.#storage = parts.storage;
    this.#wal = parts.wal;
    this.#clock = parts.clock;
    this.#failpoints = parts.failpoints;
    this.#handlers = handlers;
  }

  /** Sees to it that the core's work is done in this turn of the event loop, after the I/O that is ready now. */
  schedule(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    this.#clock.nextTurn(this.#turn);
  }

  tick(): void {
    if (this.#isStopped) return;
    this.#node.tick();
    this.#hold.end();
    this.schedule();
  }

  /** A message from a peer. @returns false when it was dropped. */
  receive(message: Message): boolean {
    if (this.#isStopped) return false;
    if (message.type === MessageType.Prop && this.#node.lead === NONE) return this.#heldProposals.hold(message);
    try {
      this.#node.step(message);
    } catch (error) {
      // A proposal that cannot be taken now, an answer of somebody who does not belong to the group (any more), or what no
      // member sends to another: ignored.
      if (error instanceof RaftError) return message.type !== MessageType.Prop;
      this.#fail(error);
      return false;
    }
    this.schedule();
    return true;
  }

  /** Handles nothing more; resolves when the WAL has finished what it was given. */
  stop(): Promise<void> {
    this.#isStopped = true;
    return new Promise((resolve) => {
      this.#whenSaved = resolve;
      this.#checkSaved();
    });
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    if (this.#isStopped) return;
    try {
      this.#run();
    } catch (error) {
      this.#fail(error);
    }
  };

  #run(): void {
    this.#hold.beginTurn(this.#node, this.savesInFlight > 0);
    if (this.#heldProposals.count > 0 && this.#node.lead !== NONE) this.#releaseProposals();
    this.#handlers.beforeReady(this.#clock.monotonic());
    do {
      while (this.#node.hasReady()) this.#handleReady(this.#node.ready());
      this.#hold.releaseTo(this.#outbox);
      // Answers leave in microtasks of this turn, which come before this one.
      if (!this.#answersFirst()) this.#sendOutbox();
      const isApplied = this.#applySlice();
      if (this.#outbox.length > 0) queueMicrotask(this.#sendLater);
      if (!isApplied) return this.schedule();
    } while (this.#node.hasReady());
  }

  #releaseProposals(): void {
    for (const message of this.#heldProposals.take()) {
      try {
        this.#node.step(message);
      } catch (error) {
        // Leadership is being handed over: the client of the member that sent it runs out of time.
        if (!(error instanceof RaftError)) throw error;
      }
    }
  }

  #handleReady(ready: Ready): void {
    if (ready.softState !== undefined && ready.softState.lead !== this.#leaderId) {
      this.#leaderId = ready.softState.lead;
      this.#handlers.leaderChanged(this.#leaderId);
    }
    for (const { context, index } of ready.readStates) this.#handlers.readConfirmed(context, index);
    let voteRequests: Message[] = none;
    for (const message of ready.messages) {
      if (message.to === LOCAL_APPEND_THREAD) this.#append(withResponses(message, voteRequests), ready);
      else if (message.to === LOCAL_APPLY_THREAD) this.#beginApply(message);
      else if (message.type === MessageType.Vote) voteRequests = [...voteRequests, message];
      else if (!this.#hold.keeps(message)) this.#outbox.push(message);
    }
    assert(voteRequests.length === 0 || ready.hardState !== undefined, "a campaign begins a term");
  }

  #beginApply(message: Message): void {
    this.#applying.push({ message, next: 0 });
    this.#hold.end();
  }

  /**
   * A commit index without entries holds up nobody but those who follow: a client alone gets its answer before the leader
   * spends two writes on that.
   */
  #answersFirst(): boolean {
    if (this.#applying.length !== 1 || this.#applying[0].message.entries.length > ANSWERED_FIRST_MAX) return false;
    for (const { type, entries } of this.#outbox) if (type !== MessageType.App || entries.length > 0) return false;
    return this.#outbox.length > 0;
  }

  readonly #sendLater = (): void => {
    if (this.#isStopped) return;
    try {
      this.#sendOutbox();
    } catch (error) {
      this.#fail(error);
    }
  };

  #sendOutbox(): void {
    const { raftBeforeLeaderSend, raftBeforeFollowerSend } = this.#failpoints;
    (this.#node.isLeader ? raftBeforeLeaderSend : raftBeforeFollowerSend)?.hit();
    if (this.#outbox.length === 0) return;
    const messages = this.#outbox;
    this.#outbox = [];
    this.#handlers.send(messages);
  }

  #append(message: Message, ready: Ready): void {
    if (this.#behindSnapshot !== undefined) this.#behindSnapshot.push({ message, ready });
    else if (ready.snapshot !== undefined) this.#appendSnapshot(message, ready, ready.snapshot);
    else this.#save(message, ready);
  }

  #save({ responses }: Message, { entries, hardState, mustSync }: Ready): void {
    this.savesInFlight++;
    if (entries.length > 0) this.#hold.appendedIndex = entries[entries.length - 1].index;
    this.#failpoints.raftBeforeSave?.hit();
    this.#wal.save(hardState, entries, mustSync, (error) => {
      this.savesInFlight--;
      this.savesFinished++;
      const hasHeld = this.#hold.end();
      if (error !== undefined) this.#fail(error);
      if (this.#isStopped) return this.#checkSaved();
      this.#failpoints.raftAfterSave?.hit();
      this.#storage.append(entries);
      if (hardState !== undefined) this.#storage.setHardState(hardState);
      this.#failpoints.raftBeforeAdvance?.hit();
      for (const response of responses) this.#deliver(response);
      if (responses.length > 0 || hasHeld) this.schedule();
    });
  }

  #appendSnapshot(message: Message, ready: Ready, snapshot: Snapshot): void {
    this.#behindSnapshot = [];
    this.#installsInFlight++;
    this.#replaceBySnapshot(ready, snapshot).then(
      () => {
        this.#installsInFlight--;
        const behind = this.#behindSnapshot ?? [];
        this.#behindSnapshot = undefined;
        if (this.#isStopped) return this.#checkSaved();
        for (const response of message.responses) this.#deliver(response);
        for (const work of behind) this.#append(work.message, work.ready);
        this.schedule();
      },
      (error: unknown) => {
        this.#installsInFlight--;
        this.#fail(error);
        this.#checkSaved();
      },
    );
  }

  async #replaceBySnapshot({ entries, hardState }: Ready, snapshot: Snapshot): Promise<void> {
    await this.#handlers.saveSnapshot(snapshot);
    await new Promise<void>((resolve, reject) => {
      this.#wal.save(hardState, entries, true, (error) => (error === undefined ? resolve() : reject(error)));
    });
    if (this.#isStopped) return;
    await this.#handlers.installSnapshot(snapshot);
    this.#installedIndex = snapshot.metadata.index;
    this.#failpoints.raftBeforeApplySnap?.hit();
    this.#storage.applySnapshot(snapshot);
    this.#failpoints.raftAfterApplySnap?.hit();
    this.#storage.append(entries);
    if (hardState !== undefined) this.#storage.setHardState(hardState);
  }

  /** Applies for one slice; false when something is left. At least one entry is applied. */
  #applySlice(): boolean {
    if (this.#applying.length === 0 || this.#behindSnapshot !== undefined || this.#isHeld) return true;
    let nowMs = this.#clock.monotonic();
    const deadlineMs = nowMs + APPLY_SLICE_MS;
    for (let applying = this.#applying[0]; applying !== undefined; applying = this.#applying[0]) {
      const { entries, responses } = applying.message;
      while (applying.next < entries.length) {
        const entry = entries[applying.next];
        if (this.#isHeldBefore(entry)) return true;
        applying.next++;
        if (entry.index <= this.#installedIndex) continue;
        this.#handlers.applyEntry(entry);
        const startedMs = nowMs;
        nowMs = this.#clock.monotonic();
        this.#handlers.entryApplied(entry, nowMs - startedMs);
        if (nowMs >= deadlineMs && applying.next < entries.length) return false;
      }
      this.#applying.shift();
      for (const response of responses) this.#deliver(response);
      this.#handlers.afterApply();
    }
    return true;
  }

  /** A failpoint is passed once before each entry, and may hold it and all behind it. */
  #isHeldBefore({ type, index }: Entry): boolean {
    const { beforeApplyOneEntryNormal, beforeApplyOneConfChange } = this.#failpoints;
    const point = type === EntryType.Normal ? beforeApplyOneEntryNormal : beforeApplyOneConfChange;
    if (point === undefined || index === this.#heldIndex) return false;
    this.#heldIndex = index;
    this.#isHeld = true;
    void point.pass().then(() => {
      this.#isHeld = false;
      this.schedule();
    });
    return true;
  }

  /** Answers of the storage threads go to our own core, or to the peer that waits for the write. */
  #deliver(response: Message): void {
    if (response.to !== this.#node.id) {
      this.#outbox.push(response);
      return;
    }
    try {
      this.#node.step(response);
    } catch (error) {
      // An acknowledgement of our own after this member was removed from the group.
      if (!(error instanceof RaftError)) throw error;
    }
  }

  #checkSaved(): void {
    if (this.savesInFlight + this.#installsInFlight === 0) this.#whenSaved?.();
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#handlers.fatal(error instanceof Error ? error : new Error(String(error)));
  }
}

/** A storage message that is followed by `more` once it is carried out. */
function withResponses(message: Message, more: readonly Message[]): Message {
  return more.length === 0 ? message : { ...message, responses: [...more, ...message.responses] };
}

/**
 * Proposals on their way: encoded and queued, handed to raft once a turn of the loop, waiting until their entry is applied
 * here, or given up.
 *
 *     propose() ──► queued ──flush(), with a leader──► in raft's hands ──settle()──► answered
 *                      └──────────────── expire(), failAll() ───────────────────────►
 *
 * What is in raft's hands ends in the backend's buffer, which a slow disk empties slowly: raft gets no more than there is
 * room for, and the rest stays queued. Nothing is refused for that before the queue itself is at its limit.
 *
 * One that ran out of time is given up, not undone: its entry may still be applied, then without an answer. Only one that
 * raft never had is certainly not done, and taken out of the queue. All have the same time limit, so the oldest one in the
 * table is the next to run out.
 */
import { type Caller, nobody } from "../auth/caller.ts";
import type { RawNode } from "../raft/raw-node.ts";
import { RaftError } from "../raft/errors.ts";
import { type ConfChange, NONE } from "../wire/raft/types.ts";
import { EtcdError, type ReasonName } from "../wire/errors.ts";
import { encodeRaftRequest, type RequestKind } from "../wire/hot/raft-request.ts";
import type { ApplyResult } from "./apply/result.ts";
import type { RequestIds } from "./ids.ts";
import type { ProposalCallback } from "./member.ts";
import { SequenceTable } from "./sequence-table.ts";

/** Most proposals kept while there is no leader to take them. */
const QUEUED_WITHOUT_LEADER_MAX = 5_000;
/** Of entries that wait for a leader or for room. Clients that send much are slowed down long before. */
const QUEUED_BYTES_MAX = 256 << 20;
/** As QUEUED_WITHOUT_LEADER_MAX, for changes of the group. */
const QUEUED_CHANGES_MAX = 100;

interface Pending {
  readonly callback: ProposalCallback;
  /** Monotonic. */
  readonly startedMs: number;
  /** Of the entry; 0 for a change of the group. */
  readonly bytes: number;
}

export interface ProposalsOptions {
  readonly ids: RequestIds;
  readonly node: RawNode;
  readonly timeoutMs: number;
  /** Largest entry. */
  readonly requestBytesMax: number;
  /** How many bytes of entries raft may have in its hands now; 0 or less: wait for {@link onceRoom}. */
  readonly room: () => number;
  /** Sees to a {@link Proposals.flush} when there may be room again. Called at most once until then. */
  readonly onceRoom: () => void;
}

export class Proposals {
  readonly #options: ProposalsOptions;
  /** By sequence (see RequestIds), which grows with time. */
  readonly #pending = new SequenceTable<Pending>();
  #queued: Uint8Array[] = [];
  /** Of those in `#queued`, in the same order. */
  #queuedSequences: number[] = [];
  #queuedChanges: ConfChange[] = [];
  /** Of `#queued`. */
  #queuedBytes = 0;
  /** Of all that wait for their answer. */
  #pendingBytes = 0;
  /** Something is queued that raft had no room for. */
  #isHeldBack = false;
  /** Given up without an answer from the log; only grows. */
  failed = 0;
  /** Called when the last one was settled. */
  onIdle: (() => void) | undefined = undefined;

  constructor(options: ProposalsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#pending.size;
  }

  /** Bytes of entries that raft does not have yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * Encodes and queues a request; the caller sees to it that {@link flush} runs in this turn of the loop.
   *
   * @param request - borrowed until the call returns.
   * @throws {EtcdError} `requestTooLarge`, `noLeader`, `tooManyRequests`: not queued, the callback is not called.
   */
  propose(
    kind: RequestKind,
    request: Uint8Array,
    callback: ProposalCallback,
    nowMs: number,
    caller: Caller = nobody,
  ): void {
    const { ids, node, requestBytesMax } = this.#options;
    if (node.lead === NONE && this.#queued.length >= QUEUED_WITHOUT_LEADER_MAX) throw new EtcdError("noLeader");
    const sequence = ids.next();
    const header = {
      id: ids.toBigInt(sequence),
      username: caller.username,
      authRevision: caller.revision === 0 ? 0n : BigInt(caller.revision),
    };
    const entry = encodeRaftRequest(kind, request, header);
    if (entry.length > requestBytesMax) throw new EtcdError("requestTooLarge");
    if (this.#queuedBytes + entry.length > QUEUED_BYTES_MAX) throw new EtcdError("tooManyRequests");
    this.#pending.add(sequence, { callback, startedMs: nowMs, bytes: entry.length });
    this.#queued.push(entry);
    this.#queuedSequences.push(sequence);
    this.#queuedBytes += entry.length;
    this.#pendingBytes += entry.length;
  }

  /**
   * Queues a change of the group; its id is chosen here. As {@link propose}.
   *
   * @throws {EtcdError} `noLeader`
   */
  proposeConfChange(change: Omit<ConfChange, "id">, callback: ProposalCallback, nowMs: number): void {
    const { ids, node } = this.#options;
    if (node.lead === NONE && this.#queuedChanges.length >= QUEUED_CHANGES_MAX) throw new EtcdError("noLeader");
    const sequence = ids.next();
    this.#pending.add(sequence, { callback, startedMs: nowMs, bytes: 0 });
    this.#queuedChanges.push({ ...change, id: ids.toBigInt(sequence) });
  }

  /** Hands what is queued to raft, if there is a leader. */
  flush(): void {
    const { node } = this.#options;
    if (node.lead === NONE) return;
    if (this.#queuedChanges.length > 0) this.#flushChanges();
    if (this.#queued.length === 0) return;
    const room = this.#options.room() - (this.#pendingBytes - this.#queuedBytes);
    try {
      if (this.#queuedBytes <= room) this.#flushAll();
      else this.#flushSome(room);
    } catch (error) {
      // Kept: raft takes them when leadership has settled, or they run out of time.
      if (!(error instanceof RaftError)) throw error;
    }
  }

  #flushAll(): void {
    this.#options.node.proposeBatch(this.#queued);
    this.#queued = [];
    this.#queuedSequences = [];
    this.#queuedBytes = 0;
  }

  /** As many as there is room for, and one that is larger than what is left. */
  #flushSome(room: number): void {
    let [count, bytes] = [0, 0];
    while (bytes < room) bytes += this.#queued[count++].length;
    if (count > 0) {
      this.#options.node.proposeBatch(this.#queued.slice(0, count));
      this.#queued.splice(0, count);
      this.#queuedSequences.splice(0, count);
      this.#queuedBytes -= bytes;
    }
    if (this.#queued.length === 0 || this.#isHeldBack) return;
    this.#isHeldBack = true;
    this.#options.onceRoom();
  }

  /** The time that `onceRoom` asked for has come. */
  roomMayBeThere(): void {
    this.#isHeldBack = false;
  }

  #flushChanges(): void {
    try {
      while (this.#queuedChanges.length > 0) {
        this.#options.node.proposeConfChange(this.#queuedChanges[0]);
        this.#queuedChanges.shift();
      }
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
    }
  }

  /** Whether somebody here waits for the entry. */
  has(sequence: number): boolean {
    return this.#pending.has(sequence);
  }

  /** Answers the waiter of an applied entry, if there is one. */
  settle(sequence: number, error: EtcdError | undefined, result: ApplyResult | undefined): void {
    const pending = this.#pending.take(sequence);
    if (pending === undefined) return;
    this.#pendingBytes -= pending.bytes;
    pending.callback(error, result);
    if (this.#pending.size === 0) this.onIdle?.();
  }

  /**
   * Gives up what has waited too long.
   *
   * @param reasonFor - why, as far as one can tell, for a proposal that raft took and that was made at that time.
   */
  expire(nowMs: number, reasonFor: (startedMs: number) => ReasonName): void {
    for (let sequence = this.#pending.oldest(); sequence >= 0; sequence = this.#pending.oldest()) {
      const startedMs = this.#pending.get(sequence)?.startedMs ?? nowMs;
      if (nowMs - startedMs < this.#options.timeoutMs) return;
      const wasQueued = this.#unqueue(sequence);
      // What waited for a leader in vain ends with etcd's bare deadline.
      const waitedForLeader = wasQueued && this.#options.node.lead === NONE;
      this.#fail(sequence, waitedForLeader ? "contextDeadlineExceeded" : reasonFor(startedMs));
    }
  }

  /** Gives everything up: the member stops. */
  failAll(reason: ReasonName): void {
    this.#queued = [];
    this.#queuedSequences = [];
    this.#queuedBytes = 0;
    this.#queuedChanges = [];
    for (let sequence = this.#pending.oldest(); sequence >= 0; sequence = this.#pending.oldest()) {
      this.#fail(sequence, reason);
    }
  }

  /** @returns whether raft never had it. */
  #unqueue(sequence: number): boolean {
    const place = this.#queuedSequences.indexOf(sequence);
    if (place >= 0) {
      this.#queuedBytes -= this.#queued[place].length;
      this.#queued.splice(place, 1);
      this.#queuedSequences.splice(place, 1);
      return true;
    }
    const id = this.#options.ids.toBigInt(sequence);
    const change = this.#queuedChanges.findIndex((queued) => queued.id === id);
    if (change >= 0) this.#queuedChanges.splice(change, 1);
    return change >= 0;
  }

  #fail(sequence: number, reason: ReasonName): void {
    this.failed++;
    this.settle(sequence, new EtcdError(reason), undefined);
  }
}

/**
 * Linearizable reads without the log: raft names the commit index of a moment at which this member's leader was still
 * the leader; once that much is applied here, the store may be read.
 *
 *     waiting ──start()──► attempt ──confirmed by raft──► confirmed at index i ──applied >= i──► called back
 *
 * One attempt at a time serves everything that waited when it started; what arrives meanwhile takes the next one. An
 * attempt that stays without answer is asked again under a new id, as raft drops what it cannot serve. No step waits
 * for the disk. Source: etcd server/etcdserver/v3_server.go, `linearizableReadLoop` and `requestCurrentIndex`.
 */
import type { Logger } from "../platform/logger.ts";
import { EtcdError, type ReasonName } from "../wire/errors.ts";
import type { RequestIds } from "./ids.ts";
import type { LeadershipRound } from "./leader-lease.ts";
import type { ReadCallback } from "./member.ts";

const RETRY_MS = 500;

interface Attempt {
  readonly callbacks: ReadCallback[];
  /** Sequences under which raft was asked; an answer to any of them counts. */
  readonly sequences: Set<number>;
  readonly startedMs: number;
  readonly round: LeadershipRound;
  askedMs: number;
}

interface Confirmed {
  readonly index: number;
  readonly callbacks: ReadCallback[];
}

export interface ReadIndexOptions {
  readonly ids: RequestIds;
  readonly log: Logger;
  readonly timeoutMs: number;
  /** Steps MsgReadIndex; `context` is 8 bytes. */
  readonly ask: (context: Uint8Array) => void;
  /** What a confirmation proves about leadership depends on when, and by whom, it was asked for. */
  readonly beginRound: () => LeadershipRound;
  readonly roundConfirmed: (round: LeadershipRound) => void;
}

export class ReadIndex {
  readonly #options: ReadIndexOptions;
  #waiting: ReadCallback[] = [];
  #attempt: Attempt | undefined;
  /** Ascending by index. */
  #confirmed: Confirmed[] = [];
  /** Attempts that had to be asked again or timed out; only grows. */
  slow = 0;
  /** Attempts given up; only grows. */
  failed = 0;

  constructor(options: ReadIndexOptions) {
    this.#options = options;
  }

  /** The caller then sees to it that {@link start} runs in this turn of the loop. */
  add(callback: ReadCallback): void {
    this.#waiting.push(callback);
  }

  /** Starts an attempt for all that wait, unless one is under way. */
  start(nowMs: number): void {
    if (this.#attempt !== undefined || this.#waiting.length === 0) return;
    const round = this.#options.beginRound();
    this.#attempt = { callbacks: this.#waiting, sequences: new Set(), startedMs: nowMs, round, askedMs: nowMs };
    this.#waiting = [];
    this.#ask(this.#attempt, nowMs);
  }

  /** Raft has an answer. */
  confirm(context: Uint8Array, index: number): void {
    const attempt = this.#attempt;
    const view = new DataView(context.buffer, context.byteOffset, context.byteLength);
    const sequence = context.length === 8 ? this.#options.ids.sequenceOf(view.getUint32(0), view.getUint32(4)) : -1;
    if (attempt === undefined || !attempt.sequences.has(sequence)) {
      this.slow++;
      this.#options.log.warn(
        "ignored out-of-date read index response; local node read indexes queueing up and waiting to be in sync with leader",
        { "received-request-id": Buffer.from(context).toString("hex") },
      );
      return;
    }
    this.#attempt = undefined;
    this.#options.roundConfirmed(attempt.round);
    this.#confirmed.push({ index, callbacks: attempt.callbacks });
  }

  /** Answers the reads that the state applied so far satisfies. */
  release(appliedIndex: number): void {
    while (this.#confirmed.length > 0 && this.#confirmed[0].index <= appliedIndex) {
      const { callbacks } = this.#confirmed.shift()!;
      for (const callback of callbacks) callback(undefined);
    }
  }

  /** An answer of the old leader means nothing; the reads are told to try again. */
  leaderChanged(): void {
    this.#failAttempt("leaderChanged");
  }

  /** The new leader could not answer before its first entry was committed: ask it again. */
  firstCommitInTerm(nowMs: number): void {
    if (this.#attempt !== undefined) this.#ask(this.#attempt, nowMs);
  }

  tick(nowMs: number): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    if (nowMs - attempt.startedMs >= this.#options.timeoutMs) {
      this.slow++;
      this.#options.log.warn("timed out waiting for read index response (local node might have slow network)", {
        timeout: `${this.#options.timeoutMs / 1000}s`,
      });
      this.#failAttempt("timeout");
    } else if (nowMs - attempt.askedMs >= RETRY_MS) {
      this.#options.log.warn("waiting for ReadIndex response took too long, retrying", {
        "retry-timeout": `${RETRY_MS}ms`,
      });
      this.#ask(attempt, nowMs);
    }
  }

  /** The member stops: nobody gets an answer any more. */
  failAll(reason: ReasonName): void {
    this.#failAttempt(reason);
    const callbacks = [...this.#confirmed.flatMap((confirmed) => confirmed.callbacks), ...this.#waiting];
    this.#confirmed = [];
    this.#waiting = [];
    for (const callback of callbacks) callback(new EtcdError(reason));
  }

  #failAttempt(reason: ReasonName): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#attempt = undefined;
    this.failed++;
    for (const callback of attempt.callbacks) callback(new EtcdError(reason));
  }

  #ask(attempt: Attempt, nowMs: number): void {
    const { ids } = this.#options;
    const sequence = ids.next();
    attempt.sequences.add(sequence);
    attempt.askedMs = nowMs;
    const context = new Uint8Array(8);
    const view = new DataView(context.buffer);
    view.setUint32(0, ids.high(sequence));
    view.setUint32(4, ids.low(sequence));
    this.#options.ask(context);
  }
}

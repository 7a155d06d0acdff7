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
 * applying yields after {@link APPLY_SLICE_MS}.
 *
 * Storage work is asynchronous as etcd-io/raft's `AsyncStorageWrites` describes it; own acknowledgements count only
 * after the sync, and only what is in our own WAL is applied.
 */
import type { MemoryStorage } from "../raft/memory-storage.ts";
import type { RawNode } from "../raft/raw-node.ts";
import type { Ready } from "../raft/ready.ts";
import type { Clock } from "../platform/clock.ts";
import type { Wal } from "../storage/wal/wal.ts";
import { type Entry, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, type Message, NONE } from "../wire/raft/types.ts";

/** Longest time that entries are applied in one turn of the loop; the rest waits for the next turn. */
const APPLY_SLICE_MS = 5;

export interface RaftLoopParts {
  readonly node: RawNode;
  readonly storage: MemoryStorage;
  readonly wal: Wal;
  readonly clock: Clock;
}

/** What the member does on what happens here. All run inside a turn of the loop. */
export interface RaftLoopHandlers {
  /** Before the core is asked for work: the place to step what has been waiting for this turn. */
  beforeReady(nowMs: number): void;
  applyEntry(entry: Entry): void;
  /** After each entry, with the time it took. */
  entryApplied(tookMs: number): void;
  /** A list of committed entries is applied and the core knows. */
  afterApply(): void;
  readConfirmed(context: Uint8Array, index: number): void;
  leaderChanged(leaderId: bigint): void;
  send(message: Message): void;
  /** The member cannot go on. Called once; nothing is handled afterwards. */
  fatal(error: Error): void;
}

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
  readonly #handlers: RaftLoopHandlers;
  readonly #applying: Applying[] = [];
  #leaderId = NONE;
  #isScheduled = false;
  #isStopped = false;
  #savesInFlight = 0;
  #whenSaved: (() => void) | undefined;

  constructor(parts: RaftLoopParts, handlers: RaftLoopHandlers) {
    this.#node = parts.node;
    this.#storage = parts.storage;
    this.#wal = parts.wal;
    this.#clock = parts.clock;
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
    this.schedule();
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
    this.#handlers.beforeReady(this.#clock.monotonic());
    do {
      while (this.#node.hasReady()) this.#handleReady(this.#node.ready());
      if (!this.#applySlice()) return this.schedule();
    } while (this.#node.hasReady());
  }

  #handleReady(ready: Ready): void {
    if (ready.softState !== undefined && ready.softState.lead !== this.#leaderId) {
      this.#leaderId = ready.softState.lead;
      this.#handlers.leaderChanged(this.#leaderId);
    }
    for (const { context, index } of ready.readStates) this.#handlers.readConfirmed(context, index);
    for (const message of ready.messages) {
      if (message.to === LOCAL_APPEND_THREAD) this.#append(message, ready);
      else if (message.to === LOCAL_APPLY_THREAD) this.#applying.push({ message, next: 0 });
      else this.#handlers.send(message);
    }
  }

  #append({ responses }: Message, { entries, hardState, mustSync }: Ready): void {
    this.#savesInFlight++;
    this.#wal.save(hardState, entries, mustSync, (error) => {
      this.#savesInFlight--;
      if (error !== undefined) this.#fail(error);
      if (this.#isStopped) return this.#checkSaved();
      this.#storage.append(entries);
      if (hardState !== undefined) this.#storage.setHardState(hardState);
      for (const response of responses) this.#deliver(response);
      if (responses.length > 0) this.schedule();
    });
  }

  /** Applies for one slice; false when something is left. At least one entry is applied. */
  #applySlice(): boolean {
    if (this.#applying.length === 0) return true;
    let nowMs = this.#clock.monotonic();
    const deadlineMs = nowMs + APPLY_SLICE_MS;
    for (let applying = this.#applying[0]; applying !== undefined; applying = this.#applying[0]) {
      const { entries, responses } = applying.message;
      while (applying.next < entries.length) {
        this.#handlers.applyEntry(entries[applying.next++]);
        const startedMs = nowMs;
        nowMs = this.#clock.monotonic();
        this.#handlers.entryApplied(nowMs - startedMs);
        if (nowMs >= deadlineMs && applying.next < entries.length) return false;
      }
      this.#applying.shift();
      for (const response of responses) this.#deliver(response);
      this.#handlers.afterApply();
    }
    return true;
  }

  /** Answers of the storage threads go to our own core, or to the peer that waits for the write. */
  #deliver(response: Message): void {
    if (response.to === this.#node.id) this.#node.step(response);
    else this.#handlers.send(response);
  }

  #checkSaved(): void {
    if (this.#savesInFlight === 0) this.#whenSaved?.();
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#handlers.fatal(error instanceof Error ? error : new Error(String(error)));
  }
}

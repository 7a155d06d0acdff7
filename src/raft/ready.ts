/**
 * What a core wants done, and the messages that ask storage threads to do it. Mirrors etcd-io/raft node.go (`Ready`) and
 * the storage messages of rawnode.go.
 */
import { createMessage, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, MessageType } from "../wire/raft/types.ts";
import type { Entry, HardState, Message, Snapshot } from "../wire/raft/types.ts";
import type { Raft, SoftState } from "./raft.ts";
import type { ReadState } from "./read-only.ts";

/**
 * One round of work. The lists belong to the taker; entries and bytes are shared and never modified.
 *
 * Without async storage writes: make `hardState`, `entries` and `snapshot` durable, then send `messages`, apply
 * `committedEntries`, and call `advance`. With them: hand each message to its addressee; `LOCAL_APPEND_THREAD` and
 * `LOCAL_APPLY_THREAD` do the storage work in order and then deliver the `responses` in their message; the fields
 * `hardState`, `entries`, `snapshot` and `committedEntries` are for information.
 */
export interface Ready {
  /** Who leads and what we are, when that changed. Not to be stored. */
  readonly softState: SoftState | undefined;
  /** Term, vote and commit, when one of them changed. */
  readonly hardState: HardState | undefined;
  readonly readStates: readonly ReadState[];
  /** To be appended to stable storage. */
  readonly entries: readonly Entry[];
  /** To replace stable storage and the state machine. */
  readonly snapshot: Snapshot | undefined;
  /** To be applied to the state machine. */
  readonly committedEntries: readonly Entry[];
  readonly messages: readonly Message[];
  /** The write must be synced before anything that depends on it is sent. False if only `commit` moved. */
  readonly mustSync: boolean;
}

/** The part of a Ready that storage is concerned with. */
export type StorageWork = Pick<Ready, "entries" | "hardState" | "snapshot">;

/** Whether there is anything to write, or an answer that waits for earlier writes. */
export function needsStorageAppend(raft: Raft, work: StorageWork): boolean {
  return (
    work.entries.length > 0 ||
    work.hardState !== undefined ||
    work.snapshot !== undefined ||
    raft.messagesAfterAppend.length > 0
  );
}

/**
 * Asks the append thread to write. `term`, `vote` and `commit` are set only if the hard state changed. The answers that
 * may leave only after the write come with it, and behind them our own acknowledgement: handling `AppResp` first finds
 * the new entries still in the unstable log, which is faster.
 */
export function createStorageAppend(raft: Raft, work: StorageWork): Message {
  const message = createMessage(MessageType.StorageAppend, LOCAL_APPEND_THREAD);
  message.from = raft.id;
  message.entries = work.entries;
  if (work.hardState !== undefined) {
    message.term = work.hardState.term;
    message.vote = work.hardState.vote;
    message.commit = work.hardState.commit;
  }
  message.snapshot = work.snapshot;
  const responses = raft.messagesAfterAppend;
  if (needsStorageAppendResp(raft, work)) responses.push(createStorageAppendResp(raft, work));
  message.responses = responses;
  return message;
}

/** Whether the core wants to hear of the write. Not only of new entries: see {@link createStorageAppendResp}. */
export function needsStorageAppendResp(raft: Raft, work: StorageWork): boolean {
  return raft.log.unstable.length > 0 || work.snapshot !== undefined;
}

/**
 * Tells the core that everything handed out so far is durable.
 *
 * It attests that the log ends in (`logTerm`, `index`) on disk. That is only safe to believe if nothing overwrites those
 * entries meanwhile: a write for an older term may still be on its way when the log was changed and changed back (ABA).
 * Hence it carries the term in which it was made and is ignored in any other; and as each new term writes a hard state,
 * whose answer again attests the whole unstable log, no entry stays unstable for ever.
 */
export function createStorageAppendResp(raft: Raft, work: StorageWork): Message {
  const message = createMessage(MessageType.StorageAppendResp, raft.id);
  message.from = LOCAL_APPEND_THREAD;
  message.term = raft.term;
  if (raft.log.unstable.length > 0) {
    message.index = raft.log.lastIndex();
    message.logTerm = raft.log.lastTerm();
  }
  message.snapshot = work.snapshot;
  return message;
}

/** Asks the apply thread to apply. It belongs to no term: what is committed stays committed. */
export function createStorageApply(raft: Raft, entries: readonly Entry[]): Message {
  const message = createMessage(MessageType.StorageApply, LOCAL_APPLY_THREAD);
  message.from = raft.id;
  message.entries = entries;
  message.responses = [createStorageApplyResp(raft, entries)];
  return message;
}

/** Tells the core that `entries` are applied. */
export function createStorageApplyResp(raft: Raft, entries: readonly Entry[]): Message {
  const message = createMessage(MessageType.StorageApplyResp, raft.id);
  message.from = LOCAL_APPLY_THREAD;
  message.entries = entries;
  return message;
}

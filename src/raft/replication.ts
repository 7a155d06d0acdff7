/** A leader's sending: appends, snapshots and heartbeats. Mirrors the send functions of etcd-io/raft raft.go. */
import { assert } from "../base/assert.ts";
import { emptyBytes } from "../base/bytes.ts";
import { createMessage, isEmptySnapshot, MessageType } from "../wire/raft/types.ts";
import type { Entry } from "../wire/raft/types.ts";
import { describeProgress, hex } from "./describe.ts";
import { payloadSize } from "./entries.ts";
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";

/** Sends everybody what they lack, and the commit index. */
export function broadcastAppend(raft: Raft): void {
  for (const member of raft.tracker.ordered) {
    if (member.id !== raft.id) sendAppend(raft, member);
  }
}

/** Sends an append, even if it has no entries, unless the follower is paused. */
export function sendAppend(raft: Raft, member: Progress): void {
  maybeSendAppend(raft, member, true);
}

/**
 * Sends the next entries, or a snapshot if they are gone. Without entries to send it does so only `ifEmpty`. True if
 * something was sent.
 */
export function maybeSendAppend(raft: Raft, member: Progress, ifEmpty: boolean): boolean {
  if (member.paused) return false;
  const previous = member.next - 1;
  const previousTerm = raft.log.term(previous);
  if (previousTerm === undefined) return maybeSendSnapshot(raft, member);

  // With a full window an empty append still goes out now and then: should everything in flight be lost, its answer
  // is what gets things moving again.
  let entries: Entry[] | undefined = [];
  if (member.state !== "replicate" || !member.inflights.full) {
    entries = raft.log.entries(member.next, raft.config.messageBytesMax);
  }
  if ((entries === undefined || entries.length === 0) && !ifEmpty) return false;
  if (entries === undefined) return maybeSendSnapshot(raft, member);

  const message = createMessage(MessageType.App, member.id);
  message.index = previous;
  message.logTerm = previousTerm;
  message.entries = entries;
  message.commit = raft.log.committed;
  raft.send(message);
  member.sentEntries(entries.length, payloadSize(entries));
  member.sentCommit(raft.log.committed);
  return true;
}

function maybeSendSnapshot(raft: Raft, member: Progress): boolean {
  const id = hex(raft.id);
  const to = hex(member.id);
  if (!member.recentActive) {
    raft.logger.debug(`ignore sending snapshot to ${to} since it is not recently active`);
    return false;
  }
  const snapshot = raft.log.snapshot();
  if (snapshot === undefined) {
    raft.logger.debug(`${id} failed to send snapshot to ${to} because snapshot is temporarily unavailable`);
    return false;
  }
  assert(!isEmptySnapshot(snapshot), "a log without its beginning has a snapshot");
  const { index, term } = snapshot.metadata;
  raft.logger.debug(
    `${id} [firstindex: ${raft.log.firstIndex()}, commit: ${raft.log.committed}] ` +
      `sent snapshot[index: ${index}, term: ${term}] to ${to} [${describeProgress(member)}]`,
  );
  member.becomeSnapshot(index);
  raft.logger.debug(`${id} paused sending replication messages to ${to} [${describeProgress(member)}]`);
  const message = createMessage(MessageType.Snap, member.id);
  message.snapshot = snapshot;
  raft.send(message);
  return true;
}

/** Heartbeats carry the newest waiting read, in case its own heartbeats were lost. */
export function broadcastHeartbeat(raft: Raft): void {
  broadcastHeartbeatFor(raft, raft.readOnly.lastContext());
}

export function broadcastHeartbeatFor(raft: Raft, context: Uint8Array): void {
  for (const member of raft.tracker.ordered) {
    if (member.id === raft.id) continue;
    const message = createMessage(MessageType.Heartbeat, member.id);
    // Never beyond what the follower is known to have: the rest of its log may not be ours.
    message.commit = Math.min(member.match, raft.log.committed);
    message.context = context.length === 0 ? emptyBytes : context;
    raft.send(message);
    member.sentCommit(message.commit);
  }
}

export function sendTimeoutNow(raft: Raft, to: bigint): void {
  raft.send(createMessage(MessageType.TimeoutNow, to));
}

/** What a leader does with a message of its own term. Mirrors `stepLeader` of etcd-io/raft raft.go. */
import { assert } from "../base/assert.ts";
import { emptyBytes } from "../base/bytes.ts";
import { createMessage, EntryType, MessageType, NONE } from "../wire/raft/types.ts";
import type { Entry, Message } from "../wire/raft/types.ts";
import { decodeConfChangeEntry, isConfChangeEntry, toV2 } from "./confchange/conf-change.ts";
import { describeConfChange, describeConfig, describeProgress, hex } from "./describe.ts";
import { handoverTo } from "./handover.ts";
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { contextOf, PENDING_READS_MAX } from "./read-only.ts";
import {
  broadcastAppend,
  broadcastHeartbeat,
  broadcastHeartbeatFor,
  maybeSendAppend,
  sendAppend,
  sendTimeoutNow,
} from "./replication.ts";

/** @returns false if a proposal was dropped. */
export function stepLeader(raft: Raft, message: Message): boolean {
  switch (message.type) {
    case MessageType.Beat:
      broadcastHeartbeat(raft);
      return true;
    case MessageType.CheckQuorum:
      checkQuorum(raft);
      return true;
    case MessageType.Prop:
      return propose(raft, message.entries);
    case MessageType.ReadIndex:
      readIndex(raft, message);
      return true;
    case MessageType.ForgetLeader:
      return true;
    default:
      stepFrom(raft, message);
      return true;
  }
}

/** The messages about one member. */
function stepFrom(raft: Raft, message: Message): void {
  const member = raft.tracker.get(message.from);
  if (member === undefined) {
    raft.logger.debug(`${hex(raft.id)} no progress available for ${hex(message.from)}`);
    return;
  }
  switch (message.type) {
    case MessageType.AppResp:
      member.recentActive = true;
      if (message.reject) handleRejection(raft, member, message);
      else handleAcknowledgement(raft, member, message.index);
      break;
    case MessageType.HeartbeatResp:
      handleHeartbeatResponse(raft, member, message);
      break;
    case MessageType.SnapStatus:
      handleSnapshotStatus(raft, member, message.reject);
      break;
    case MessageType.Unreachable:
      // What was sent ahead is probably lost.
      if (member.state === "replicate") member.becomeProbe();
      raft.logger.debug(
        `${hex(raft.id)} failed to send message to ${hex(member.id)} because it is unreachable ` +
          `[${describeProgress(member)}]`,
      );
      break;
    case MessageType.TransferLeader:
      handoverTo(raft, member);
      break;
    default:
      break;
  }
}

function checkQuorum(raft: Raft): void {
  if (!raft.tracker.quorumActive()) {
    raft.logger.warn(`${hex(raft.id)} stepped down to follower since quorum is not active`);
    raft.becomeFollower(raft.term, NONE);
  }
  for (const member of raft.tracker.ordered) if (member.id !== raft.id) member.recentActive = false;
}

// -------------------------------------------------------------------------------------------------------- proposals

function propose(raft: Raft, entries: readonly Entry[]): boolean {
  // From a confused peer: there is nothing to append.
  if (entries.length === 0) return false;
  // Removed while leading: nothing new in the name of a group that this node is not in.
  if (raft.tracker.get(raft.id) === undefined) return false;
  if (raft.leadTransferee !== NONE) {
    raft.logger.debug(
      `${hex(raft.id)} [term ${raft.term}] transfer leadership to ${hex(raft.leadTransferee)} is in progress; ` +
        "dropping proposal",
    );
    return false;
  }
  const checked = entries.some(isConfChangeEntry) ? checkConfChanges(raft, entries) : entries;
  if (!raft.appendEntries(checked)) return false;
  broadcastAppend(raft);
  return true;
}

/** Replaces conf changes that may not be proposed now by empty entries, so that each proposal keeps its place. */
function checkConfChanges(raft: Raft, entries: readonly Entry[]): Entry[] {
  return entries.map((entry, position) => {
    if (!isConfChangeEntry(entry)) return entry;
    const change = decodeConfChangeEntry(entry);
    const problem = confChangeProblem(raft, toV2(change).changes.length === 0);
    if (problem !== undefined && !raft.config.disableConfChangeValidation) {
      raft.logger.info(
        `${hex(raft.id)} ignoring conf change ${describeConfChange(change)} ` +
          `at config ${describeConfig(raft.tracker.config)}: ${problem}`,
      );
      return { type: EntryType.Normal, term: 0, index: 0, data: emptyBytes };
    }
    raft.pendingConfIndex = raft.log.lastIndex() + position + 1;
    return entry;
  });
}

function confChangeProblem(raft: Raft, leavesJoint: boolean): string | undefined {
  if (raft.pendingConfIndex > raft.log.applied) {
    return `possible unapplied conf change at index ${raft.pendingConfIndex} (applied to ${raft.log.applied})`;
  }
  const { joint } = raft.tracker.config.voters;
  if (joint && !leavesJoint) return "must transition out of joint config first";
  if (!joint && leavesJoint) return "not in joint state; refusing empty conf change";
  return undefined;
}

// ------------------------------------------------------------------------------------------------------------ reads

function readIndex(raft: Raft, message: Message): void {
  if (message.entries.length !== 1) {
    raft.logger.error(
      `${hex(raft.id)} invalid format of MsgReadIndex from ${hex(message.from)}, ` +
        `entries count: ${message.entries.length}`,
    );
  } else if (raft.tracker.isSingleton) {
    answerRead(raft, message, raft.log.committed);
  } else if (raft.committedInTerm()) {
    confirmRead(raft, message);
  } else if (raft.postponedReads.length < PENDING_READS_MAX) {
    raft.postponedReads.push(message);
  } else {
    warnReadDropped(raft, message);
  }
}

function confirmRead(raft: Raft, message: Message): void {
  if (raft.config.readOnly === "leaseBased") {
    answerRead(raft, message, raft.log.committed);
    return;
  }
  const context = contextOf(message);
  if (!raft.readOnly.add(raft.log.committed, message)) {
    warnReadDropped(raft, message);
    return;
  }
  raft.readOnly.acknowledge(raft.id, context);
  broadcastHeartbeatFor(raft, context);
}

function warnReadDropped(raft: Raft, message: Message): void {
  raft.logger.warn(`${hex(raft.id)} too many reads are waiting; dropping index reading msg from ${hex(message.from)}`);
}

/** The first entry of the term is committed: what is committed is known now, so reads can be confirmed. */
function releasePostponedReads(raft: Raft): void {
  if (raft.postponedReads.length === 0) return;
  assert(raft.committedInTerm(), "a leader commits only by entries of its own term");
  const reads = raft.postponedReads;
  raft.postponedReads = [];
  for (const message of reads) confirmRead(raft, message);
}

/** A read of our own comes out of the next Ready; that of another node is answered by message. */
function answerRead(raft: Raft, request: Message, index: number): void {
  if (request.from === NONE || request.from === raft.id) {
    raft.readStates.push({ index, context: contextOf(request) });
    return;
  }
  const response = createMessage(MessageType.ReadIndexResp, request.from);
  response.index = index;
  response.entries = request.entries;
  raft.send(response);
}

// ---------------------------------------------------------------------------------------------------------- answers

/**
 * The follower does not have the entry that our append follows. It hints at the last one where its log might match; as
 * terms never fall along a log, entries of ours with a higher term than the hint's cannot match and are passed over:
 *
 * ```text
 *   index        1 2 3 4 5 6 7 8 9
 *   leader term  1 3 3 3 5 5 5 5 5      append after 9 is rejected with hint (index 6, term 2)
 *   follower     1 1 1 1 2 2            2..6 have terms above 2 here, so the next probe is at 1
 * ```
 */
function handleRejection(raft: Raft, member: Progress, message: Message): void {
  const { rejectHint, logTerm, index } = message;
  const id = hex(raft.id);
  const from = hex(member.id);
  raft.logger.debug(
    `${id} received MsgAppResp(rejected, hint: (index ${rejectHint}, term ${logTerm})) from ${from} for index ${index}`,
  );
  const nextProbe = logTerm > 0 ? raft.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint;
  if (!member.maybeDecreaseTo(index, nextProbe)) return;
  raft.logger.debug(`${id} decreased progress of ${from} to [${describeProgress(member)}]`);
  if (member.state === "replicate") member.becomeProbe();
  sendAppend(raft, member);
}

/** The member, which may be this node, has the log through `index`. */
function handleAcknowledgement(raft: Raft, member: Progress, index: number): void {
  const advanced = member.maybeUpdate(index);
  // An answer without news still ends probing (the follower had been reported unreachable, say).
  if (!advanced && !(member.match === index && member.state === "probe")) return;
  resumeReplication(raft, member, index);

  const isSelf = member.id === raft.id;
  if (raft.maybeCommit()) {
    releasePostponedReads(raft);
    broadcastAppend(raft);
  } else if (!isSelf && member.canBumpCommit(raft.log.committed)) {
    // It may lack only the commit index; this arrives before the next heartbeat.
    sendAppend(raft, member);
  }
  if (isSelf) return;
  // The answer may have made room for several appends.
  while (maybeSendAppend(raft, member, false));
  if (member.id === raft.leadTransferee && member.match === raft.log.lastIndex()) {
    raft.logger.info(`${hex(raft.id)} sent MsgTimeoutNow to ${hex(member.id)} after received MsgAppResp`);
    sendTimeoutNow(raft, member.id);
  }
}

function resumeReplication(raft: Raft, member: Progress, index: number): void {
  switch (member.state) {
    case "probe":
      member.becomeReplicate();
      break;
    case "replicate":
      member.inflights.freeTo(index);
      break;
    case "snapshot":
      // Any snapshot will do that joins our log, not only the one we sent.
      if (member.match + 1 < raft.log.firstIndex()) break;
      raft.logger.debug(
        `${hex(raft.id)} recovered from needing snapshot, resumed sending replication messages to ` +
          `${hex(member.id)} [${describeProgress(member)}]`,
      );
      member.becomeProbe(); // takes the snapshot into account
      member.becomeReplicate();
      break;
  }
}

function handleHeartbeatResponse(raft: Raft, member: Progress, message: Message): void {
  member.recentActive = true;
  member.appendsPaused = false;
  // A probed follower gets an append even if it lacks nothing: the answer moves it back to replication.
  if (member.match < raft.log.lastIndex() || member.state === "probe") sendAppend(raft, member);

  if (raft.config.readOnly !== "safe" || message.context.length === 0) return;
  const acks = raft.readOnly.acknowledge(member.id, message.context);
  if (acks === undefined || raft.tracker.config.voters.voteResult(acks) !== "won") return;
  for (const read of raft.readOnly.advance(message.context)) answerRead(raft, read.request, read.index);
}

function handleSnapshotStatus(raft: Raft, member: Progress, failed: boolean): void {
  if (member.state !== "snapshot") return;
  // What was not applied is no place to go on from.
  if (failed) member.pendingSnapshot = 0;
  member.becomeProbe();
  raft.logger.debug(
    `${hex(raft.id)} snapshot ${failed ? "failed" : "succeeded"}, resumed sending replication messages to ` +
      `${hex(member.id)} [${describeProgress(member)}]`,
  );
  // Success: the follower's own answer comes first. Failure: try again after a heartbeat.
  member.appendsPaused = true;
}

/** The entry of every input: compares terms, then votes, storage answers, or the role's own handler. Mirrors `Step`. */
import { unreachable } from "../base/assert.ts";
import { equalBytes } from "../base/bytes.ts";
import { createMessage, MessageType, NONE } from "../wire/raft/types.ts";
import type { Message, Snapshot } from "../wire/raft/types.ts";
import { campaignTransfer, describeRequest, describeVoter, handleVoteRequest, startCampaign } from "./campaign.ts";
import { stepCandidate } from "./candidate.ts";
import { createLeaveJointEntry } from "./confchange/conf-change.ts";
import { describeConfig, describeMessageType, hex } from "./describe.ts";
import { encodedSize, payloadSize } from "./entries.ts";
import { RaftError } from "./errors.ts";
import { stepFollower } from "./follower.ts";
import { stepLeader } from "./leader.ts";
import type { Raft } from "./raft.ts";

/** Handles one input to completion. @returns false if a proposal was dropped; nothing has changed then. */
export function step(raft: Raft, message: Message): boolean {
  // Term 0: a local input, or one that was passed on to the leader.
  if (message.term > raft.term && message.term !== 0) {
    if (!enterHigherTerm(raft, message)) return true;
  } else if (message.term < raft.term && message.term !== 0) {
    handleLowerTerm(raft, message);
    return true;
  }
  switch (message.type) {
    case MessageType.Hup:
      startCampaign(raft, raft.config.preVote ? "preElection" : "election");
      return true;
    case MessageType.StorageAppendResp:
      if (message.index !== 0) raft.log.unstable.stableTo(message.index, message.logTerm);
      if (message.snapshot !== undefined) appliedSnapshot(raft, message.snapshot);
      return true;
    case MessageType.StorageApplyResp:
      appliedEntries(raft, message);
      return true;
    case MessageType.Vote:
    case MessageType.PreVote:
      handleVoteRequest(raft, message);
      return true;
    default:
      return stepRole(raft, message);
  }
}

function stepRole(raft: Raft, message: Message): boolean {
  switch (raft.role) {
    case "leader":
      return stepLeader(raft, message);
    case "follower":
      return stepFollower(raft, message);
    case "candidate":
    case "preCandidate":
      return stepCandidate(raft, message);
    default:
      return unreachable(raft.role);
  }
}

/** The sender is ahead of us: follow it into its term, unless the message says nothing about that. False: ignore it. */
function enterHigherTerm(raft: Raft, message: Message): boolean {
  const { type } = message;
  if (type === MessageType.Vote || type === MessageType.PreVote) {
    // Having heard from a leader lately, we do not help to replace it, unless it asked for that itself.
    const inLease = raft.config.checkQuorum && raft.lead !== NONE && raft.electionElapsed < raft.config.electionTicks;
    if (inLease && !equalBytes(message.context, campaignTransfer)) {
      raft.logger.info(
        `${describeVoter(raft)} ignored ${describeRequest(message)} at term ${raft.term}: ` +
          `lease is not expired (remaining ticks: ${raft.config.electionTicks - raft.electionElapsed})`,
      );
      return false;
    }
  }
  // A pre-vote is about a term that nobody is in yet. A refusal of one does tell of a term that exists.
  if (type === MessageType.PreVote || (type === MessageType.PreVoteResp && !message.reject)) return true;
  raft.logger.info(
    `${hex(raft.id)} [term: ${raft.term}] received a ${describeMessageType(type)} message ` +
      `with higher term from ${hex(message.from)} [term: ${message.term}]`,
  );
  const fromLeader = type === MessageType.App || type === MessageType.Heartbeat || type === MessageType.Snap;
  raft.becomeFollower(message.term, fromLeader ? message.from : NONE);
  return true;
}

function handleLowerTerm(raft: Raft, message: Message): void {
  const { type } = message;
  const fromLeader = type === MessageType.Heartbeat || type === MessageType.App;
  if (fromLeader && (raft.config.checkQuorum || raft.config.preVote)) {
    // We are ahead of a living leader, after a campaign that did not succeed, and our vote requests may be ignored for
    // its sake. Let it know our term, so that it steps down and a common term is found.
    raft.send(createMessage(MessageType.AppResp, message.from));
  } else if (type === MessageType.PreVote) {
    // Answered, or a candidate with an older log and a lower term could wait for ever.
    raft.logger.info(`${describeVoter(raft)} rejected ${describeRequest(message)} at term ${raft.term}`);
    const response = createMessage(MessageType.PreVoteResp, message.from);
    response.term = raft.term;
    response.reject = true;
    raft.send(response);
  } else if (type === MessageType.StorageAppendResp) {
    // The entries may have been replaced since: see createStorageAppendResp. A snapshot is committed state in any term.
    if (message.index !== 0) {
      raft.logger.info(
        `${hex(raft.id)} [term: ${raft.term}] ignored entry appends from a ${describeMessageType(type)} message ` +
          `with lower term [term: ${message.term}]`,
      );
    }
    if (message.snapshot !== undefined) appliedSnapshot(raft, message.snapshot);
  } else {
    raft.logger.info(
      `${hex(raft.id)} [term: ${raft.term}] ignored a ${describeMessageType(type)} message ` +
        `with lower term from ${hex(message.from)} [term: ${message.term}]`,
    );
  }
}

function appliedEntries(raft: Raft, message: Message): void {
  const { entries } = message;
  if (entries.length === 0) return;
  appliedTo(raft, entries[entries.length - 1].index, encodedSize(entries));
  raft.releaseUncommitted(payloadSize(entries));
}

function appliedSnapshot(raft: Raft, snapshot: Snapshot): void {
  raft.log.unstable.stableSnapshotTo(snapshot.metadata.index);
  appliedTo(raft, snapshot.metadata.index, 0);
}

function appliedTo(raft: Raft, index: number, bytes: number): void {
  const applied = Math.max(index, raft.log.applied);
  raft.log.appliedTo(applied, bytes);
  const { config } = raft.tracker;
  if (config.autoLeave && applied >= raft.pendingConfIndex && raft.role === "leader") leaveJointConfig(raft);
}

/** Dropped only while leadership is handed over; then the next applied entry, or the next leader, tries again. */
function leaveJointConfig(raft: Raft): void {
  const proposal = createMessage(MessageType.Prop, NONE);
  proposal.entries = [createLeaveJointEntry()];
  const config = describeConfig(raft.tracker.config);
  if (step(raft, proposal)) {
    raft.logger.info(`initiating automatic transition out of joint configuration ${config}`);
  } else {
    const reason = new RaftError("proposalDropped").message;
    raft.logger.debug(`not initiating automatic transition out of joint configuration ${config}: ${reason}`);
  }
}

/** What a follower does with a message of its own term. Mirrors `stepFollower` and the handlers it shares. */
import { createMessage, MessageType, NONE } from "../wire/raft/types.ts";
import type { Message } from "../wire/raft/types.ts";
import { startCampaign } from "./campaign.ts";
import { hex } from "./describe.ts";
import { restoreSnapshot } from "./membership.ts";
import type { Raft } from "./raft.ts";

/** @returns false if a proposal was dropped. */
export function stepFollower(raft: Raft, message: Message): boolean {
  switch (message.type) {
    case MessageType.Prop:
      return forwardProposal(raft, message);
    case MessageType.App:
      hearLeader(raft, message);
      handleAppend(raft, message);
      break;
    case MessageType.Heartbeat:
      hearLeader(raft, message);
      handleHeartbeat(raft, message);
      break;
    case MessageType.Snap:
      hearLeader(raft, message);
      handleSnapshot(raft, message);
      break;
    case MessageType.TransferLeader:
      forward(raft, message, "leader transfer msg");
      break;
    case MessageType.ReadIndex:
      forward(raft, message, "index reading msg");
      break;
    case MessageType.ForgetLeader:
      forgetLeader(raft);
      break;
    case MessageType.TimeoutNow:
      raft.logger.info(
        `${hex(raft.id)} [term ${raft.term}] received MsgTimeoutNow from ${hex(message.from)} ` +
          "and starts an election to get leadership.",
      );
      // No pre-vote: the leader itself asked, so this is no return from a partition.
      startCampaign(raft, "transfer");
      break;
    case MessageType.ReadIndexResp:
      receiveReadIndex(raft, message);
      break;
    default:
      break;
  }
  return true;
}

function hearLeader(raft: Raft, message: Message): void {
  raft.electionElapsed = 0;
  raft.lead = message.from;
}

function forwardProposal(raft: Raft, message: Message): boolean {
  const id = hex(raft.id);
  if (raft.lead === NONE) {
    raft.logger.info(`${id} no leader at term ${raft.term}; dropping proposal`);
    return false;
  }
  if (raft.config.disableProposalForwarding) {
    raft.logger.info(`${id} not forwarding to leader ${hex(raft.lead)} at term ${raft.term}; dropping proposal`);
    return false;
  }
  raft.send({ ...message, to: raft.lead });
  return true;
}

function forward(raft: Raft, message: Message, what: string): void {
  if (raft.lead === NONE) {
    raft.logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping ${what}`);
    return;
  }
  raft.send({ ...message, to: raft.lead });
}

function forgetLeader(raft: Raft): void {
  if (raft.config.readOnly === "leaseBased") {
    // A leader's lease rests on followers not voting for others while they hear from it.
    raft.logger.error("ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
  } else if (raft.lead !== NONE) {
    raft.logger.info(`${hex(raft.id)} forgetting leader ${hex(raft.lead)} at term ${raft.term}`);
    raft.lead = NONE;
  }
}

function receiveReadIndex(raft: Raft, message: Message): void {
  if (message.entries.length !== 1) {
    raft.logger.error(
      `${hex(raft.id)} invalid format of MsgReadIndexResp from ${hex(message.from)}, ` +
        `entries count: ${message.entries.length}`,
    );
    return;
  }
  raft.readStates.push({ index: message.index, context: message.entries[0].data });
}

/** Appends what fits, and says up to where our log now equals the leader's, or where it might. */
export function handleAppend(raft: Raft, message: Message): void {
  const { log } = raft;
  const { index, logTerm, from } = message;
  const response = createMessage(MessageType.AppResp, from);
  if (index < log.committed) {
    response.index = log.committed;
    raft.send(response);
    return;
  }
  const lastNew = log.maybeAppend(logTerm, index, message.entries, message.commit);
  if (lastNew !== undefined) {
    response.index = lastNew;
    raft.send(response);
    return;
  }
  raft.logger.debug(
    `${hex(raft.id)} [logterm: ${log.term(index) ?? 0}, index: ${index}] ` +
      `rejected MsgApp [logterm: ${logTerm}, index: ${index}] from ${hex(from)}`,
  );
  // The leader's log has no term above `logTerm` up to here, so ours can only match where its term is not above either.
  // The hint skips a tail of ours from higher terms in one step instead of entry by entry.
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex()), logTerm);
  response.index = index;
  response.reject = true;
  response.rejectHint = hint.index;
  response.logTerm = hint.term;
  raft.send(response);
}

export function handleHeartbeat(raft: Raft, message: Message): void {
  raft.log.commitTo(message.commit);
  const response = createMessage(MessageType.HeartbeatResp, message.from);
  response.context = message.context;
  raft.send(response);
}

export function handleSnapshot(raft: Raft, message: Message): void {
  const { index, term } = message.snapshot?.metadata ?? { index: 0, term: 0 };
  const restored = message.snapshot !== undefined && restoreSnapshot(raft, message.snapshot);
  const { committed } = raft.log;
  raft.logger.info(
    `${hex(raft.id)} [commit: ${committed}] ${restored ? "restored" : "ignored"} snapshot ` +
      `[index: ${index}, term: ${term}]`,
  );
  const response = createMessage(MessageType.AppResp, message.from);
  response.index = restored ? raft.log.lastIndex() : committed;
  raft.send(response);
}

/** Elections: starting one, and voting in somebody else's. Mirrors `hup`, `campaign` and the vote part of `Step`. */
import { assert } from "../base/assert.ts";
import { createMessage, MessageType, NONE } from "../wire/raft/types.ts";
import type { Message } from "../wire/raft/types.ts";
import { isConfChangeEntry } from "./confchange/conf-change.ts";
import { describeMessageType, hex } from "./describe.ts";
import type { Raft } from "./raft.ts";

/** Why a campaign starts. A transfer comes from the leader itself, so nobody needs to be asked beforehand. */
export type CampaignKind = "preElection" | "election" | "transfer";

/** Marks the votes of a leadership transfer, which are cast although a leader is alive. A text, as on the wire. */
export const campaignTransfer: Uint8Array = new TextEncoder().encode("CampaignTransfer");

/** Campaigns, unless this node leads, may not lead, or does not know yet who belongs to the group. */
export function startCampaign(raft: Raft, kind: CampaignKind): void {
  const id = hex(raft.id);
  if (raft.role === "leader") {
    raft.logger.debug(`${id} ignoring MsgHup because already leader`);
  } else if (!raft.promotable) {
    raft.logger.warn(`${id} is unpromotable and can not campaign`);
  } else if (raft.holdsCampaigns) {
    raft.logger.info(`${id} does not campaign at term ${raft.term} while it is held back`);
  } else if (hasUnappliedConfChange(raft)) {
    raft.logger.warn(
      `${id} cannot campaign at term ${raft.term} since there are still pending configuration changes to apply`,
    );
  } else {
    raft.logger.info(`${id} is starting a new election at term ${raft.term}`);
    campaign(raft, kind);
  }
}

function hasUnappliedConfChange(raft: Raft): boolean {
  const { log } = raft;
  if (log.applied >= log.committed) return false;
  return log.some(log.applied + 1, log.committed + 1, log.applyingBytesMax, isConfChangeEntry);
}

/** Changes role and asks every voter. Our own vote counts when it is durable, like anybody's. */
export function campaign(raft: Raft, kind: CampaignKind): void {
  assert(raft.promotable, "only who may lead campaigns");
  if (kind === "preElection") raft.becomePreCandidate();
  else raft.becomeCandidate();
  const type = kind === "preElection" ? MessageType.PreVote : MessageType.Vote;
  // A pre-vote is about the term that the real campaign would have.
  const term = kind === "preElection" ? raft.term + 1 : raft.term;
  const last = raft.log.lastEntryId();

  for (const id of raft.tracker.config.voters.all.ids) {
    if (id === raft.id) {
      const own = createMessage(voteResponseType(type), id);
      own.term = term;
      raft.send(own);
      continue;
    }
    raft.logger.info(
      `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}] ` +
        `sent ${describeMessageType(type)} request to ${hex(id)} at term ${raft.term}`,
    );
    const request = createMessage(type, id);
    request.term = term;
    request.index = last.index;
    request.logTerm = last.term;
    if (kind === "transfer") request.context = campaignTransfer;
    raft.send(request);
  }
}

/**
 * Casts or refuses a vote. It may be cast for a candidate we voted for already, or if there was no vote and no leader in
 * this term, or as a pre-vote for a later term; and only if the candidate's log has all that ours could have committed.
 *
 * Learners vote too when asked: one that was promoted may not know it yet, and its vote may be the one that counts.
 */
export function handleVoteRequest(raft: Raft, message: Message): void {
  const preVote = message.type === MessageType.PreVote;
  const canVote =
    raft.vote === message.from || (raft.vote === NONE && raft.lead === NONE) || (preVote && message.term > raft.term);
  const response = createMessage(voteResponseType(message.type), message.from);
  if (!canVote || !raft.log.isUpToDate(message.logTerm, message.index)) {
    raft.logger.info(`${describeVoter(raft)} rejected ${describeRequest(message)} at term ${raft.term}`);
    response.term = raft.term;
    response.reject = true;
    raft.send(response);
    return;
  }
  const type = describeMessageType(message.type);
  raft.logger.info(
    `${describeVoter(raft)} cast ${type} for ${hex(message.from)} ` +
      `[logterm: ${message.logTerm}, index: ${message.index}] at term ${raft.term}`,
  );
  // The candidate's term, not ours: a pre-candidate asks for a later one and would ignore an answer from an earlier.
  response.term = message.term;
  raft.send(response);
  if (!preVote) {
    raft.electionElapsed = 0;
    raft.vote = message.from;
  }
}

/** `1 [logterm: 1, index: 5, vote: 2]` */
export function describeVoter(raft: Raft): string {
  const last = raft.log.lastEntryId();
  return `${hex(raft.id)} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(raft.vote)}]`;
}

/** `MsgVote from 2 [logterm: 1, index: 5]` */
export function describeRequest(message: Message): string {
  return (
    `${describeMessageType(message.type)} from ${hex(message.from)} ` +
    `[logterm: ${message.logTerm}, index: ${message.index}]`
  );
}

function voteResponseType(type: MessageType): MessageType {
  return type === MessageType.Vote ? MessageType.VoteResp : MessageType.PreVoteResp;
}

/** What a candidate or pre-candidate does with a message of its own term. Mirrors `stepCandidate`. */
import { MessageType, NONE } from "../wire/raft/types.ts";
import type { Message } from "../wire/raft/types.ts";
import { campaign } from "./campaign.ts";
import { describeMessageType, describeRole, hex } from "./describe.ts";
import { handleAppend, handleHeartbeat, handleSnapshot } from "./follower.ts";
import type { Raft } from "./raft.ts";
import { broadcastAppend } from "./replication.ts";

/** @returns false if a proposal was dropped. */
export function stepCandidate(raft: Raft, message: Message): boolean {
  switch (message.type) {
    case MessageType.Prop:
      raft.logger.info(`${hex(raft.id)} no leader at term ${raft.term}; dropping proposal`);
      return false;
    // Somebody else leads in this term.
    case MessageType.App:
      raft.becomeFollower(message.term, message.from);
      handleAppend(raft, message);
      break;
    case MessageType.Heartbeat:
      raft.becomeFollower(message.term, message.from);
      handleHeartbeat(raft, message);
      break;
    case MessageType.Snap:
      raft.becomeFollower(message.term, message.from);
      handleSnapshot(raft, message);
      break;
    case MessageType.PreVoteResp:
      // A candidate may still get answers from the time when it was pre-candidate.
      if (raft.role === "preCandidate") countVote(raft, message);
      break;
    case MessageType.VoteResp:
      if (raft.role === "candidate") countVote(raft, message);
      break;
    case MessageType.TimeoutNow:
      raft.logger.debug(
        `${hex(raft.id)} [term ${raft.term} state ${describeRole(raft.role)}] ` +
          `ignored MsgTimeoutNow from ${hex(message.from)}`,
      );
      break;
    default:
      break;
  }
  return true;
}

function countVote(raft: Raft, message: Message): void {
  const type = describeMessageType(message.type);
  const rejection = message.reject ? " rejection" : "";
  raft.logger.info(`${hex(raft.id)} received ${type}${rejection} from ${hex(message.from)} at term ${raft.term}`);
  raft.tracker.recordVote(message.from, !message.reject);
  const { granted, rejected, result } = raft.tracker.tallyVotes();
  raft.logger.info(`${hex(raft.id)} has received ${granted} ${type} votes and ${rejected} vote rejections`);
  if (result === "lost") {
    // Our own term: that of a pre-vote answer lies ahead.
    raft.becomeFollower(raft.term, NONE);
  } else if (result === "won") {
    if (raft.role === "preCandidate") {
      campaign(raft, "election");
    } else {
      raft.becomeLeader();
      broadcastAppend(raft);
    }
  }
}

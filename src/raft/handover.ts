/** Handing leadership over (Raft thesis 3.10): bring the other node up to date, then tell it to campaign at once. */
import { NONE } from "../wire/raft/types.ts";
import { hex } from "./describe.ts";
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { sendAppend, sendTimeoutNow } from "./replication.ts";

/** Starts a handover to `member`, in place of one that is under way to somebody else. It has one election timeout. */
export function handoverTo(raft: Raft, member: Progress): void {
  const id = hex(raft.id);
  const to = hex(member.id);
  if (member.isLearner) {
    raft.logger.debug(`${id} is learner. Ignored transferring leadership`);
    return;
  }
  const previous = raft.leadTransferee;
  if (previous === member.id) {
    raft.logger.info(
      `${id} [term ${raft.term}] transfer leadership to ${to} is in progress, ignores request to same node ${to}`,
    );
    return;
  }
  if (previous !== NONE) {
    raft.leadTransferee = NONE;
    raft.logger.info(`${id} [term ${raft.term}] abort previous transferring leadership to ${hex(previous)}`);
  }
  if (member.id === raft.id) {
    raft.logger.debug(`${id} is already leader. Ignored transferring leadership to self`);
    return;
  }
  raft.logger.info(`${id} [term ${raft.term}] starts to transfer leadership to ${to}`);
  raft.electionElapsed = 0;
  raft.leadTransferee = member.id;
  if (member.match === raft.log.lastIndex()) {
    sendTimeoutNow(raft, member.id);
    raft.logger.info(`${id} sends MsgTimeoutNow to ${to} immediately as ${to} already has up-to-date log`);
  } else {
    sendAppend(raft, member);
  }
}

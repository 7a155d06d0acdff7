/** Logical time: when to campaign, to send heartbeats, to check for a quorum. Mirrors the tick functions of raft.go. */
import { createMessage, MessageType, NONE } from "../wire/raft/types.ts";
import type { Raft } from "./raft.ts";
import { step } from "./step.ts";

export function tick(raft: Raft): void {
  if (raft.role === "leader") tickLeader(raft);
  else tickElection(raft);
}

function tickElection(raft: Raft): void {
  raft.electionElapsed++;
  if (raft.promotable && raft.electionElapsed >= raft.randomizedElectionTicks) {
    raft.electionElapsed = 0;
    stepLocal(raft, MessageType.Hup);
  }
}

function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.config.electionTicks) {
    raft.electionElapsed = 0;
    if (raft.config.checkQuorum) stepLocal(raft, MessageType.CheckQuorum);
    // A handover has one election timeout; after that this leader takes proposals again.
    if (raft.role === "leader") raft.leadTransferee = NONE;
  }
  // The quorum check may have ended it.
  if (raft.role !== "leader") return;
  if (raft.heartbeatElapsed >= raft.config.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    stepLocal(raft, MessageType.Beat);
  }
}

function stepLocal(raft: Raft, type: MessageType): void {
  const message = createMessage(type, NONE);
  message.from = raft.id;
  step(raft, message);
}

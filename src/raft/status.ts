/** What a core knows, copied out for reports. Mirrors etcd-io/raft status.go. */
import type { HardState } from "../wire/raft/types.ts";
import type { Progress } from "./progress.ts";
import type { Raft, SoftState } from "./raft.ts";
import type { GroupConfig, ProgressMap } from "./tracker.ts";

export interface RaftStatus {
  readonly id: bigint;
  readonly hardState: HardState;
  readonly softState: SoftState;
  readonly applied: number;
  /** Index of the last entry, durable or not. */
  readonly lastIndex: number;
  readonly leadTransferee: bigint;
  readonly isLearner: boolean;
  readonly config: GroupConfig;
  /** Copies, in ascending order of id. Empty unless this node leads. */
  readonly progress: ProgressMap;
}

export function createStatus(raft: Raft): RaftStatus {
  const progress = new Map<bigint, Progress>();
  if (raft.role === "leader") for (const member of raft.tracker.ordered) progress.set(member.id, member.clone());
  return {
    id: raft.id,
    hardState: raft.hardState(),
    softState: raft.softState(),
    applied: raft.log.applied,
    lastIndex: raft.log.lastIndex(),
    leadTransferee: raft.leadTransferee,
    isLearner: raft.isLearner,
    config: raft.tracker.config,
    progress,
  };
}

/** Sets up a core from what its storage remembers. Mirrors `newRaft`. */
import { InvariantError } from "../base/assert.ts";
import { NONE } from "../wire/raft/types.ts";
import type { HardState } from "../wire/raft/types.ts";
import { completeConfig } from "./config.ts";
import type { RaftConfig } from "./config.ts";
import { hex } from "./describe.ts";
import { restoreConfState } from "./membership.ts";
import { Raft } from "./raft.ts";

/** A follower in the stored term. @throws {RaftConfigError} */
export function createRaft(config: RaftConfig): Raft {
  const raft = new Raft(completeConfig(config));
  const { hardState, confState } = raft.config.storage.initialState();
  const last = raft.log.lastEntryId();
  restoreConfState(raft, confState);
  loadHardState(raft, hardState);
  if (raft.config.appliedIndex > 0) raft.log.appliedTo(raft.config.appliedIndex, 0);
  raft.becomeFollower(raft.term, NONE);

  const peers = raft.tracker.config.voters.all.ids.map(hex).join(",");
  raft.logger.info(
    `newRaft ${hex(raft.id)} [peers: [${peers}], term: ${raft.term}, commit: ${raft.log.committed}, ` +
      `applied: ${raft.log.applied}, lastindex: ${last.index}, lastterm: ${last.term}]`,
  );
  return raft;
}

function loadHardState(raft: Raft, state: HardState): void {
  if (state.term === 0 && state.vote === NONE && state.commit === 0) return;
  const { committed } = raft.log;
  if (state.commit < committed || state.commit > raft.log.lastIndex()) {
    throw new InvariantError(
      `${hex(raft.id)} state.commit ${state.commit} is out of range [${committed}, ${raft.log.lastIndex()}]`,
    );
  }
  raft.log.committed = state.commit;
  raft.term = state.term;
  raft.vote = state.vote;
}

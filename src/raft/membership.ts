/** Bringing a configuration into force: at start, by a conf change, by a snapshot. Mirrors the same part of raft.go. */
import { assert, InvariantError, unreachable } from "../base/assert.ts";
import { NONE } from "../wire/raft/types.ts";
import type { ConfChangeV2, ConfState, Snapshot } from "../wire/raft/types.ts";
import { Changer, ConfChangeError } from "./confchange/changer.ts";
import type { Membership } from "./confchange/changer.ts";
import { confChangeMode } from "./confchange/conf-change.ts";
import { restoreConfig } from "./confchange/restore.ts";
import { describeConfig, describeConfState, hex } from "./describe.ts";
import { compareIds } from "./quorum/majority.ts";
import type { Raft } from "./raft.ts";
import { broadcastAppend, maybeSendAppend } from "./replication.ts";
import { Tracker } from "./tracker.ts";

/**
 * Applies a committed conf change. All nodes apply the same one to the same configuration, so one that is impossible is
 * a broken invariant.
 */
export function applyConfChange(raft: Raft, change: ConfChangeV2): ConfState {
  const { config, progress } = changed(raft, change);
  raft.tracker.install(config, progress);
  return enterConfig(raft);
}

function changed(raft: Raft, change: ConfChangeV2): Membership {
  const changer = new Changer(raft.tracker, raft.log.lastIndex());
  const mode = confChangeMode(change);
  try {
    switch (mode.kind) {
      case "leaveJoint":
        return changer.leaveJoint();
      case "enterJoint":
        return changer.enterJoint(mode.autoLeave, change.changes);
      case "simple":
        return changer.simple(change.changes);
      default:
        return unreachable(mode);
    }
  } catch (error) {
    if (error instanceof ConfChangeError) throw new InvariantError(error.message, { cause: error });
    throw error;
  }
}

/** Takes over a saved configuration. The tracker must be empty. */
export function restoreConfState(raft: Raft, confState: ConfState): void {
  restoreConfig(raft.tracker, confState, raft.log.lastIndex());
  const reached = enterConfig(raft);
  if (canonical(confState) !== canonical(reached)) {
    throw new InvariantError(
      `ConfStates not equivalent after sorting: ${canonical(confState)} and ${canonical(reached)}`,
    );
  }
}

/** As Go prints the struct, which is what this log line has always shown. */
function goConfState(state: ConfState): string {
  const lists = [state.voters, state.learners, state.votersOutgoing, state.learnersNext];
  return `{${lists.map((ids) => `[${ids.join(" ")}]`).join(" ")} ${state.autoLeave}}`;
}

function canonical(state: ConfState): string {
  const sorted = (ids: readonly bigint[]): bigint[] => [...ids].sort(compareIds);
  return describeConfState({
    voters: sorted(state.voters),
    learners: sorted(state.learners),
    votersOutgoing: sorted(state.votersOutgoing),
    learnersNext: sorted(state.learnersNext),
    autoLeave: state.autoLeave,
  });
}

/** Draws the consequences of the configuration that the tracker now has. */
function enterConfig(raft: Raft): ConfState {
  const { tracker } = raft;
  raft.logger.info(`${hex(raft.id)} switched to configuration ${describeConfig(tracker.config)}`);
  const confState = tracker.confState();
  const self = tracker.get(raft.id);
  raft.isLearner = self?.isLearner ?? false;
  if (raft.role !== "leader") return confState;

  if (self === undefined || self.isLearner) {
    // Removed or demoted. By default it goes on leading, without a vote, until somebody else campaigns.
    if (raft.config.stepDownOnRemoval) raft.becomeFollower(raft.term, NONE);
    return confState;
  }
  assert(confState.voters.length > 0, "a group with a leader has voters");
  if (raft.maybeCommit()) {
    broadcastAppend(raft);
  } else {
    // New members need not wait for a heartbeat to be probed.
    for (const member of tracker.ordered) {
      if (member.id !== raft.id) maybeSendAppend(raft, member, false);
    }
  }
  if (raft.leadTransferee !== NONE && !tracker.config.voters.has(raft.leadTransferee)) raft.leadTransferee = NONE;
  return confState;
}

/** Replaces log and configuration by a snapshot. False if there is nothing to gain by it; then only commit may move. */
export function restoreSnapshot(raft: Raft, snapshot: Snapshot): boolean {
  const { index, term, confState } = snapshot.metadata;
  const { log } = raft;
  if (index <= log.committed) return false;
  assert(raft.role === "follower", "only a follower takes a snapshot");
  const id = hex(raft.id);
  // Those in `learnersNext` are outgoing voters, so they need no look of their own.
  const member =
    confState.voters.includes(raft.id) ||
    confState.learners.includes(raft.id) ||
    confState.votersOutgoing.includes(raft.id);
  if (!member) {
    raft.logger.warn(
      `${id} attempted to restore snapshot but it is not in the ConfState ${goConfState(confState)}; ` +
        "should never happen",
    );
    return false;
  }
  const marks = `${id} [commit: ${log.committed}, lastindex: ${log.lastIndex()}, lastterm: ${log.lastTerm()}]`;
  if (log.matchTerm(index, term)) {
    raft.logger.info(`${marks} fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`);
    log.commitTo(index);
    return false;
  }
  log.restore(snapshot);
  raft.tracker = new Tracker(raft.tracker.limits);
  restoreConfState(raft, confState);
  raft.logger.info(
    `${id} [commit: ${log.committed}, lastindex: ${log.lastIndex()}, lastterm: ${log.lastTerm()}] ` +
      `restored snapshot [index: ${index}, term: ${term}]`,
  );
  return true;
}

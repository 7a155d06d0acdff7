/**
 * Rebuilds a configuration from its saved form. A joint one is reached as it was in life: first its outgoing half is
 * built member by member, then the joint state is entered. Mirrors etcd-io/raft confchange/restore.go.
 */
import { ConfChangeType } from "../../wire/raft/types.ts";
import type { ConfChangeSingle, ConfState } from "../../wire/raft/types.ts";
import type { Tracker } from "../tracker.ts";
import { Changer } from "./changer.ts";
import type { Membership } from "./changer.ts";

/**
 * Brings `tracker`, which must be empty, to the configuration in `confState`.
 * @throws {ConfChangeError} when no sequence of changes leads there.
 */
export function restoreConfig(tracker: Tracker, confState: ConfState, lastIndex: number): void {
  const step = (change: (changer: Changer) => Membership): void => {
    const { config, progress } = change(new Changer(tracker, lastIndex));
    tracker.install(config, progress);
  };
  const incoming = incomingChanges(confState);
  if (confState.votersOutgoing.length === 0) {
    for (const single of incoming) step((changer) => changer.simple([single]));
    return;
  }
  for (const nodeId of confState.votersOutgoing) {
    step((changer) => changer.simple([{ type: ConfChangeType.AddNode, nodeId }]));
  }
  step((changer) => changer.enterJoint(confState.autoLeave, incoming));
}

/** What turns the outgoing half into the incoming one: all of the old out, then everybody in. */
function incomingChanges(confState: ConfState): ConfChangeSingle[] {
  const as =
    (type: ConfChangeType) =>
    (nodeId: bigint): ConfChangeSingle => ({ type, nodeId });
  return [
    ...confState.votersOutgoing.map(as(ConfChangeType.RemoveNode)),
    ...confState.voters.map(as(ConfChangeType.AddNode)),
    ...confState.learners.map(as(ConfChangeType.AddLearnerNode)),
    ...confState.learnersNext.map(as(ConfChangeType.AddLearnerNode)),
  ];
}

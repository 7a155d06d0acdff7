/**
 * Views of a proposed configuration change: both message kinds as one, how it is to be carried out, and as a log entry.
 * Mirrors etcd-io/raft raftpb/confchange.go.
 */
import { assert } from "../../base/assert.ts";
import { emptyBytes } from "../../base/bytes.ts";
import {
  decodeConfChange,
  decodeConfChangeV2,
  encodeConfChange,
  encodeConfChangeV2,
} from "../../wire/raft/conf-change-codec.ts";
import { ConfChangeTransition, EntryType } from "../../wire/raft/types.ts";
import type { ConfChange, ConfChangeV2, Entry } from "../../wire/raft/types.ts";

/** Either kind. The old one is told by its `nodeId`. */
export type AnyConfChange = ConfChange | ConfChangeV2;

/** How a change is carried out. */
export type ConfChangeMode = { kind: "simple" } | { kind: "enterJoint"; autoLeave: boolean } | { kind: "leaveJoint" };

/** The same change as a `ConfChangeV2`. */
export function toV2(change: AnyConfChange): ConfChangeV2 {
  if (!("nodeId" in change)) return change;
  return {
    transition: ConfChangeTransition.Auto,
    changes: [{ type: change.type, nodeId: change.nodeId }],
    context: change.context,
  };
}

/** Several changes, or an explicit wish, go through a joint configuration; none at all leaves one. */
export function confChangeMode(change: ConfChangeV2): ConfChangeMode {
  if (change.transition !== ConfChangeTransition.Auto || change.changes.length > 1) {
    return { kind: "enterJoint", autoLeave: change.transition !== ConfChangeTransition.JointExplicit };
  }
  return change.changes.length === 0 ? { kind: "leaveJoint" } : { kind: "simple" };
}

export function isConfChangeEntry(entry: Entry): boolean {
  return entry.type === EntryType.ConfChange || entry.type === EntryType.ConfChangeV2;
}

/**
 * The change in a conf change entry.
 * @throws {RaftDecodeError} when its data is no conf change.
 */
export function decodeConfChangeEntry(entry: Entry): AnyConfChange {
  assert(isConfChangeEntry(entry), "the entry holds a conf change");
  return entry.type === EntryType.ConfChange ? decodeConfChange(entry.data) : decodeConfChangeV2(entry.data);
}

/** An entry that proposes `change`; term and index are set when it is appended. */
export function encodeConfChangeEntry(change: AnyConfChange): Entry {
  return "nodeId" in change
    ? { type: EntryType.ConfChange, term: 0, index: 0, data: encodeConfChange(change) }
    : { type: EntryType.ConfChangeV2, term: 0, index: 0, data: encodeConfChangeV2(change) };
}

/** An entry that leaves a joint configuration. Its data is empty, so that no size limit can refuse it. */
export function createLeaveJointEntry(): Entry {
  return { type: EntryType.ConfChangeV2, term: 0, index: 0, data: emptyBytes };
}

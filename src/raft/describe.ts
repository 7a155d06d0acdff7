/**
 * Text forms of what the core deals with, the same as etcd-io/raft prints (util.go, tracker): for logs and traces. Ids are
 * hexadecimal where the core logs them, decimal in configurations and states, as there.
 */
import { unreachable } from "../base/assert.ts";
import { decodeConfChange, decodeConfChangeV2 } from "../wire/raft/conf-change-codec.ts";
import { RaftDecodeError } from "../wire/raft/reader.ts";
import {
  ConfChangeTransition,
  ConfChangeType,
  EntryType,
  isEmptySnapshot,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MessageType,
  NONE,
} from "../wire/raft/types.ts";
import type { ConfChange, ConfChangeV2, ConfState, Entry, HardState, Message, Snapshot } from "../wire/raft/types.ts";
import { formatConfChanges } from "./confchange/notation.ts";
import type { Progress, ProgressState } from "./progress.ts";
import type { Ready } from "./ready.ts";
import type { Role, SoftState } from "./raft.ts";
import type { GroupConfig, ProgressMap } from "./tracker.ts";
import { compareIds } from "./quorum/majority.ts";
import { quoteBytes } from "./quote.ts";

const messageNames = namesOf("Msg", MessageType);
const entryNames = namesOf("Entry", EntryType);
const changeNames = namesOf("ConfChange", ConfChangeType);
const transitionNames = namesOf("ConfChangeTransition", ConfChangeTransition);

const roleNames: Record<Role, string> = {
  follower: "StateFollower",
  candidate: "StateCandidate",
  leader: "StateLeader",
  preCandidate: "StatePreCandidate",
};

const progressNames: Record<ProgressState, string> = {
  probe: "StateProbe",
  replicate: "StateReplicate",
  snapshot: "StateSnapshot",
};

function namesOf(prefix: string, values: Readonly<Record<string, number>>): readonly string[] {
  const names: string[] = [];
  for (const [name, value] of Object.entries(values)) names[value] = prefix + name;
  return names;
}

/** An id in hexadecimal without leading zeros, as in log lines. */
export function hex(id: bigint): string {
  return id.toString(16);
}

/** `MsgApp` and the like; the bare number of a type that is not known here. */
export function describeMessageType(type: MessageType): string {
  return messageNames[type] ?? String(type);
}

/** `StateLeader` and the like. */
export function describeRole(role: Role): string {
  return roleNames[role];
}

export function describeSoftState(state: SoftState): string {
  return `Lead:${state.lead} State:${roleNames[state.role]}`;
}

export function describeHardState(state: HardState): string {
  const vote = state.vote === NONE ? "" : ` Vote:${state.vote}`;
  return `Term:${state.term}${vote} Commit:${state.commit}`;
}

export function describeConfState(state: ConfState): string {
  const list = (ids: readonly bigint[]): string => `[${ids.join(" ")}]`;
  return (
    `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} ` +
    `Learners:${list(state.learners)} LearnersNext:${list(state.learnersNext)} AutoLeave:${state.autoLeave}`
  );
}

export function describeSnapshot(snapshot: Snapshot): string {
  const { index, term, confState } = snapshot.metadata;
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

/** `1/4 EntryNormal "data"`: term, index, type, and the data or the conf changes in it. */
export function describeEntry(entry: Entry): string {
  const content = describeContent(entry);
  return `${entry.term}/${entry.index} ${entryNames[entry.type]}${content === "" ? "" : ` ${content}`}`;
}

function describeContent(entry: Entry): string {
  try {
    switch (entry.type) {
      case EntryType.Normal:
        return quoteBytes(entry.data);
      case EntryType.ConfChange:
        return formatConfChanges([decodeConfChange(entry.data)]);
      case EntryType.ConfChangeV2:
        return formatConfChanges(decodeConfChangeV2(entry.data).changes);
      default:
        return unreachable(entry.type);
    }
  } catch (error) {
    // What cannot be decoded is shown by the reason; a description never fails.
    if (error instanceof RaftDecodeError) return error.message;
    throw error;
  }
}

/** A line for each entry. */
export function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describeEntry(entry)}\n`).join("");
}

/** One line, or several when the message carries entries, a snapshot or responses; no newline behind it. */
export function describeMessage(message: Message, indent = ""): string {
  const { type, term, logTerm, index, entries, snapshot } = message;
  let text = `${indent}${target(message.from)}->${target(message.to)} ${describeMessageType(type)}`;
  text += ` Term:${term} Log:${logTerm}/${index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  if (message.vote !== NONE) text += ` Vote:${message.vote}`;
  if (entries.length === 1) {
    text += ` Entries:[${describeEntry(entries[0])}]`;
  } else if (entries.length > 1) {
    text += " Entries:[";
    for (const entry of entries) text += `\n${indent}  ${describeEntry(entry)}`;
    text += `\n${indent}]`;
  }
  if (snapshot !== undefined && !isEmptySnapshot(snapshot)) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  }
  if (message.responses.length > 0) {
    text += " Responses:[";
    for (const response of message.responses) text += `\n${describeMessage(response, `${indent}  `)}`;
    text += `\n${indent}]`;
  }
  return text;
}

function target(id: bigint): string {
  if (id === NONE) return "None";
  if (id === LOCAL_APPEND_THREAD) return "AppendThread";
  if (id === LOCAL_APPLY_THREAD) return "ApplyThread";
  return hex(id);
}

/** `<empty Ready>`, or a heading and a paragraph for each part, each line ended. */
export function describeReady(ready: Ready): string {
  let text = "";
  if (ready.softState !== undefined) text += `${describeSoftState(ready.softState)}\n`;
  if (ready.hardState !== undefined) text += `HardState ${describeHardState(ready.hardState)}\n`;
  if (ready.readStates.length > 0) {
    const states = ready.readStates.map((state) => `{${state.index} [${state.context.join(" ")}]}`);
    text += `ReadStates [${states.join(" ")}]\n`;
  }
  if (ready.entries.length > 0) text += `Entries:\n${describeEntries(ready.entries)}`;
  if (ready.snapshot !== undefined) text += `Snapshot ${describeSnapshot(ready.snapshot)}\n`;
  if (ready.committedEntries.length > 0) text += `CommittedEntries:\n${describeEntries(ready.committedEntries)}`;
  if (ready.messages.length > 0) {
    text += "Messages:\n";
    for (const message of ready.messages) text += `${describeMessage(message)}\n`;
  }
  return text === "" ? "<empty Ready>" : `Ready MustSync=${ready.mustSync}:\n${text}`;
}

/** `StateReplicate match=4 next=5` and what else holds. */
export function describeProgress(progress: Progress): string {
  let text = `${progressNames[progress.state]} match=${progress.match} next=${progress.next}`;
  if (progress.isLearner) text += " learner";
  if (progress.paused) text += " paused";
  if (progress.pendingSnapshot > 0) text += ` pendingSnap=${progress.pendingSnapshot}`;
  if (!progress.recentActive) text += " inactive";
  if (progress.inflights.count > 0)
    text += ` inflight=${progress.inflights.count}${progress.inflights.full ? "[full]" : ""}`;
  return text;
}

/** A line for each member, in ascending order of id. */
export function describeProgressMap(progress: ProgressMap): string {
  const members = [...progress.values()].sort((a, b) => compareIds(a.id, b.id));
  return members.map((member) => `${member.id}: ${describeProgress(member)}\n`).join("");
}

/** `voters=(1 2 4)&&(1 2 3) learners=(5) learners_next=(3) autoleave` */
export function describeConfig(config: GroupConfig): string {
  let text = `voters=${config.voters.toString()}`;
  if (config.learners.size > 0) text += ` learners=${config.learners.toString()}`;
  if (config.learnersNext.size > 0) text += ` learners_next=${config.learnersNext.toString()}`;
  if (config.autoLeave) text += " autoleave";
  return text;
}

/** The change as Go prints the struct: `{ConfChangeTransitionAuto [{ConfChangeAddNode 3}] []}`. */
export function describeConfChange(change: ConfChange | ConfChangeV2): string {
  const context = `[${change.context.join(" ")}]`;
  if ("nodeId" in change) return `{${changeNames[change.type]} ${change.nodeId} ${context} ${change.id}}`;
  const changes = change.changes.map((single) => `{${changeNames[single.type]} ${single.nodeId}}`);
  return `{${transitionNames[change.transition]} [${changes.join(" ")}] ${context}}`;
}

/**
 * The messages of package `raftpb` (etcd-io/raft v3.6.0, raftpb/raft.proto): what the raft core exchanges with its
 * peers, its log and its storage threads. Encodings are in `codec.ts`.
 *
 * Node ids fill all 64 bits and are `bigint`; terms and indexes only grow by events, stay below 2^53 and are `number`
 * (the codec checks that where bytes become numbers).
 *
 * Bytes: an empty `Uint8Array` stands for an absent field (`data`, `context`). Go can tell a nil slice from an empty
 * one and writes two bytes for the latter; nothing in etcd ever writes such a field.
 */
import { emptyBytes } from "../../base/bytes.ts";

/** No node: no leader known, no vote cast. Never the id of a node. */
export const NONE = 0n;
/** Addressee of `StorageAppend`: whoever writes entries, hard state and snapshots to stable storage. */
export const LOCAL_APPEND_THREAD = 0xffff_ffff_ffff_ffffn;
/** Addressee of `StorageApply`: whoever applies committed entries to the state machine. */
export const LOCAL_APPLY_THREAD = 0xffff_ffff_ffff_fffen;

export const EntryType = { Normal: 0, ConfChange: 1, ConfChangeV2: 2 } as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/**
 * One position of the replicated log. Immutable once it is in a log: the core, the storage and messages in flight share
 * the object and its bytes.
 */
export interface Entry {
  type: EntryType;
  term: number;
  index: number;
  /** A proposal's payload, or an encoded `ConfChange`/`ConfChangeV2`. Empty in the entry a new leader begins with. */
  data: Uint8Array;
}

/** What must be durable before a node answers anybody. */
export interface HardState {
  term: number;
  /** The candidate voted for in `term`, or {@link NONE}. */
  vote: bigint;
  commit: number;
}

/** Who belongs to the group. In a joint configuration `votersOutgoing` is not empty. */
export interface ConfState {
  voters: bigint[];
  learners: bigint[];
  /** The other half of a joint quorum; empty otherwise. */
  votersOutgoing: bigint[];
  /** Voters of the outgoing half that become learners when it is dropped. */
  learnersNext: bigint[];
  /** The joint configuration is left without the application's asking. */
  autoLeave: boolean;
}

export interface SnapshotMetadata {
  confState: ConfState;
  index: number;
  term: number;
}

/** The state machine after the entry at `metadata.index`. One with index 0 is empty and means "none". */
export interface Snapshot {
  data: Uint8Array;
  metadata: SnapshotMetadata;
}

export const MessageType = {
  Hup: 0,
  Beat: 1,
  Prop: 2,
  App: 3,
  AppResp: 4,
  Vote: 5,
  VoteResp: 6,
  Snap: 7,
  Heartbeat: 8,
  HeartbeatResp: 9,
  Unreachable: 10,
  SnapStatus: 11,
  CheckQuorum: 12,
  TransferLeader: 13,
  TimeoutNow: 14,
  ReadIndex: 15,
  ReadIndexResp: 16,
  PreVote: 17,
  PreVoteResp: 18,
  StorageAppend: 19,
  StorageAppendResp: 20,
  StorageApply: 21,
  StorageApplyResp: 22,
  ForgetLeader: 23,
} as const;
/** A decoded message may carry a number that is not listed, from a newer peer; the core ignores it. */
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/**
 * One input of a raft core, or one of its outputs. All fields are always there, so that every message has one shape.
 * What a field means depends on the type; see the step functions in `src/raft`.
 */
export interface Message {
  type: MessageType;
  to: bigint;
  from: bigint;
  /** 0 in local messages and in those that are forwarded to the leader (`Prop`, `ReadIndex`). */
  term: number;
  /** Term of the entry at `index`. */
  logTerm: number;
  index: number;
  entries: readonly Entry[];
  commit: number;
  /** Only in `StorageAppend`: together with `term` and `commit` the hard state to save; all zero when unchanged. */
  vote: bigint;
  /** Set in `Snap`, `StorageAppend` and `StorageAppendResp`; peers before 3.6 send an empty one with everything. */
  snapshot: Snapshot | undefined;
  reject: boolean;
  rejectHint: number;
  /** Read request id in heartbeats, `CampaignTransfer` in votes. */
  context: Uint8Array;
  /** What to deliver once a storage thread has done the work; never on the wire. */
  responses: readonly Message[];
}

export const ConfChangeType = { AddNode: 0, RemoveNode: 1, UpdateNode: 2, AddLearnerNode: 3 } as const;
export type ConfChangeType = (typeof ConfChangeType)[keyof typeof ConfChangeType];

/** How a {@link ConfChangeV2} reaches its configuration. */
export const ConfChangeTransition = {
  /** Directly if one change, else as `JointImplicit`. */
  Auto: 0,
  /** Through a joint configuration that is left by itself. */
  JointImplicit: 1,
  /** Through a joint configuration that the application leaves by proposing an empty change. */
  JointExplicit: 2,
} as const;
export type ConfChangeTransition = (typeof ConfChangeTransition)[keyof typeof ConfChangeTransition];

/** The one-at-a-time change; the only kind that etcd writes. */
export interface ConfChange {
  /** The request id by which etcd finds the waiting proposer. */
  id: bigint;
  type: ConfChangeType;
  /** 0n: the application refused the change when applying it; no effect. */
  nodeId: bigint;
  /** etcd: the member as JSON. */
  context: Uint8Array;
}

export interface ConfChangeSingle {
  type: ConfChangeType;
  nodeId: bigint;
}

/** Any number of changes at once. Without changes, and with transition `Auto`, it leaves a joint configuration. */
export interface ConfChangeV2 {
  transition: ConfChangeTransition;
  changes: ConfChangeSingle[];
  context: Uint8Array;
}

// Shared and never written to: the type is read-only, and freezing would give the arrays another hidden class.
const noEntries: readonly Entry[] = [];
const noMessages: readonly Message[] = [];

/** A message with everything else zero. Callers fill in what the type needs; the shape stays the same. */
export function createMessage(type: MessageType, to: bigint): Message {
  return {
    type,
    to,
    from: NONE,
    term: 0,
    logTerm: 0,
    index: 0,
    entries: noEntries,
    commit: 0,
    vote: NONE,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: emptyBytes,
    responses: noMessages,
  };
}

export function createConfState(): ConfState {
  return { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
}

export function createSnapshot(): Snapshot {
  return { data: emptyBytes, metadata: { confState: createConfState(), index: 0, term: 0 } };
}

/** True for `undefined` too: peers before 3.6 send an empty snapshot where newer ones send none. */
export function isEmptySnapshot(snapshot: Snapshot | undefined): boolean {
  return snapshot === undefined || snapshot.metadata.index === 0;
}

/** True for the two addressees that stand for local storage work. */
export function isLocalThread(id: bigint): boolean {
  return id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD;
}

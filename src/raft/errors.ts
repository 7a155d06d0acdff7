/** The expected errors of the raft core, by reason. The texts are etcd-io/raft's; clients and logs show them. */
const raftReasons = {
  /** The proposal is not and will not be in the log, as far as this node knows: no leader, handover, size limit. */
  proposalDropped: "raft proposal dropped",
  /** A message type that only the node itself may step came from somebody else. */
  stepLocalMessage: "raft: cannot step raft local message",
  /** An answer from a node that is not in the configuration. */
  stepPeerNotFound: "raft: cannot step as peer not found",
} as const;

export type RaftReason = keyof typeof raftReasons;

/** Nothing changed in the core. Branch on `reason`. */
export class RaftError extends Error {
  override readonly name = "RaftError";
  readonly reason: RaftReason;

  constructor(reason: RaftReason) {
    super(raftReasons[reason]);
    this.reason = reason;
  }
}

const storageReasons = {
  compacted: "requested index is unavailable due to compaction",
  snapshotOutOfDate: "requested index is older than the existing snapshot",
} as const;

export type StorageReason = keyof typeof storageReasons;

/** The log is not changed. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly reason: StorageReason;

  constructor(reason: StorageReason) {
    super(storageReasons[reason]);
    this.reason = reason;
  }
}

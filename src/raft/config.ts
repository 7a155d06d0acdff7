/** How a core is set up. Mirrors `Config` in etcd-io/raft raft.go. */
import { isLocalThread, NONE } from "../wire/raft/types.ts";
import type { RaftLogger } from "./logger.ts";
import type { Storage } from "./storage.ts";

/**
 * How a leader makes sure that it still leads before it answers a read.
 * - `safe`: a quorum answers a heartbeat sent after the request came.
 * - `leaseBased`: it trusts that a quorum which answered within the election timeout has not elected another one; wrong
 *   if clocks run at very different speeds. Needs `checkQuorum`.
 */
export type ReadOnlyOption = "safe" | "leaseBased";

export interface RaftConfig {
  /** This node. Not {@link NONE} and not one of the storage threads. */
  id: bigint;
  /** Ticks without a leader after which a follower campaigns; drawn anew each time from [n, 2n). > `heartbeatTicks`. */
  electionTicks: number;
  /** Ticks between a leader's heartbeats. At least 1. */
  heartbeatTicks: number;
  storage: Storage;
  /** Uniform integer in [0, limit). The only chance in the core. */
  random: (limit: number) => number;
  logger: RaftLogger;
  /** Highest applied index, at restart; entries up to it are not handed out again. Default 0: unknown. */
  appliedIndex?: number;
  /**
   * Storage work is handed out as messages (`StorageAppend`, `StorageApply`) whose responses are stepped when it is
   * done, so that it can be pipelined; otherwise each Ready is finished by `advance`. Default false.
   */
  asyncStorageWrites?: boolean;
  /** Most encoded bytes of entries in one append; one entry always goes. `Infinity`: no limit; 0: one entry each. */
  messageBytesMax: number;
  /** Most encoded bytes of entries being applied at a time; one entry always goes. Default `messageBytesMax`. */
  applyingBytesMax?: number;
  /** Most payload bytes in a leader's log that are not committed; further proposals are dropped. Default: no limit. */
  uncommittedBytesMax?: number;
  /** Most appends in flight to one follower. At least 1. */
  inflightCountMax: number;
  /** Most payload bytes in flight to one follower, at least `messageBytesMax`. Default: no limit. */
  inflightBytesMax?: number;
  /** A leader that does not hear from a quorum within the election timeout steps down. Default false. */
  checkQuorum?: boolean;
  /** Ask before campaigning, so that a node that was cut off does not disturb the group. Default false. */
  preVote?: boolean;
  /** Default `safe`. */
  readOnly?: ReadOnlyOption;
  /** A follower drops proposals instead of passing them on to the leader. Default false. */
  disableProposalForwarding?: boolean;
  /**
   * Conf changes are proposed without a look at the active configuration, because the application has its own order.
   * An impossible one that gets applied is a broken invariant. Default false.
   */
  disableConfChangeValidation?: boolean;
  /** A leader that is removed or made a learner steps down when it applies that. Default false. */
  stepDownOnRemoval?: boolean;
}

/** A configuration with every default filled in. Absent limits are `Infinity`. */
export type CompleteConfig = Readonly<Required<RaftConfig>>;

/** A configuration that makes no sense. The message says which setting. */
export class RaftConfigError extends Error {
  override readonly name = "RaftConfigError";
}

/**
 * Fills in the defaults and checks the settings.
 * @throws {RaftConfigError}
 */
export function completeConfig(config: RaftConfig): CompleteConfig {
  const complete: CompleteConfig = {
    ...config,
    appliedIndex: config.appliedIndex ?? 0,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    applyingBytesMax: config.applyingBytesMax ?? config.messageBytesMax,
    uncommittedBytesMax: config.uncommittedBytesMax ?? Infinity,
    inflightBytesMax: config.inflightBytesMax ?? Infinity,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    readOnly: config.readOnly ?? "safe",
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
  };
  const check = (condition: boolean, message: string): void => {
    if (!condition) throw new RaftConfigError(message);
  };
  check(complete.id !== NONE, "cannot use none as id");
  check(!isLocalThread(complete.id), "cannot use local target as id");
  check(complete.heartbeatTicks > 0, "heartbeat tick must be greater than 0");
  check(complete.electionTicks > complete.heartbeatTicks, "election tick must be greater than heartbeat tick");
  check(complete.applyingBytesMax > 0, "max committed size per ready must be greater than 0");
  check(complete.uncommittedBytesMax > 0, "max uncommitted size must be greater than 0");
  check(complete.inflightCountMax > 0, "max inflight messages must be greater than 0");
  check(complete.inflightBytesMax > 0, "max inflight bytes must be greater than 0");
  check(complete.inflightBytesMax >= complete.messageBytesMax, "max inflight bytes must be >= max message size");
  check(
    complete.readOnly === "safe" || complete.checkQuorum,
    "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased",
  );
  return complete;
}

/** The nodes of an interaction trace, and the command that adds them. */
import { MemoryStorage } from "../../src/raft/memory-storage.ts";
import type { RaftConfig } from "../../src/raft/config.ts";
import { RawNode } from "../../src/raft/raw-node.ts";
import { createSnapshot } from "../../src/wire/raft/types.ts";
import type { Message, Snapshot } from "../../src/wire/raft/types.ts";
import type { Output } from "./output.ts";
import { toBoolean, toId, toInteger } from "./script.ts";
import type { Argument, Step } from "./script.ts";

/** A log whose snapshot is always the state machine's latest. */
class BenchStorage extends MemoryStorage {
  readonly history: Snapshot[];

  constructor(first: Snapshot) {
    super();
    this.history = [first];
  }

  override snapshot(): Snapshot {
    return this.history[this.history.length - 1];
  }
}

export interface BenchNode {
  readonly raft: RawNode;
  readonly storage: BenchStorage;
  readonly async: boolean;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly appendWork: Message[];
  readonly applyWork: Message[];
}

/** Makes the nodes of an `add-nodes` step, with ids from `firstId` on. Returns an error for the output instead. */
export function addNodes(step: Step, firstId: number, logger: Output): BenchNode[] | string {
  const count = toInteger(step.args[0].key);
  const snapshot = createSnapshot();
  let bootstrap = false;
  const options: Partial<RaftConfig> = {};
  for (const arg of step.args.slice(1)) {
    if (readSnapshotArgument(arg, snapshot)) bootstrap = true;
    const error = readOption(arg, options);
    if (error !== undefined) return error;
  }
  if (bootstrap && snapshot.metadata.index <= 1) return "index must be specified as > 1 due to bootstrap";
  if (bootstrap) snapshot.metadata.term = 1;

  const nodes: BenchNode[] = [];
  for (let i = 0; i < count; i++) {
    const storage = new BenchStorage(snapshot);
    if (bootstrap) storage.applySnapshot(snapshot);
    const config: RaftConfig = {
      messageBytesMax: Infinity,
      inflightCountMax: 2_147_483_647,
      ...options,
      id: BigInt(firstId + i),
      electionTicks: 3,
      heartbeatTicks: 1,
      storage,
      // Traces say when an election times out where it matters.
      random: (limit) => limit - 1,
      logger,
      appliedIndex: snapshot.metadata.index,
    };
    nodes.push({
      raft: new RawNode(config),
      storage,
      async: config.asyncStorageWrites ?? false,
      electionTicks: config.electionTicks,
      heartbeatTicks: config.heartbeatTicks,
      appendWork: [],
      applyWork: [],
    });
  }
  return nodes;
}

function readSnapshotArgument({ key, values }: Argument, snapshot: Snapshot): boolean {
  const { metadata } = snapshot;
  switch (key) {
    case "voters":
      metadata.confState.voters.push(...values.map(toId));
      return true;
    case "learners":
      metadata.confState.learners.push(...values.map(toId));
      return true;
    case "index":
      metadata.index = toInteger(values[0]);
      return true;
    case "content":
      snapshot.data = new TextEncoder().encode(values[0]);
      return true;
    default:
      return false;
  }
}

function readOption({ key, values }: Argument, options: Partial<RaftConfig>): string | undefined {
  const [value] = values;
  switch (key) {
    case "inflight":
      options.inflightCountMax = toInteger(value);
      break;
    case "inflight-bytes":
      options.inflightBytesMax = toInteger(value);
      break;
    case "max-message-size":
      options.messageBytesMax = toInteger(value);
      break;
    case "max-uncommitted-size":
      options.uncommittedBytesMax = toInteger(value);
      break;
    case "async-storage-writes":
      options.asyncStorageWrites = toBoolean(value);
      break;
    case "prevote":
      options.preVote = toBoolean(value);
      break;
    case "checkquorum":
      options.checkQuorum = toBoolean(value);
      break;
    case "max-committed-size-per-ready":
      options.applyingBytesMax = toInteger(value);
      break;
    case "disable-conf-change-validation":
      options.disableConfChangeValidation = toBoolean(value);
      break;
    case "step-down-on-removal":
      options.stepDownOnRemoval = toBoolean(value);
      break;
    case "read-only":
      if (value === "safe") options.readOnly = "safe";
      else if (value === "lease-based") options.readOnly = "leaseBased";
      else return `invalid read-only option ${JSON.stringify(value)}`;
      break;
    default:
      break; // part of the snapshot, or not known: the original passes over it too
  }
  return undefined;
}

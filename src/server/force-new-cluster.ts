/**
 * `--force-new-cluster`: makes one member's data a cluster of its own, when the others are lost. What was not known to
 * be committed is dropped, and committed entries follow that remove everybody else. Source: etcd
 * server/etcdserver/bootstrap.go and server/storage/util.go.
 */
import { memberToJson } from "../membership/member.ts";
import { decodeConfChange, encodeConfChange } from "../wire/raft/conf-change-codec.ts";
import {
  type ConfChange,
  ConfChangeType,
  type Entry,
  EntryType,
  type HardState,
  type Snapshot,
} from "../wire/raft/types.ts";

/** What etcd takes for the peer URL of a member that its own log does not know. */
const PEER_URL_FALLBACK = "http://localhost:2380";

export interface ForcedLog {
  /** The committed entries, and behind them the added ones. */
  readonly entries: readonly Entry[];
  /** To be saved. */
  readonly added: readonly Entry[];
  readonly hardState: HardState;
}

export interface LogToForce {
  readonly memberId: bigint;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  /** Entries up to here were applied, so they were committed, even if the log does not say so. */
  readonly consistentIndex: number;
}

export function forceNewCluster(log: LogToForce): ForcedLog {
  const committed = Math.max(log.hardState.commit, log.consistentIndex);
  const kept = log.entries.filter((entry) => entry.index <= committed);
  const ids = membersOf(log.snapshot, kept);
  const changes: ConfChange[] = [];
  // Itself first: at no time may the group be without a voter.
  if (!ids.includes(log.memberId)) changes.push(addition(log.memberId));
  for (const nodeId of ids) {
    if (nodeId === log.memberId) continue;
    changes.push({ id: 0n, type: ConfChangeType.RemoveNode, nodeId, context: new Uint8Array(0) });
  }
  const added = changes.map((change, position) => ({
    type: EntryType.ConfChange,
    term: log.hardState.term,
    index: committed + 1 + position,
    data: encodeConfChange(change),
  }));
  return { entries: [...kept, ...added], added, hardState: { ...log.hardState, commit: committed + added.length } };
}

function addition(id: bigint): ConfChange {
  const member = { id, peerUrls: [PEER_URL_FALLBACK], isLearner: false, name: "", clientUrls: [] };
  return { id: 0n, type: ConfChangeType.AddNode, nodeId: id, context: Buffer.from(memberToJson(member), "utf8") };
}

/** Voters and learners after the entries, ascending. */
function membersOf(snapshot: Snapshot | undefined, entries: readonly Entry[]): bigint[] {
  const confState = snapshot?.metadata.confState;
  const ids = new Set([...(confState?.voters ?? []), ...(confState?.learners ?? [])]);
  for (const entry of entries) {
    if (entry.type !== EntryType.ConfChange) continue;
    const { type, nodeId } = decodeConfChange(entry.data);
    if (type === ConfChangeType.RemoveNode) ids.delete(nodeId);
    else if (type !== ConfChangeType.UpdateNode) ids.add(nodeId);
  }
  return [...ids].sort((a, b) => (a < b ? -1 : 1));
}

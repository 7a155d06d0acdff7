import { expect, test } from "vitest";
import { decodeConfChange, encodeConfChange } from "../wire/raft/conf-change-codec.ts";
import { ConfChangeType, type Entry, EntryType, type Snapshot } from "../wire/raft/types.ts";
import { forceNewCluster } from "./force-new-cluster.ts";

const change = (index: number, type: ConfChangeType, nodeId: bigint): Entry => ({
  type: EntryType.ConfChange,
  term: 3,
  index,
  data: encodeConfChange({ id: 0n, type, nodeId, context: new Uint8Array(0) }),
});
const normal = (index: number): Entry => ({ type: EntryType.Normal, term: 3, index, data: new Uint8Array(1) });
const { AddNode, RemoveNode } = ConfChangeType;
const hardState = { term: 3, vote: 2n, commit: 4 };

test("what is not committed is dropped, and everybody else is removed", () => {
  const entries = [change(1, AddNode, 1n), change(2, AddNode, 2n), change(3, AddNode, 3n), normal(4), normal(5)];
  const forced = forceNewCluster({ memberId: 2n, snapshot: undefined, entries, hardState, consistentIndex: 3 });
  expect(forced.entries.map((entry) => entry.index)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(forced.added.map((entry) => [entry.index, entry.term])).toEqual([
    [5, 3],
    [6, 3],
  ]);
  const changes = forced.added.map((entry) => decodeConfChange(entry.data));
  expect(changes.map(({ type, nodeId }) => [type, nodeId])).toEqual([
    [RemoveNode, 1n],
    [RemoveNode, 3n],
  ]);
  expect(forced.hardState).toEqual({ term: 3, vote: 2n, commit: 6 });
});

test("entries that were applied count as committed", () => {
  const entries = [change(1, AddNode, 1n), normal(2), normal(3), normal(4), normal(5), normal(6)];
  const forced = forceNewCluster({ memberId: 1n, snapshot: undefined, entries, hardState, consistentIndex: 6 });
  expect(forced.entries).toHaveLength(6);
  expect(forced.added).toEqual([]);
  expect(forced.hardState.commit).toBe(6);
});

test("a member that was removed comes back, before the others go", () => {
  const confState = { voters: [1n, 2n], learners: [5n], votersOutgoing: [], learnersNext: [], autoLeave: false };
  const snapshot: Snapshot = { data: new Uint8Array(0), metadata: { confState, index: 4, term: 2 } };
  const forced = forceNewCluster({
    memberId: 9n,
    snapshot,
    entries: [],
    hardState,
    consistentIndex: 4,
  });
  const changes = forced.added.map((entry) => decodeConfChange(entry.data));
  expect(changes.map(({ type, nodeId }) => [type, nodeId])).toEqual([
    [AddNode, 9n],
    [RemoveNode, 1n],
    [RemoveNode, 2n],
    [RemoveNode, 5n],
  ]);
  expect(Buffer.from(changes[0].context).toString()).toBe('{"id":9,"peerURLs":["http://localhost:2380"]}');
});

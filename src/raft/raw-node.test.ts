import { expect, test } from "vitest";
import { decodeConfChange } from "../wire/raft/conf-change-codec.ts";
import {
  ConfChangeType,
  createMessage,
  EntryType,
  isLocalThread,
  LOCAL_APPEND_THREAD,
  MessageType,
  NONE,
} from "../wire/raft/types.ts";
import type { Message } from "../wire/raft/types.ts";
import type { RaftConfig } from "./config.ts";
import { MemoryStorage } from "./memory-storage.ts";
import { RawNode } from "./raw-node.ts";
import { PENDING_READS_MAX } from "./read-only.ts";
import type { Ready } from "./ready.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function storageWith(voters: bigint[]): MemoryStorage {
  const storage = new MemoryStorage();
  const confState = { voters, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  storage.applySnapshot({ data: new Uint8Array(), metadata: { confState, index: 5, term: 1 } });
  return storage;
}

function configWith(storage: MemoryStorage, options: Partial<RaftConfig> = {}): RaftConfig {
  return {
    id: 1n,
    electionTicks: 10,
    heartbeatTicks: 1,
    storage,
    random: () => 0,
    logger: silent,
    messageBytesMax: Infinity,
    inflightCountMax: 256,
    ...options,
  };
}

/** Does the work of Readys until there is none, and returns them. */
function drain(node: RawNode, storage: MemoryStorage): Ready[] {
  const readys: Ready[] = [];
  while (node.hasReady()) {
    const ready = node.ready();
    readys.push(ready);
    if (ready.hardState !== undefined) storage.setHardState(ready.hardState);
    storage.append(ready.entries);
    node.advance();
  }
  return readys;
}

function singleLeader(options: Partial<RaftConfig> = {}): { node: RawNode; storage: MemoryStorage } {
  const storage = storageWith([1n]);
  const node = new RawNode(configWith(storage, options));
  node.campaign();
  drain(node, storage);
  return { node, storage };
}

test("a single voter elects itself after its election timeout and commits what it is given", () => {
  const storage = storageWith([1n]);
  const node = new RawNode(configWith(storage));
  for (let i = 0; i < 9; i++) node.tick();
  expect(node.hasReady()).toBe(false);
  node.tick();
  drain(node, storage);
  expect(node.isLeader).toBe(true);
  expect(node.lead).toBe(1n);

  node.propose(text("a"));
  const readys = drain(node, storage);
  expect(readys.flatMap((ready) => ready.committedEntries)).toEqual([
    { type: EntryType.Normal, term: 1, index: 7, data: text("a") },
  ]);
  expect(node.committed).toBe(7);
});

test("a batch is appended as a whole, with one acknowledgement", () => {
  const storage = storageWith([1n]);
  const node = new RawNode(configWith(storage, { asyncStorageWrites: true }));
  const work: Message[] = [];
  const takeWork = (): void => {
    while (node.hasReady()) work.push(...node.ready().messages);
  };
  const doWork = (): Message[] => {
    const done: Message[] = [];
    for (takeWork(); work.length > 0; takeWork()) {
      const message = work.shift()!;
      expect(isLocalThread(message.to)).toBe(true);
      if (message.to === LOCAL_APPEND_THREAD) storage.append(message.entries);
      for (const response of message.responses) node.step(response);
      done.push(message);
    }
    return done;
  };
  node.campaign();
  doWork();

  node.proposeBatch([text("a"), text("b"), text("c")]);
  const [append, commit, apply] = doWork();
  expect(append.entries.map((entry) => entry.index)).toEqual([7, 8, 9]);
  expect(append.responses.map((response) => response.type)).toEqual([
    MessageType.AppResp,
    MessageType.StorageAppendResp,
  ]);
  // The commit index is written without waiting for anything, while the entries are applied.
  expect(commit).toMatchObject({ type: MessageType.StorageAppend, term: 1, vote: 1n, commit: 9, responses: [] });
  expect(apply.type).toBe(MessageType.StorageApply);
  expect(apply.entries.map((entry) => entry.data)).toEqual([text("a"), text("b"), text("c")]);
  expect(node.status().applied).toBe(9);
});

test("only a write of term, vote or entries must be synced", () => {
  const { node, storage } = singleLeader();
  node.propose(text("a"));
  const [write, commit] = drain(node, storage);
  expect(write.mustSync).toBe(true);
  expect(commit).toMatchObject({ mustSync: false, hardState: { term: 1, vote: 1n, commit: 7 }, entries: [] });
});

test("proposals are dropped with a reason when nobody leads", () => {
  const node = new RawNode(configWith(storageWith([1n, 2n])));
  expect(() => node.propose(text("a"))).toThrow("raft proposal dropped");
  expect(() => node.proposeBatch([text("a")])).toThrow("raft proposal dropped");
});

test("proposals beyond the uncommitted limit are dropped, and the log does not change", () => {
  const storage = storageWith([1n]);
  const node = new RawNode(configWith(storage, { uncommittedBytesMax: 4 }));
  node.campaign();
  drain(node, storage);
  node.propose(text("long first one"));
  const { lastIndex } = node.status();
  expect(() => node.propose(text("b"))).toThrow("raft proposal dropped");
  expect(node.status().lastIndex).toBe(lastIndex);
  drain(node, storage);
  node.propose(text("b"));
  expect(node.status().lastIndex).toBe(lastIndex + 1);
});

test("messages that only the node itself may step are refused from others", () => {
  const node = new RawNode(configWith(storageWith([1n, 2n])));
  const hup = createMessage(MessageType.Hup, 1n);
  hup.from = 2n;
  expect(() => node.step(hup)).toThrow("raft: cannot step raft local message");
  const answer = createMessage(MessageType.AppResp, 1n);
  answer.from = 9n;
  expect(() => node.step(answer)).toThrow("raft: cannot step as peer not found");
});

test("a message delivered twice appends twice, and neither copy changes the other", () => {
  const { node, storage } = singleLeader();
  const forwarded = createMessage(MessageType.Prop, 1n);
  forwarded.from = 2n;
  forwarded.entries = [{ type: EntryType.Normal, term: 0, index: 0, data: text("x") }];
  node.step(forwarded);
  node.step(forwarded);
  drain(node, storage);
  expect(storage.entries(7, 9, Infinity)).toEqual([
    { type: EntryType.Normal, term: 1, index: 7, data: text("x") },
    { type: EntryType.Normal, term: 1, index: 8, data: text("x") },
  ]);
});

test("malformed requests of a peer are dropped", () => {
  const { node } = singleLeader();
  const read = createMessage(MessageType.ReadIndex, 1n);
  read.from = 2n;
  node.step(read);
  expect(node.hasReady()).toBe(false);
  const empty = createMessage(MessageType.Prop, 1n);
  empty.from = 2n;
  expect(() => node.step(empty)).toThrow("raft proposal dropped");
  const unknown = createMessage(99 as MessageType, 1n);
  unknown.from = 2n;
  node.step(unknown);
  expect(node.hasReady()).toBe(false);
});

test("reads wait in a queue with a limit", () => {
  const storage = storageWith([1n, 2n]);
  let warnings = 0;
  const logger = { ...silent, warn: () => void warnings++ };
  const node = new RawNode(configWith(storage, { logger }));
  node.campaign();
  drain(node, storage);
  const vote = createMessage(MessageType.VoteResp, 1n);
  vote.from = 2n;
  vote.term = 1;
  node.step(vote);
  drain(node, storage);
  expect(node.isLeader).toBe(true);
  for (let i = 0; i < PENDING_READS_MAX + 2; i++) node.readIndex(text(`read ${i}`));
  expect(warnings).toBe(2);
});

test("a group is founded with a conf change for each peer, committed in term 1", () => {
  const storage = new MemoryStorage();
  const node = new RawNode(configWith(storage));
  node.bootstrap([
    { id: 1n, context: text("one") },
    { id: 2n, context: text("two") },
  ]);
  const ready = node.ready();
  expect(ready.hardState).toEqual({ term: 1, vote: NONE, commit: 2 });
  expect(
    ready.entries.map(({ type, term, index, data }) => ({ type, term, index, change: decodeConfChange(data) })),
  ).toEqual(
    [1n, 2n].map((nodeId, i) => ({
      type: EntryType.ConfChange,
      term: 1,
      index: i + 1,
      change: { id: 0n, type: ConfChangeType.AddNode, nodeId, context: text(["one", "two"][i]) },
    })),
  );
  expect(ready.committedEntries).toEqual(ready.entries);
  expect(node.status().config.voters.toString()).toBe("(1 2)");
});

test("a restart continues where storage ends, and does not hand out applied entries again", () => {
  const { node, storage } = singleLeader();
  node.propose(text("a"));
  node.propose(text("b"));
  drain(node, storage);

  const restarted = new RawNode(configWith(storage, { appliedIndex: 7 }));
  expect(restarted.term).toBe(1);
  expect(restarted.isLeader).toBe(false);
  const committed = drain(restarted, storage).flatMap((ready) => ready.committedEntries);
  expect(committed.map((entry) => entry.index)).toEqual([8]);
});

test("a conf change that the application refuses changes nothing", () => {
  const { node } = singleLeader();
  const before = node.status().config;
  node.applyConfChange({ id: 1n, type: ConfChangeType.AddNode, nodeId: NONE, context: new Uint8Array() });
  expect(node.status().config).toEqual(before);
});

test.each<[string, Partial<RaftConfig>, string]>([
  ["no id", { id: NONE }, "cannot use none as id"],
  ["a storage thread's id", { id: LOCAL_APPEND_THREAD }, "cannot use local target as id"],
  ["no heartbeats", { heartbeatTicks: 0 }, "heartbeat tick must be greater than 0"],
  ["elections as fast as heartbeats", { electionTicks: 1 }, "election tick must be greater than heartbeat tick"],
  ["no window", { inflightCountMax: 0 }, "max inflight messages must be greater than 0"],
  [
    "a window below a message",
    { inflightBytesMax: 5, messageBytesMax: 6 },
    "max inflight bytes must be >= max message size",
  ],
  ["leases without quorum checks", { readOnly: "leaseBased" }, "CheckQuorum must be enabled"],
])("a configuration with %s is refused", (_name, options, message) => {
  expect(() => new RawNode(configWith(storageWith([1n]), options))).toThrow(message);
});

import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { MemoryBackend } from "../../test/support/memory-backend.ts";
import { setVerify } from "../base/assert.ts";
import { Lessor } from "../lease/lessor.ts";
import { EtcdError } from "../wire/errors.ts";
import type { PutRequest, RangeRequest, RequestOp, TxnRequest } from "../wire/hot/types.ts";
import type { Change, Revision } from "./change.ts";
import { Store } from "./store.ts";
import { PairReader } from "./stored-pair.ts";

beforeAll(() => {
  setVerify(true);
});

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));
const text = (view: Uint8Array): string => Buffer.from(view).toString("latin1");
const toTheEnd = "\0";

function rangeOf(key: string, rangeEnd = "", more: Partial<RangeRequest> = {}): RangeRequest {
  return {
    key: bytes(key),
    rangeEnd: bytes(rangeEnd),
    limit: 0,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
    ...more,
  };
}

function putOf(key: string, value: string, more: Partial<PutRequest> = {}): PutRequest {
  return {
    key: bytes(key),
    value: bytes(value),
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
    ...more,
  };
}

const putOp = (key: string, value: string, more: Partial<PutRequest> = {}): RequestOp => ({
  kind: "put",
  put: putOf(key, value, more),
});
const deleteOp = (key: string, rangeEnd = ""): RequestOp => ({
  kind: "deleteRange",
  deleteRange: { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv: false },
});
const rangeOp = (key: string, rangeEnd = "", more: Partial<RangeRequest> = {}): RequestOp => ({
  kind: "range",
  range: rangeOf(key, rangeEnd, more),
});

function txnOf(success: RequestOp[]): TxnRequest {
  return { compare: [], success, failure: [] };
}

function runCompactions(store: Store, units = 1000): void {
  while (store.stepCompaction(units) !== "idle");
}

function hashOf(store: Store, revision: number, rows = 1000): number {
  const job = store.hashKv(revision);
  while (!job.step(rows));
  return job.result.hash;
}

/** `key=value@create/mod/version` of each pair. */
function show(store: Store, request: RangeRequest): string[] {
  return store.range(request).response.kvs.map((row) => {
    const pair = new PairReader().read(row);
    return `${text(pair.key)}=${text(pair.value)}@${pair.createRevision}/${pair.modRevision}/${pair.version}`;
  });
}

function reasonOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof EtcdError) return error.reason;
    throw error;
  }
  return "none";
}

interface ModelPair {
  readonly value: string;
  readonly create: number;
  readonly mod: number;
  readonly version: number;
}

/** The slow obvious store: the whole map at every revision. */
class Model {
  readonly states: Map<string, ModelPair>[] = [new Map(), new Map()];

  get revision(): number {
    return this.states.length - 1;
  }

  /** Applies puts (with a value) and deletes (without) in one transaction. */
  apply(changes: readonly { readonly key: string; readonly value?: string | undefined }[]): void {
    const state = new Map(this.states.at(-1));
    const mod = this.revision + 1;
    let changed = false;
    for (const { key, value } of changes) {
      if (value === undefined) changed = state.delete(key) || changed;
      else {
        const old = state.get(key);
        state.set(key, { value, create: old?.create ?? mod, mod, version: (old?.version ?? 0) + 1 });
        changed = true;
      }
    }
    if (changed) this.states.push(state);
  }

  show(start: string, end: string, revision: number): string[] {
    const state = this.states[revision];
    return [...state.keys()]
      .filter((key) => (end === "" ? key === start : key >= start && (end === toTheEnd || key < end)))
      .sort()
      .map((key) => {
        const { value, create, mod, version } = state.get(key)!;
        return `${key}=${value}@${create}/${mod}/${version}`;
      });
  }
}

const key = fc.constantFrom("a", "a/b", "a/c", "b", "ba", "c", "\xff");
const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("put" as const), key, value: fc.string({ maxLength: 5 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("delete" as const), key, end: fc.oneof(fc.constant(""), key) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("txn" as const),
      changes: fc.array(fc.record({ key, value: fc.option(fc.string({ maxLength: 3 }), { nil: undefined }) }), {
        maxLength: 4,
      }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("range" as const),
      key,
      end: fc.oneof(key, fc.constant(""), fc.constant(toTheEnd)),
      back: fc.nat(12),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const), back: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("step" as const), units: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
);

test("the store answers as a map kept at every revision does, with compactions running in slices between writes and across reopening", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
      const sliced = new MemoryBackend();
      const plain = new MemoryBackend();
      let store = Store.open(sliced, undefined, { compactionBatchRows: 3 });
      const twin = Store.open(plain);
      const model = new Model();
      for (const step of commands) {
        switch (step.kind) {
          case "put":
            model.apply([step]);
            for (const each of [store, twin]) each.applyPut(putOf(step.key, step.value));
            break;
          case "delete": {
            const matching = model
              .show(step.key, step.end, model.revision)
              .map((line) => ({ key: line.slice(0, line.indexOf("=")) }));
            model.apply(matching);
            const request = { key: bytes(step.key), rangeEnd: bytes(step.end), prevKv: false };
            for (const each of [store, twin])
              expect(each.applyDeleteRange(request).response.deleted).toBe(matching.length);
            break;
          }
          case "txn": {
            model.apply(step.changes);
            const ops = step.changes.map((change) =>
              change.value === undefined ? deleteOp(change.key) : putOp(change.key, change.value),
            );
            for (const each of [store, twin]) each.applyTxn(txnOf(ops), true);
            break;
          }
          case "range": {
            const revision = model.revision - step.back;
            if (revision < 1) break;
            const request = rangeOf(step.key, step.end, { revision });
            if (revision < store.compactRevision) expect(reasonOf(() => store.range(request))).toBe("compacted");
            else expect(show(store, request)).toEqual(model.show(step.key, step.end, revision));
            break;
          }
          case "compact": {
            const revision = model.revision - step.back;
            if (revision <= store.compactRevision || revision < 1) break;
            store.compact(revision);
            twin.compact(revision);
            runCompactions(twin);
            break;
          }
          case "step":
            store.stepCompaction(step.units);
            break;
          case "reopen":
            store = Store.open(sliced, undefined, { compactionBatchRows: 3 });
            break;
        }
        expect(store.currentRevision).toBe(model.revision);
        expect(store.compactRevision).toBe(twin.compactRevision);
        expect(store.keyCount).toBe(model.states.at(-1)!.size);
      }
      // A remembered hash is a member's own; all others must agree whatever the progress of the compaction. (Where no key
      // exists, etcd's rule hashes every row there is, and that shows the progress: kept, and left out here.)
      for (let revision = Math.max(1, store.compactRevision + 1); revision <= model.revision; revision++) {
        if (model.states[revision].size === 0) continue;
        expect(hashOf(store, revision, 2)).toBe(hashOf(twin, revision));
      }
      runCompactions(store, 2);
      expect(sliced.rows.map(({ main, sub }) => `${main}.${sub}`)).toEqual(
        plain.rows.map(({ main, sub }) => `${main}.${sub}`),
      );
      const again = Store.open(sliced);
      for (let revision = Math.max(1, store.compactRevision); revision <= model.revision; revision++) {
        const all = rangeOf("\0", toTheEnd, { revision });
        expect(show(again, all)).toEqual(model.show("\0", toTheEnd, revision));
        if (revision > store.compactRevision) expect(hashOf(again, revision)).toBe(hashOf(twin, revision));
      }
    }),
    { numRuns: 300 },
  );
});

test("a compaction makes older revisions unreadable at once, and its mark durable before any row goes", () => {
  const backend = new MemoryBackend();
  const store = Store.open(backend);
  for (let round = 0; round < 3; round++) store.applyPut(putOf("foo", `${round}`));
  const { commits } = backend;
  store.compact(4);
  expect(backend.commits).toBe(commits + 1);
  expect(backend.rows.length).toBe(3);
  expect(reasonOf(() => store.range(rangeOf("foo", "", { revision: 3 })))).toBe("compacted");
  expect(show(store, rangeOf("foo", "", { revision: 4 }))).toEqual(["foo=2@2/4/3"]);
  expect(reasonOf(() => store.compact(4))).toBe("compacted");
  expect(reasonOf(() => store.compact(5))).toBe("futureRevision");
  runCompactions(store);
  expect(backend.rows.map(({ main }) => main)).toEqual([4]);
});

test("a store reopened in the middle of a compaction finishes it, and does not remember its hash", () => {
  const backend = new MemoryBackend();
  const store = Store.open(backend, undefined, { compactionBatchRows: 2 });
  for (let round = 0; round < 8; round++) store.applyPut(putOf("foo", `${round}`));
  store.compact(8);
  let pauses = 0;
  while (pauses < 2) if (store.stepCompaction(2) === "pause") pauses++;
  expect(backend.rows.length).toBe(4);
  const again = Store.open(backend);
  expect(again.pendingCompactions).toBe(1);
  expect(again.compactRevision).toBe(8);
  runCompactions(again);
  expect(backend.rows.map(({ main }) => main)).toEqual([8, 9]);
  expect(again.compactionHashes).toEqual([]);
  runCompactions(store);
});

test("whenDone of a compaction comes after its last commit", async () => {
  const backend = new MemoryBackend();
  const store = Store.open(backend);
  store.applyPut(putOf("foo", "1"));
  store.applyPut(putOf("foo", "2"));
  const done = new Promise<number>((resolve) => {
    store.compact(3, () => resolve(backend.rows.length));
  });
  runCompactions(store);
  expect(await done).toBe(1);
});

test("a compaction waits for a hash and for a cursor that still reads the index below it", () => {
  const store = Store.open(new MemoryBackend());
  for (let round = 0; round < 20; round++) store.applyPut(putOf(`key${round}`, "1"));
  for (let round = 0; round < 20; round++) store.applyPut(putOf(`key${round}`, "2"));
  const before = hashOf(store, 21);
  let worked = 0;
  const job = store.hashKv(21);
  const cursor = store.rangeCursor(rangeOf("\0", toTheEnd, { revision: 21 }));
  store.onWork = () => worked++;
  job.step(5);
  cursor.measure(5);
  store.compact(30);
  expect(store.stepCompaction(100)).toBe("idle");
  expect(store.pendingCompactions).toBe(1);
  while (!job.step(5));
  expect(job.result.hash).toBe(before);
  expect(store.stepCompaction(100)).toBe("idle");
  while (!cursor.measure(5));
  expect(worked).toBe(3); // ordered, hash done, cursor measured
  runCompactions(store);
  expect(store.pendingCompactions).toBe(0);
  // The cursor reads on from its pinned view.
  expect(cursor.pairCount).toBe(20);
  expect(cursor.next(1_000_000)!.length).toBe(cursor.bytes);
  cursor.close();
});

test("only the last ten compaction hashes are remembered", () => {
  const store = Store.open(new MemoryBackend());
  for (let round = 0; round < 12; round++) {
    store.applyPut(putOf("foo", `${round}`));
    store.compact(store.currentRevision);
    runCompactions(store);
  }
  expect(store.compactionHashes.map(({ revision, compactRevision }) => [revision, compactRevision])).toEqual(
    Array.from({ length: 10 }, (_, at) => [at + 4, at + 3]),
  );
  expect(store.hashKv(13).result).toEqual(store.compactionHashes[9]);
});

test("changes of one transaction come in execution order with the bytes of their events", () => {
  const store = Store.open(new MemoryBackend());
  const seen: string[] = [];
  const line = ({ kind, key: changed, kv, main, sub, isCreate }: Change): string => {
    const pair = new PairReader().read(kv);
    return `${kind} ${text(changed)} ${main}.${sub}${isCreate ? " create" : ""} mod ${pair.modRevision} value ${text(pair.value)}`;
  };
  store.onCommit = (main, changes) => seen.push(`${main}:`, ...changes.map(line));
  store.applyPut(putOf("a", "1"));
  store.applyTxn(txnOf([putOp("a", "2"), deleteOp("a", toTheEnd), putOp("b", "3")]), true);
  store.applyDeleteRange({ key: bytes("none"), rangeEnd: bytes(""), prevKv: false });
  const expected = [
    "put a 2.0 create mod 2 value 1",
    "put a 3.0 mod 3 value 2",
    "delete a 3.1 mod 3 value ",
    "put b 3.2 create mod 3 value 3",
  ];
  expect(seen).toEqual(["2:", expected[0], "3:", ...expected.slice(1)]);

  const history: string[] = [];
  let from: Revision | undefined = { main: 2, sub: 0 };
  while (from !== undefined) from = store.eventsSince(from, 4, 1, (change) => history.push(line(change)) > 0);
  expect(history).toEqual(expected);
  expect(store.eventsSince({ main: 2, sub: 0 }, 4, 10, () => false)).toEqual({ main: 3, sub: 0 });
});

test("without a waiting client top-level ranges are dropped before the checks; with one they fail the answer and not the writes", () => {
  const open = (): Store => {
    const store = Store.open(new MemoryBackend());
    for (let round = 0; round < 3; round++) store.applyPut(putOf("foo", `${round}`));
    store.compact(4);
    runCompactions(store);
    return store;
  };
  const request = txnOf([rangeOp("foo", "", { revision: 2 }), putOp("x", "y")]);
  const proposer = open();
  const other = open();
  expect(reasonOf(() => proposer.checkTxn(request))).toBe("compacted");
  expect(proposer.currentRevision).toBe(4);
  expect(reasonOf(() => proposer.applyTxn(request, true))).toBe("compacted");
  expect(other.applyTxn(request, false).revision).toBe(5);
  expect(proposer.currentRevision).toBe(5);
  expect(hashOf(proposer, 0)).toBe(hashOf(other, 0));

  const nested = txnOf([{ kind: "txn", txn: request }, putOp("z", "y")]);
  for (const store of [proposer, other])
    expect(reasonOf(() => store.applyTxn(nested, store === proposer))).toBe("compacted");
  expect(proposer.currentRevision).toBe(5);
});

test("a put with ignore_value of a key that the transaction itself deleted does nothing and fails the answer", () => {
  const store = Store.open(new MemoryBackend());
  store.applyPut(putOf("foo", "1"));
  const request = txnOf([deleteOp("\0", toTheEnd), putOp("foo", "", { ignoreValue: true }), putOp("bar", "2")]);
  expect(reasonOf(() => store.applyTxn(request, true))).toBe("keyNotFound");
  expect(show(store, rangeOf("\0", toTheEnd))).toEqual(["bar=2@3/3/1"]);
});

test("a big range gives up at its byte limit, and a cursor reads it in bounded chunks of exactly the announced size", () => {
  const backend = new MemoryBackend();
  const store = Store.open(backend);
  for (let number = 0; number < 200; number++) store.applyPut(putOf(`key${number}`, "v".repeat(number)));
  const request = rangeOf("key", "kez");
  expect(store.rangeWithin(request, 1000)).toBeUndefined();
  expect(store.rangeWithin(request, 1_000_000)?.response.kvs.length).toBe(200);
  const cursor = store.rangeCursor(request);
  while (!cursor.measure(7)) store.applyPut(putOf(`other${store.currentRevision}`, "while measuring"));
  store.applyDeleteRange({ key: bytes("key"), rangeEnd: bytes("kez"), prevKv: false });
  let size = 0;
  for (let chunk = cursor.next(512); chunk !== undefined; chunk = cursor.next(512)) {
    expect(chunk.length).toBeLessThanOrEqual(512);
    size += chunk.length;
  }
  expect(cursor.count).toBe(200);
  expect(size).toBe(cursor.bytes);
  cursor.close();
  cursor.close();
  expect(backend.openViews).toBe(0);
});

test("a range of very many keys is left to a cursor without collecting them, unless its limit is small", () => {
  const store = Store.open(new MemoryBackend());
  for (let number = 0; number < 4001; number++) store.applyPut(putOf(`key${number}`, ""));
  const request = rangeOf("key", "kez");
  expect(store.rangeWithin(request, 1e9)).toBeUndefined();
  const limited = store.rangeWithin({ ...request, limit: 10 }, 1e9);
  expect([limited?.response.kvs.length, limited?.response.count, limited?.response.more]).toEqual([10, 4001, true]);
  expect(store.rangeWithin({ ...request, countOnly: true }, 1e9)?.response.count).toBe(4001);
});

test("leases follow their keys through puts, deletes, revocation and reopening", () => {
  const backend = new MemoryBackend();
  const options = { minTtlSeconds: 2, persistCheckpoints: false };
  const lessor = Lessor.open(backend, options);
  const store = Store.open(backend, lessor);
  const keysOf = (of: Lessor, id: bigint): string[] => of.keysOf(id).map(text);
  lessor.grant(1n, 10, 0);
  lessor.grant(2n, 10, 0);
  expect(reasonOf(() => store.applyPut(putOf("x", "", { lease: 9n })))).toBe("leaseNotFound");
  store.applyPut(putOf("b", "1", { lease: 1n }));
  store.applyPut(putOf("a", "1", { lease: 1n }));
  store.applyPut(putOf("c", "1", { lease: 2n }));
  store.applyPut(putOf("c", "2", { lease: 1n }));
  store.applyPut(putOf("d", "1", { lease: 2n }));
  store.applyPut(putOf("d", "", { ignoreLease: true }));
  store.applyPut(putOf("a", "2"));
  expect([keysOf(lessor, 1n), keysOf(lessor, 2n)]).toEqual([["b", "c"], ["d"]]);

  const reopened = Lessor.open(backend, options);
  Store.open(backend, reopened);
  expect([keysOf(reopened, 1n), keysOf(reopened, 2n)]).toEqual([["b", "c"], ["d"]]);

  const changes: string[] = [];
  store.onCommit = (main, all) =>
    changes.push(...all.map((change) => `${main}.${change.sub} ${change.kind} ${text(change.key)}`));
  lessor.revoke(1n);
  expect(changes).toEqual(["9.0 delete b", "9.1 delete c"]);
  expect(lessor.lookup(1n)).toBeUndefined();
  store.applyDeleteRange({ key: bytes("d"), rangeEnd: bytes(""), prevKv: false });
  expect(keysOf(lessor, 2n)).toEqual([]);
  lessor.revoke(2n);
  expect(store.currentRevision).toBe(10); // nothing was attached: no revision
});

test("a row without a pair, as a restore with a bumped revision writes, is read and never shown", () => {
  const backend = new MemoryBackend();
  backend.putRow(2, 0, false, new Uint8Array([0x0a, 1, 0x61, 0x10, 2, 0x18, 2, 0x20, 1]));
  backend.putRow(1000, 0, false, new Uint8Array(0));
  const store = Store.open(backend);
  expect(store.currentRevision).toBe(1000);
  expect(show(store, rangeOf("\0", toTheEnd))).toEqual(["a=@2/2/1"]);
});

test("counters count operations as etcd's metrics do", () => {
  const store = Store.open(new MemoryBackend());
  let compacted = 0;
  store.onCompacted = (revision) => (compacted = revision);
  store.applyPut(putOf("a", "12"));
  store.applyPut(putOf("a", "3", { prevKv: true }));
  store.applyTxn(txnOf([putOp("b", "4"), deleteOp("a"), rangeOp("b")]), true);
  store.range(rangeOf("a"));
  store.compact(4);
  runCompactions(store);
  const { ranges, puts, deletes, txns, putBytes, compactedRows } = store.counters;
  expect({ ranges, puts, deletes, txns, putBytes, compactedRows }).toEqual({
    ranges: 3,
    puts: 3,
    deletes: 1,
    txns: 2,
    putBytes: 7,
    compactedRows: 2,
  });
  expect(compacted).toBe(4);
});

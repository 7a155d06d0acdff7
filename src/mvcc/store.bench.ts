/**
 * Speed and memory of the store, bundled or compiled: `node --expose-gc store.bench.js [keys] [directory]`. Rows lie in a
 * plain array, so that the store's own cost shows, unless a directory for a real database is given.
 *
 * Prints nanoseconds per operation (median of rounds) and the index's bytes per key with the time of a full collection.
 */
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { createNodePlatform, createStderrLogger } from "../platform/node/index.ts";
import { Backend } from "../storage/backend/backend.ts";
import type { Bucket, PairVisitor, PinnedView, RowPosition, RowVisitor } from "../storage/backend/bucket.ts";
import type { PutRequest, RangeRequest, TxnRequest } from "../wire/hot/types.ts";
import type { RowStore } from "./row-store.ts";
import { Store } from "./store.ts";
import { PairReader } from "./stored-pair.ts";

/** Rows in an array indexed by main revision: what is left is the store's own cost. One row a revision. */
class ArrayRows implements RowStore {
  readonly #rows: Uint8Array[] = [];
  readonly #meta = new Map<string, Uint8Array>();

  putRow(main: number, _sub: number, _tombstone: boolean, value: Uint8Array): void {
    this.#rows[main] = value;
  }
  deleteRow(): void {
    throw new Error("not part of the measurement");
  }
  getRow(main: number): Uint8Array | undefined {
    return this.#rows[main];
  }
  scanRows(from: RowPosition, to: RowPosition | undefined, visit: RowVisitor): void {
    const end = Math.min(to?.main ?? Infinity, this.#rows.length);
    for (let main = Math.max(from.main, 2); main < end; main++) if (!visit(main, 0, false, this.#rows[main])) return;
  }
  lastRow(): RowPosition | undefined {
    return { main: this.#rows.length - 1, sub: 0 };
  }
  put(_bucket: Bucket, key: Uint8Array, value: Uint8Array): void {
    this.#meta.set(Buffer.from(key).toString("latin1"), value);
  }
  delete(): void {
    throw new Error("not part of the measurement");
  }
  get(_bucket: Bucket, key: Uint8Array): Uint8Array | undefined {
    return this.#meta.get(Buffer.from(key).toString("latin1"));
  }
  range(_bucket: Bucket, _start: Uint8Array, _end: Uint8Array | undefined, _limit: number, _visit: PairVisitor): void {
    throw new Error("not part of the measurement");
  }
  commit(): Promise<void> {
    return Promise.resolve();
  }
  pin(): PinnedView {
    throw new Error("not part of the measurement");
  }
}

const empty = new Uint8Array(0);
const value = new Uint8Array(256).fill(0x76);
let state = 12345;

function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 0x1_0000_0000) * below);
}

/** 55 bytes, as Kubernetes' pod keys. */
function keyOf(number: number): Uint8Array {
  const mixed = (Math.imul(number, 0x9e37_79b1) >>> 0).toString(16).padStart(8, "0");
  return new Uint8Array(
    Buffer.from(`/registry/pods/namespace-${mixed.slice(0, 2)}/some-pod-name-${mixed}`.padEnd(55, "x")),
  );
}

const put: PutRequest = { key: empty, value, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false };

function range(key: Uint8Array, rangeEnd: Uint8Array, limit = 0, countOnly = false): RangeRequest {
  return {
    key,
    rangeEnd,
    limit,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
}

function measure(name: string, operations: number, run: (operation: number) => void): void {
  const rounds: number[] = [];
  for (let round = 0; round < 7; round++) {
    const start = performance.now();
    for (let operation = 0; operation < operations; operation++) run(operation);
    rounds.push(((performance.now() - start) / operations) * 1e6);
  }
  rounds.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(44)} ${rounds[3].toFixed(0).padStart(9)} ns  (${rounds[0].toFixed(0)}..${rounds[6].toFixed(0)})`,
  );
}

const keyCount = Number(process.argv[2] ?? 100_000);
const keys = Array.from({ length: keyCount }, (_, number) => keyOf(number));
const directory = process.argv[3];
const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("error") });
const rows: RowStore =
  directory === undefined ? new ArrayRows() : await Backend.open(disk, clock, log, join(directory, "bench.db"));
const store = Store.open(rows);

const loadStart = performance.now();
for (const [number, key] of keys.entries()) {
  put.key = key;
  store.applyPut(put);
  if (number % 10_000 === 9999) await rows.commit();
}
const loaded = performance.now() - loadStart;
console.log(`${keyCount} keys: first put of each ${((loaded / keyCount) * 1e6).toFixed(0)} ns`);
console.log(`index: ${(store.indexBytes / keyCount).toFixed(1)} bytes a key`);

const samples = 50_000;
const targets = Array.from({ length: samples }, () => range(keys[random(keyCount)], empty));
measure("range of one key", samples, (operation) => {
  store.range(targets[operation]);
});
const lists = Array.from({ length: 200 }, () => range(keys[random(keyCount)], new Uint8Array(1), 200));
measure("list of 200 keys", lists.length, (operation) => {
  store.range(lists[operation]);
});
const all = range(new Uint8Array(1), new Uint8Array(1), 0, true);
measure("count of all keys", 200, () => {
  store.range(all);
});
measure("put on an existing key", samples, (operation) => {
  put.key = targets[operation].key;
  store.applyPut(put);
});
const updates = targets.map(({ key }): TxnRequest => {
  const [stored] = store.range(range(key, empty)).response.kvs;
  const { modRevision } = new PairReader().read(stored);
  const compare = {
    result: 0,
    target: 2,
    key,
    rangeEnd: empty,
    operand: 6 as const,
    version: 0,
    createRevision: 0,
    modRevision,
    value: empty,
    lease: 0n,
  };
  return {
    compare: [compare],
    success: [{ kind: "put", put: { ...put, key } }],
    failure: [{ kind: "range", range: range(key, empty) }],
  };
});
measure("kubernetes' update transaction", samples, (operation) => {
  const update = updates[operation];
  const { revision } = store.applyTxn(update, true);
  update.compare[0].modRevision = revision;
});
console.log(`index with histories: ${(store.indexBytes / keyCount).toFixed(1)} bytes a key`);

if (globalThis.gc !== undefined) {
  globalThis.gc();
  const before = performance.now();
  globalThis.gc();
  console.log(`full collection: ${(performance.now() - before).toFixed(1)} ms (rows held by the bench included)`);
}

const openStart = performance.now();
const again = Store.open(rows);
console.log(
  `open: ${(performance.now() - openStart).toFixed(0)} ms for ${store.currentRevision} rows, ${again.keyCount} keys`,
);

again.compact(again.currentRevision);
let longest = 0;
let slices = 0;
for (let phase = "more"; phase === "more" && slices < 2000; slices++) {
  const start = performance.now();
  try {
    phase = again.stepCompaction(1000);
  } catch {
    break; // the rows of the bench cannot be deleted: the index part is over
  }
  longest = Math.max(longest, performance.now() - start);
}
console.log(`compaction of the index: ${slices} slices of 1000, longest ${longest.toFixed(2)} ms`);
if (rows instanceof Backend) await rows.close();

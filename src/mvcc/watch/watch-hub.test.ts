import fc from "fast-check";
import { expect, test } from "vitest";
import { compareBytes, emptyBytes } from "../../base/bytes.ts";
import { EtcdError } from "../../wire/errors.ts";
import type { Change } from "../change.ts";
import { WatchHub, type WatchedStore } from "./watch-hub.ts";
import { WatchRefused, type WatchSink } from "./watch-stream.ts";
import type { Watcher, WatchOptions } from "./watcher.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const toTheEnd = new Uint8Array(1);

/** History in an array: the slow, obvious twin of the store. */
class ModelStore implements WatchedStore {
  currentRevision = 1;
  compactRevision = -1;
  readonly changes: Change[] = [];
  hub: WatchHub | undefined;

  write(...keys: string[]): void {
    const main = this.currentRevision + 1;
    const made = keys.map((text, sub): Change => {
      const isDelete = text.startsWith("-");
      const key = bytes(isDelete ? text.slice(1) : text);
      return {
        kind: isDelete ? "delete" : "put",
        key,
        kv: bytes(`${text}@${main}.${sub}`),
        main,
        sub,
        isCreate: false,
      };
    });
    this.changes.push(...made);
    this.currentRevision = main;
    this.hub?.onCommit(main, made);
  }

  eventsSince: WatchedStore["eventsSince"] = (from, end, maxRows, visit) => {
    if (from.main < this.compactRevision) throw new EtcdError("compacted");
    let looked = 0;
    for (const change of this.changes) {
      if (change.main < from.main || (change.main === from.main && change.sub < from.sub)) continue;
      if (change.main >= end) return undefined;
      if (looked === maxRows) return { main: change.main, sub: change.sub };
      looked++;
      visit(change);
    }
    return undefined;
  };

  keyValueAt(key: Uint8Array, revision: number): Uint8Array | undefined {
    const found = this.changes.findLast((change) => change.main <= revision && compareBytes(change.key, key) === 0);
    return found?.kind === "put" ? found.kv : undefined;
  }
}

class RecordingSink implements WatchSink {
  hasRoom = true;
  readonly seen = new Map<bigint, string[]>();
  readonly revisions = new Map<bigint, number[]>();
  readonly compactions = new Map<bigint, number>();

  deliver(watcher: Watcher, revision: number, events: readonly Uint8Array[]): void {
    expect(events.length).toBeGreaterThan(0);
    const seen = this.seen.get(watcher.id) ?? [];
    seen.push(...events.map((event) => /[-a-z]+@\d+\.\d+/.exec(Buffer.from(event).toString("latin1"))![0]));
    this.seen.set(watcher.id, seen);
    this.revisions.set(watcher.id, [...(this.revisions.get(watcher.id) ?? []), revision]);
  }

  compacted(watcher: Watcher, compactRevision: number): void {
    this.compactions.set(watcher.id, compactRevision);
  }
}

function options(key: string, changes: Partial<WatchOptions> = {}): WatchOptions {
  return {
    key: bytes(key),
    rangeEnd: emptyBytes,
    startRevision: 0,
    prevKv: false,
    noPut: false,
    noDelete: false,
    ...changes,
  };
}

function setUp(): { store: ModelStore; hub: WatchHub; sink: RecordingSink; drain: () => void } {
  const store = new ModelStore();
  const hub = new WatchHub(store);
  store.hub = hub;
  const drain = (): void => {
    while (hub.step());
  };
  return { store, hub, sink: new RecordingSink(), drain };
}

test("a watcher sees what happens after it, and nothing else", () => {
  const { store, hub, sink } = setUp();
  store.write("a");
  hub.openStream(sink).watch(0n, options("a"));
  store.write("b");
  store.write("a");
  store.write("-a");
  expect(sink.seen.get(0n)).toEqual(["a@4.0", "-a@5.0"]);
});

test("a watcher with a start revision gets history first, then the present, each event once", () => {
  const { store, hub, sink, drain } = setUp();
  store.write("a");
  store.write("a", "b");
  const stream = hub.openStream(sink);
  stream.watch(0n, options("a", { rangeEnd: toTheEnd, startRevision: 2 }));
  expect(stream.progress()).toBeUndefined();
  drain();
  expect(stream.progress()).toBe(3);
  store.write("c");
  expect(sink.seen.get(0n)).toEqual(["a@2.0", "a@3.0", "b@3.1", "c@4.0"]);
});

test("a start revision in the future waits", () => {
  const { store, hub, sink, drain } = setUp();
  const stream = hub.openStream(sink);
  stream.watch(0n, options("a", { startRevision: 4 }));
  drain();
  store.write("a");
  store.write("a");
  expect(stream.progress()).toBeUndefined();
  store.write("a");
  expect(sink.seen.get(0n)).toEqual(["a@4.0"]);
  expect(stream.progress()).toBe(4);
});

test("filters drop events, and a batch that becomes empty is not sent", () => {
  const { store, hub, sink } = setUp();
  const stream = hub.openStream(sink);
  stream.watch(0n, options("a", { noPut: true }));
  stream.watch(0n, options("a", { noDelete: true }));
  store.write("a");
  store.write("-a");
  expect(sink.seen.get(0n)).toEqual(["-a@3.0"]);
  expect(sink.seen.get(1n)).toEqual(["a@2.0"]);
});

test("a start before the compaction ends the watch with the compact revision", () => {
  const { store, hub, sink, drain } = setUp();
  for (let count = 0; count < 5; count++) store.write("a");
  store.compactRevision = 4;
  const stream = hub.openStream(sink);
  stream.watch(7n, options("a", { startRevision: 3 }));
  stream.watch(8n, options("a", { startRevision: 4 }));
  drain();
  expect(sink.compactions).toEqual(new Map([[7n, 4]]));
  // As in etcd its id is not free before the client cancels it.
  expect(() => stream.watch(7n, options("a"))).toThrow("duplicate watch ID");
  expect(stream.progress()).toBeUndefined();
  expect(stream.cancel(7n)).toBe(true);
  expect(stream.progress()).toBe(store.currentRevision);
  expect(sink.seen.get(8n)).toEqual(["a@4.0", "a@5.0", "a@6.0"]);
});

test("a stream without room falls back to history and misses nothing", () => {
  const { store, hub, sink, drain } = setUp();
  const stream = hub.openStream(sink);
  stream.watch(0n, options("a"));
  sink.hasRoom = false;
  store.write("a");
  store.write("a");
  drain();
  expect(sink.seen.size).toBe(0);
  expect(hub.slowWatcherCount).toBe(1);
  sink.hasRoom = true;
  stream.resume();
  drain();
  store.write("a");
  expect(sink.seen.get(0n)).toEqual(["a@2.0", "a@3.0", "a@4.0"]);
  expect(hub.slowWatcherCount).toBe(0);
});

test("the events of one revision stay together even when a slice of history ends inside it", () => {
  const { store, hub, sink, drain } = setUp();
  store.write("a");
  store.write(...Array.from({ length: 2500 }, () => "a"));
  store.write("a");
  const deliveries: number[] = [];
  const deliver = sink.deliver.bind(sink);
  sink.deliver = (watcher, revision, events) => {
    deliveries.push(events.length);
    deliver(watcher, revision, events);
  };
  hub.openStream(sink).watch(0n, options("a", { startRevision: 1 }));
  drain();
  expect(sink.seen.get(0n)!.length).toBe(2502);
  expect(new Set(sink.seen.get(0n)).size).toBe(2502);
  expect(deliveries.some((count) => count >= 2500)).toBe(true);
});

test("ids are picked from 0 upward, may be given, and must be free", () => {
  const { hub, sink } = setUp();
  const stream = hub.openStream(sink);
  expect(stream.watch(1n, options("a")).id).toBe(1n);
  expect(stream.watch(0n, options("a")).id).toBe(0n);
  expect(stream.watch(0n, options("a")).id).toBe(2n);
  expect(() => stream.watch(1n, options("a"))).toThrow("mvcc: duplicate watch ID provided on the WatchStream");
  expect(stream.cancel(1n)).toBe(true);
  expect(stream.cancel(1n)).toBe(false);
});

test("an empty range and a negative start are refused", () => {
  const { hub, sink } = setUp();
  const stream = hub.openStream(sink);
  expect(() => stream.watch(0n, options("b", { rangeEnd: bytes("a") }))).toThrow("mvcc: watcher range is empty");
  expect(() => stream.watch(0n, options("b", { startRevision: -1 }))).toThrow(WatchRefused);
  expect(hub.watcherCount).toBe(0);
});

const keyText = fc.constantFrom("a", "b", "c", "d", "e");
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      keys: fc.array(
        fc.oneof(
          keyText,
          keyText.map((k) => `-${k}`),
        ),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("watch" as const),
      key: keyText,
      end: fc.constantFrom("", "\0", "c", "f"),
      start: fc.integer({ min: 0, max: 30 }),
      noPut: fc.boolean(),
      prevKv: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("room" as const), has: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant({ do: "step" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const), id: fc.bigInt(0n, 10n) }) },
);

test("whatever the order of writes, watches and pauses, every watcher sees exactly its events, in order", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { store, hub, sink, drain } = setUp();
      const stream = hub.openStream(sink);
      const watches = new Map<bigint, { options: WatchOptions; from: number }>();
      for (const one of steps) {
        if (one.do === "write") store.write(...one.keys);
        else if (one.do === "room") {
          sink.hasRoom = one.has;
          stream.resume();
        } else if (one.do === "step") hub.step();
        else if (one.do === "cancel") {
          if (stream.cancel(one.id)) watches.delete(one.id);
        } else if (one.end === "" || one.end === "\0" || one.key < one.end) {
          const wanted = options(one.key, {
            rangeEnd: bytes(one.end),
            startRevision: one.start,
            noPut: one.noPut,
            prevKv: one.prevKv,
          });
          watches.set(stream.watch(0n, wanted).id, { options: wanted, from: one.start || store.currentRevision + 1 });
        }
      }
      sink.hasRoom = true;
      drain();
      for (const [id, watch] of watches) {
        const expected = store.changes.filter((change) => change.main >= watch.from && isWanted(change, watch.options));
        expect(sink.seen.get(id) ?? []).toEqual(expected.map((change) => Buffer.from(change.kv).toString("latin1")));
      }
      stream.close();
      expect([hub.watcherCount, hub.streamCount]).toEqual([0, 0]);
    }),
  );
});

function isWanted(change: Change, { key, rangeEnd, noPut }: WatchOptions): boolean {
  if (noPut && change.kind === "put") return false;
  const order = compareBytes(change.key, key);
  if (rangeEnd.length === 0) return order === 0;
  return order >= 0 && (compareBytes(rangeEnd, toTheEnd) === 0 || compareBytes(change.key, rangeEnd) < 0);
}

test("after the store was replaced by a newer one, watchers get what happened in between, and nothing twice", () => {
  const store = new ModelStore();
  const hub = new WatchHub(store);
  store.hub = hub;
  const sink = new RecordingSink();
  const stream = hub.openStream(sink);
  const options = { rangeEnd: toTheEnd, prevKv: false, noPut: false, noDelete: false };
  const live = stream.watch(0n, { ...options, key: bytes("a"), startRevision: 0 });
  const later = stream.watch(0n, { ...options, key: bytes("a"), startRevision: 5 });
  store.write("a");
  store.write("b");
  // What a snapshot brings: changes that the hub is not told of.
  const before = store.currentRevision;
  store.hub = undefined;
  for (const key of ["c", "d", "e"]) store.write(key);
  store.hub = hub;
  hub.resync(before);
  while (hub.step());
  store.write("f");
  expect(sink.seen.get(live.id)).toEqual(["a@2.0", "b@3.0", "c@4.0", "d@5.0", "e@6.0", "f@7.0"]);
  expect(sink.seen.get(later.id)).toEqual(["d@5.0", "e@6.0", "f@7.0"]);
});

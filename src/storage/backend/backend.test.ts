import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { removeDirectory, temporaryDirectory } from "../../../test/support/fixture.ts";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";
import { checkDatabase } from "../bbolt/check.ts";
import { BoltDb } from "../bbolt/db.ts";
import { Backend, type BackendOptions } from "./backend.ts";
import { type BackendReader, buckets, type PinnedView } from "./bucket.ts";
import { hashIgnores, readConsistentIndex, readTerm, writeConsistentIndex } from "./schema.ts";

const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("fatal") });
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));
const text = (view: Uint8Array): string => Buffer.from(view).toString("latin1");

let directory: string;
const open: Backend[] = [];
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(async () => {
  for (const backend of open.splice(0)) await backend.close();
  removeDirectory(directory);
});

/** Commits only when told: the interval is longer than any test. */
async function openBackend(options: BackendOptions = {}, name = "db"): Promise<Backend> {
  const backend = await Backend.open(disk, clock, log, join(directory, name), {
    batchIntervalMs: 3_600_000,
    ...options,
  });
  open.push(backend);
  return backend;
}

function rowsOf(reader: BackendReader, from = { main: 0, sub: 0 }, to?: { main: number; sub: number }): string[] {
  const rows: string[] = [];
  reader.scanRows(from, to, (main, sub, tombstone, value) => {
    rows.push(`${main}.${sub}${tombstone ? "t" : ""}=${text(value)}`);
    return true;
  });
  return rows;
}

function leasesOf(reader: BackendReader): string[] {
  const pairs: string[] = [];
  reader.range(buckets.lease, bytes(""), undefined, 0, (key, value) => {
    pairs.push(`${text(key)}=${text(value)}`);
    return true;
  });
  return pairs;
}

function checkFile(name = "db"): string[] {
  const db = BoltDb.open(disk, join(directory, name), { readOnly: true });
  const faults = checkDatabase(db);
  db.close();
  return faults;
}

test("writes are seen at once, and after the commit, and after reopening", async () => {
  let backend = await openBackend();
  backend.putRow(2, 0, false, bytes("two"));
  backend.putRow(3, 0, true, bytes("three"));
  backend.put(buckets.lease, bytes("l1"), bytes("x"));
  const check = (): void => {
    expect(text(backend.getRow(2, 0) ?? bytes("?"))).toBe("two");
    expect(backend.getRow(2, 0, true)).toBeUndefined();
    expect(text(backend.getRow(3, 0) ?? bytes("?"))).toBe("three");
    expect(text(backend.getRow(3, 0, true) ?? bytes("?"))).toBe("three");
    expect(backend.getRow(4, 0)).toBeUndefined();
    expect(rowsOf(backend)).toEqual(["2.0=two", "3.0t=three"]);
    expect(rowsOf(backend, { main: 3, sub: 0 })).toEqual(["3.0t=three"]);
    expect(rowsOf(backend, { main: 2, sub: 0 }, { main: 3, sub: 0 })).toEqual(["2.0=two"]);
    expect(backend.lastRow()).toEqual({ main: 3, sub: 0 });
    expect(leasesOf(backend)).toEqual(["l1=x"]);
  };
  check();
  const durable = backend.commit();
  check();
  await durable;
  check();
  await backend.close();
  backend = await openBackend();
  check();
  expect(checkFile()).toEqual([]);
});

test("the pre-commit hook writes into the batch that it closes", async () => {
  let backend = await openBackend();
  let applied = 0;
  backend.setPreCommitHook(() => writeConsistentIndex(backend, applied, 3));
  for (let index = 1; index <= 50; index++) {
    applied = index;
    backend.putRow(index + 1, 0, false, bytes(`v${index}`));
    if (index % 10 === 0) await backend.commit();
  }
  applied = 51;
  await backend.close();
  backend = await openBackend();
  expect(readConsistentIndex(backend)).toBe(51);
  expect(readTerm(backend)).toBe(3);
  expect(rowsOf(backend)).toHaveLength(50);
});

test("reaching the batch limit commits in a later turn, not inside the write", async () => {
  const backend = await openBackend({ batchLimit: 10 });
  let hooks = 0;
  backend.setPreCommitHook(() => hooks++);
  for (let main = 2; main < 40; main++) backend.putRow(main, 0, false, bytes("x"));
  expect(hooks).toBe(0);
  while (backend.bufferedBytes > 0) await new Promise<void>((resolve) => clock.nextTurn(resolve));
  expect(hooks).toBe(1);
  expect(backend.commits).toBe(1);
  expect(rowsOf(backend)).toHaveLength(38);
});

test("a backend that buffers too much says so until the disk has caught up", async () => {
  const backend = await openBackend({ bufferBytesMax: 10_000 });
  expect(backend.overloaded).toBe(false);
  for (let main = 2; main < 42; main++) backend.putRow(main, 0, false, new Uint8Array(300));
  expect(backend.overloaded).toBe(true);
  const drained = backend.drained();
  await backend.commit();
  await drained;
  expect(backend.overloaded).toBe(false);
});

test("a pinned view keeps its state through writes, deletes, commits and a defragmentation", async () => {
  const backend = await openBackend();
  for (let main = 2; main < 200; main++) backend.putRow(main, 0, false, bytes(`v${main}`));
  backend.put(buckets.lease, bytes("a"), bytes("1"));
  await backend.commit();
  backend.putRow(200, 0, false, bytes("v200"));
  backend.put(buckets.lease, bytes("b"), bytes("2"));
  const view = backend.pin();
  const before = rowsOf(backend);
  const check = (pinned: PinnedView): void => {
    expect(rowsOf(pinned)).toEqual(before);
    expect(leasesOf(pinned)).toEqual(["a=1", "b=2"]);
    expect(pinned.lastRow()).toEqual({ main: 200, sub: 0 });
  };
  backend.putRow(201, 0, false, bytes("v201"));
  for (let main = 2; main < 150; main++) backend.deleteRow(main, 0, false);
  backend.deleteRow(200, 0, false);
  backend.delete(buckets.lease, bytes("a"));
  backend.put(buckets.lease, bytes("b"), bytes("3"));
  check(view);
  expect(rowsOf(backend)).toHaveLength(51);
  expect(backend.openReaders).toBe(1);
  await backend.commit();
  for (let main = 202; main < 1000; main++) {
    backend.putRow(main, 0, false, bytes(`v${main}`));
    if (main % 100 === 0) await backend.commit();
  }
  check(view);
  await backend.defragment();
  check(view);
  view.release();
  view.release();
  expect(backend.openReaders).toBe(0);
  expect(leasesOf(backend)).toEqual(["b=3"]);
  await backend.close();
  expect(checkFile()).toEqual([]);
});

test("a defragmentation makes the file dense, keeps every pair and takes writes meanwhile", async () => {
  let backend = await openBackend();
  for (let main = 2; main < 5000; main++) backend.putRow(main, 0, false, bytes(`value-${main}`.repeat(20)));
  backend.put(buckets.lease, bytes("l"), bytes("x"));
  await backend.commit();
  for (let main = 2; main < 4500; main++) backend.deleteRow(main, 0, false);
  await backend.commit();
  const { size } = backend;
  const running = backend.defragment();
  backend.putRow(5000, 0, false, bytes("meanwhile"));
  backend.deleteRow(4500, 0, false);
  const durable = backend.commit();
  await running;
  await durable;
  expect(backend.size).toBeLessThan(size / 4);
  expect(backend.getRow(4500, 0)).toBeUndefined();
  expect(text(backend.getRow(5000, 0) ?? bytes("?"))).toBe("meanwhile");
  const rows = rowsOf(backend);
  expect(rows).toHaveLength(500);
  await backend.close();
  expect(disk.list(directory)).toEqual(["db"]);
  expect(checkFile()).toEqual([]);
  backend = await openBackend();
  expect(rowsOf(backend)).toEqual(rows);
});

test("a snapshot is a sound database of that moment, whatever is written while it is read", async () => {
  const backend = await openBackend();
  for (let main = 2; main < 2000; main++) backend.putRow(main, 0, false, bytes(`value-${main}`.repeat(10)));
  const image = await backend.snapshot();
  const before = rowsOf(backend);
  const copy = new Uint8Array(image.size);
  const piece = new Uint8Array(10_000);
  for (let position = 0; position < image.size;) {
    const count = await image.read(piece, position);
    copy.set(piece.subarray(0, count), position);
    position += count;
    for (let main = 2; main < 10; main++) backend.deleteRow(main + position, 0, false);
    backend.putRow(10_000 + position, 0, false, bytes("later"));
    await backend.commit();
  }
  expect(await image.read(piece, image.size)).toBe(0);
  image.close();
  image.close();
  expect(backend.openReaders).toBe(0);
  writeFileSync(join(directory, "copy"), copy);
  expect(statSync(join(directory, "copy")).size % 4096).toBe(0);
  expect(checkFile("copy")).toEqual([]);
  const restored = await openBackend({}, "copy");
  expect(rowsOf(restored)).toEqual(before);
});

test("the hash covers everything except what it is told to ignore", async () => {
  const one = await openBackend({}, "one");
  const two = await openBackend({}, "two");
  for (const backend of [one, two]) backend.putRow(2, 0, false, bytes("v"));
  writeConsistentIndex(one, 7, 2);
  writeConsistentIndex(two, 9, 2);
  expect(await one.hash(hashIgnores)).toBe(await two.hash(hashIgnores));
  expect(await one.hash(() => false)).not.toBe(await two.hash(() => false));
  two.put(buckets.lease, bytes("l"), bytes(""));
  expect(await one.hash(hashIgnores)).not.toBe(await two.hash(hashIgnores));
});

test("opening waits while another holds the file, and gets it when it is closed", async () => {
  const first = await openBackend();
  let opened = false;
  const second = openBackend().then((backend) => {
    opened = true;
    return backend;
  });
  first.putRow(2, 0, false, bytes("v"));
  await first.commit();
  expect(opened).toBe(false);
  await first.close();
  expect(rowsOf(await second)).toEqual(["2.0=v"]);
});

test("a failed write is fatal: waiters get the error, and nothing more is committed", async () => {
  const failures: string[] = [];
  let broken = false;
  const failing = {
    ...bound(disk),
    open: (...parameters: Parameters<typeof disk.open>) => {
      const file = disk.open(...parameters);
      const datasync = file.datasync.bind(file);
      file.datasync = () => (broken ? Promise.reject(new Error("no space left")) : datasync());
      return file;
    },
  };
  const backend = await Backend.open(failing, clock, log, join(directory, "db"), {
    batchIntervalMs: 3_600_000,
    onFatal: (error) => failures.push(error.message),
  });
  open.push(backend);
  backend.putRow(2, 0, false, bytes("v"));
  await backend.commit();
  broken = true;
  backend.putRow(3, 0, false, bytes("lost"));
  await expect(backend.commit()).rejects.toThrow("no space left");
  await expect(backend.commit()).rejects.toThrow("no space left");
  expect(failures).toEqual(["no space left"]);
  expect(rowsOf(backend)).toEqual(["2.0=v", "3.0=lost"]);
  await backend.close();
  broken = false;
  const again = await openBackend();
  // The meta page may or may not have been written: both states are whole.
  expect(rowsOf(again)[0]).toBe("2.0=v");
});

function bound<T extends object>(target: T): T {
  return new Proxy(target, {
    get: (object, name) => {
      const value: unknown = Reflect.get(object, name);
      return typeof value === "function" ? value.bind(object) : value;
    },
    ownKeys: () => [
      "exists",
      "stat",
      "list",
      "makeDirectory",
      "rename",
      "remove",
      "syncDirectory",
      "syncDirectorySync",
    ],
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  });
}

const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant("put" as const), at: fc.nat(3), size: fc.nat(700) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("deleteRow" as const), at: fc.nat(200), size: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("putOld" as const), at: fc.nat(200), size: fc.nat(50) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("lease" as const), at: fc.nat(30), size: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("unlease" as const), at: fc.nat(30), size: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("commit" as const), at: fc.nat(1), size: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("await" as const), at: fc.nat(1), size: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pin" as const), at: fc.nat(1), size: fc.nat(1) }) },
);

interface Model {
  rows: Map<string, { main: number; sub: number; tombstone: boolean; value: string }>;
  leases: Map<string, string>;
}

function expectSame(reader: BackendReader, model: Model): void {
  const rows = [...model.rows.values()].sort(
    (a, b) => a.main - b.main || a.sub - b.sub || Number(a.tombstone) - Number(b.tombstone),
  );
  expect(rowsOf(reader)).toEqual(rows.map((row) => `${row.main}.${row.sub}${row.tombstone ? "t" : ""}=${row.value}`));
  const last = rows.at(-1);
  expect(reader.lastRow()).toEqual(last === undefined ? undefined : { main: last.main, sub: last.sub });
  for (const row of rows) expect(text(reader.getRow(row.main, row.sub, row.tombstone) ?? bytes("?"))).toBe(row.value);
  expect(leasesOf(reader)).toEqual(
    [...model.leases].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`),
  );
}

test("random writes with commits and pinned views in between agree with a map", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120 }), async (steps) => {
      const name = `db-${open.length}`;
      let backend = await openBackend({ noSync: true, pageCacheBytes: 20_000 }, name);
      const model: Model = { rows: new Map(), leases: new Map() };
      const pins: { view: PinnedView; model: Model }[] = [];
      const commits: Promise<void>[] = [];
      let main = 2;
      for (const { kind, at, size } of steps) {
        if (kind === "put") {
          main += at > 0 ? 1 : 0;
          for (
            let sub = at > 0 ? 0 : 1000 + model.rows.size;
            at > 0 ? sub < at : sub === 1000 + model.rows.size;
            sub++
          ) {
            const value = "v".repeat(size) + main;
            const tombstone = size % 5 === 0;
            backend.putRow(main, sub, tombstone, bytes(value));
            model.rows.set(`${main}.${sub}.${tombstone}`, { main, sub, tombstone, value });
            if (at === 0) break;
          }
        } else if (kind === "deleteRow") {
          for (const [id, row] of [...model.rows].slice(at, at + size)) {
            backend.deleteRow(row.main, row.sub, row.tombstone);
            model.rows.delete(id);
          }
        } else if (kind === "putOld") {
          const value = `old-${size}`;
          backend.putRow(at, 7, false, bytes(value));
          model.rows.set(`${at}.7.false`, { main: at, sub: 7, tombstone: false, value });
        } else if (kind === "lease") {
          backend.put(buckets.lease, bytes(`l${at}`), bytes("x".repeat(size)));
          model.leases.set(`l${at}`, "x".repeat(size));
        } else if (kind === "unlease") {
          backend.delete(buckets.lease, bytes(`l${at}`));
          model.leases.delete(`l${at}`);
        } else if (kind === "commit") commits.push(backend.commit());
        else if (kind === "await") await Promise.all(commits.splice(0));
        else pins.push({ view: backend.pin(), model: { rows: new Map(model.rows), leases: new Map(model.leases) } });
      }
      expectSame(backend, model);
      for (const pin of pins) expectSame(pin.view, pin.model);
      await Promise.all(commits);
      await backend.commit();
      expectSame(backend, model);
      for (const pin of pins) {
        expectSame(pin.view, pin.model);
        pin.view.release();
      }
      await backend.close();
      expect(checkFile(name)).toEqual([]);
      backend = await openBackend({}, name);
      expectSame(backend, model);
      await backend.close();
    }),
    { numRuns: 60 },
  );
});

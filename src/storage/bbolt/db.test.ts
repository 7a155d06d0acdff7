import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";
import { checkDatabase } from "./check.ts";
import { BoltDb } from "./db.ts";
import type { Bucket } from "./bucket.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "quorate-bbolt-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const { disk } = createNodePlatform({ log: createStderrLogger("fatal") });
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));
const text = (view: Uint8Array): string => Buffer.from(view).toString("latin1");

function contents(bucket: Bucket): [string, string][] {
  const pairs: [string, string][] = [];
  const cursor = bucket.cursor();
  for (let more = cursor.first(); more; more = cursor.next()) {
    if (!cursor.isBucket) pairs.push([text(cursor.key), text(cursor.value)]);
  }
  return pairs;
}

test("a new file has four pages, and grows as bbolt grows it", async () => {
  const path = join(directory, "db");
  const db = BoltDb.open(disk, path, { initialMmapSize: 10 * 2 ** 30 });
  expect(statSync(path).size).toBe(4 * 4096);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const tx = db.begin(true);
  tx.root.createBucket(bytes("meta"));
  await tx.commit();
  // The high water mark is 5 now; bbolt adds 16 MiB to one page more than that.
  expect(db.meta.highWater).toBe(5);
  expect(statSync(path).size).toBe(16801792);
  expect(checkDatabase(db)).toEqual([]);
  db.close();
});

test("buckets nest, become inline when small, and keep their sequence", async () => {
  const path = join(directory, "db");
  let db = BoltDb.open(disk, path, { storeFreelist: true });
  let tx = db.begin(true);
  const outer = tx.root.createBucket(bytes("outer"));
  outer.sequence = 7n;
  outer.put(bytes("plain"), bytes("value"));
  const inner = outer.createBucket(bytes("inner"));
  inner.put(bytes("k"), bytes("v"));
  expect(() => outer.put(bytes("inner"), bytes("x"))).toThrow("incompatible value");
  expect(() => outer.delete(bytes("inner"))).toThrow("incompatible value");
  await tx.commit();
  db.close();
  db = BoltDb.open(disk, path, { storeFreelist: true });
  expect(checkDatabase(db)).toEqual([]);
  const read = db.begin(false);
  expect(read.bucket(bytes("outer"))?.sequence).toBe(7n);
  expect(read.bucket(bytes("outer"))?.rootPage).not.toBe(0);
  const nested = read.bucket(bytes("outer"))?.bucket(bytes("inner"));
  expect(nested?.rootPage).toBe(0);
  expect(text(nested?.get(bytes("k")) ?? bytes("?"))).toBe("v");
  read.rollback();
  tx = db.begin(true);
  expect(tx.root.deleteBucket(bytes("outer"))).toBe(true);
  expect(tx.root.deleteBucket(bytes("outer"))).toBe(false);
  await tx.commit();
  expect(checkDatabase(db)).toEqual([]);
  db.close();
});

test("a reader sees its snapshot while later transactions change and reuse pages", async () => {
  const db = BoltDb.open(disk, join(directory, "db"), { pageCacheBytes: 20_000 });
  const write = async (round: number): Promise<void> => {
    const tx = db.begin(true);
    const bucket = tx.root.createBucket(bytes("b"));
    for (let index = 0; index < 500; index++) bucket.put(bytes(`key-${index}`), bytes(`value-${round}-${index}`));
    await tx.commit();
  };
  await write(0);
  const reader = db.begin(false);
  for (let round = 1; round <= 10; round++) await write(round);
  const high = db.meta.highWater;
  const bucket = reader.bucket(bytes("b"));
  for (let index = 0; index < 500; index++) {
    expect(text(bucket?.get(bytes(`key-${index}`)) ?? bytes(""))).toBe(`value-0-${index}`);
  }
  expect(checkDatabase(db)).toEqual([]);
  // Pages that were both written and freed after the reader began are reused meanwhile: the file is not ten times as big.
  expect(high).toBeLessThan(40);
  reader.rollback();
  await write(11);
  await write(12);
  expect(db.meta.highWater).toBe(high);
  db.close();
});

test("a rolled back transaction leaves no trace", async () => {
  const db = BoltDb.open(disk, join(directory, "db"));
  let tx = db.begin(true);
  tx.root.createBucket(bytes("b")).put(bytes("a"), bytes("1"));
  await tx.commit();
  tx = db.begin(true);
  const bucket = tx.root.createBucket(bytes("b"));
  for (let index = 0; index < 1000; index++) bucket.put(bytes(`k${index}`), bytes("x".repeat(100)));
  tx.rollback();
  tx.rollback();
  const read = db.begin(false);
  expect(contents(read.bucket(bytes("b"))!)).toEqual([["a", "1"]]);
  read.rollback();
  expect(checkDatabase(db)).toEqual([]);
  db.close();
});

test("one byte too many splits a leaf; appended rows fill pages to the fill percent", async () => {
  const db = BoltDb.open(disk, join(directory, "db"));
  const tx = db.begin(true);
  const bucket = tx.root.createBucket(bytes("key"));
  bucket.fillPercent = 0.9;
  const keys = Array.from({ length: 1000 }, (_, index) => bytes(String(index).padStart(17, "0")));
  const value = bytes("v".repeat(283));
  const appender = bucket.appender({
    keySize: (index) => keys[index].length,
    writeKey: (index, target, offset) => target.set(keys[index], offset),
    value: () => value,
  });
  appender.append(0, 300);
  appender.append(300, 1000);
  await tx.commit();
  expect(checkDatabase(db)).toEqual([]);
  const read = db.begin(false);
  expect(contents(read.bucket(bytes("key"))!).map(([key]) => key)).toEqual(keys.map(text));
  // A row takes 316 bytes, 11 of them are below 0.9 of a page: 91 leaves, one branch, one root.
  expect(db.meta.highWater - db.freeIds().length).toBeLessThan(100);
  read.rollback();
  db.close();
});

/** One step of a random history over two levels of buckets. */
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("put" as const), bucket: fc.nat(2), key: fc.nat(400), size: fc.nat(900) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("delete" as const),
      bucket: fc.nat(2),
      key: fc.nat(400),
      size: fc.nat(60),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      bucket: fc.nat(2),
      key: fc.nat(60),
      size: fc.nat(2500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("dropNested" as const),
      bucket: fc.nat(2),
      key: fc.nat(1),
      size: fc.nat(1),
    }),
  },
);

test("random transactions agree with a map, before and after reopening, and every file is sound", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { maxLength: 60 }), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      async (transactions, storeFreelist) => {
        const path = join(mkdtempSync(join(directory, "p-")), "db");
        const options = { storeFreelist, pageCacheBytes: 30_000, pageSize: 1024, noSync: true };
        let db = BoltDb.open(disk, path, options);
        const model = new Map<string, Map<string, string>>();
        for (const steps of transactions) {
          const tx = db.begin(true);
          for (const { kind, bucket, key, size } of steps) {
            // Bucket 2 lies inside bucket 1.
            const parent = tx.root.createBucket(bytes(`b${Math.min(bucket, 1)}`));
            if (kind === "dropNested") {
              tx.root.createBucket(bytes("b1")).deleteBucket(bytes("b2"));
              model.delete("b2");
              continue;
            }
            const target = bucket === 2 ? parent.createBucket(bytes("b2")) : parent;
            const map = model.get(`b${bucket}`) ?? new Map<string, string>();
            model.set(`b${bucket}`, map);
            if (kind === "put") {
              const name = `k${String(key).padStart(4, "0")}`;
              target.put(bytes(name), bytes(name.repeat(Math.ceil(size / 5))));
              map.set(name, name.repeat(Math.ceil(size / 5)));
            } else if (kind === "delete") {
              // A run of neighbours, so that pages empty and merge.
              for (let at = key; at < key + size; at++) {
                const name = `k${String(at).padStart(4, "0")}`;
                target.delete(bytes(name));
                map.delete(name);
              }
            } else {
              const last = [...map.keys()].sort().at(-1) ?? "k0400";
              const names = Array.from({ length: key }, (_, index) => `${last}${String(index).padStart(3, "0")}`);
              const value = "v".repeat(size);
              const appender = target.appender({
                keySize: (index) => names[index].length,
                writeKey: (index, bytesOut, offset) => bytesOut.set(bytes(names[index]), offset),
                value: () => bytes(value),
              });
              if (names.length === 0 || !target.canAppend(bytes(names[0]))) continue;
              appender.append(0, names.length >> 1);
              appender.append(names.length >> 1, names.length);
              for (const name of names) map.set(name, value);
            }
          }
          await tx.commit();
          expect(checkDatabase(db)).toEqual([]);
          if (transactions.length % 2 === 0) {
            db.close();
            db = BoltDb.open(disk, path, options);
          }
        }
        const read = db.begin(false);
        for (const [name, map] of model) {
          const bucket = name === "b2" ? read.bucket(bytes("b1"))?.bucket(bytes("b2")) : read.bucket(bytes(name));
          expect(contents(bucket!)).toEqual([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
          for (const [key, value] of map) expect(text(bucket!.get(bytes(key))!)).toBe(value);
        }
        read.rollback();
        db.close();
      },
    ),
    { numRuns: 60 },
  );
});

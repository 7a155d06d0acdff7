/** Databases that a real etcd wrote: what is in them, and how damaged ones are met. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fixtureText, removeDirectory, temporaryDirectory, unpackFixture } from "../../../test/support/fixture.ts";
import { CorruptionError } from "../../base/corruption.ts";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";
import { checkDatabase } from "../bbolt/check.ts";
import { BoltDb } from "../bbolt/db.ts";
import { Backend } from "./backend.ts";
import { allBuckets, buckets } from "./bucket.ts";
import { readConfState, readConsistentIndex, readTerm } from "./schema.ts";

interface DatabaseFacts {
  readonly page_size: number;
  readonly freelist_persisted: boolean;
  readonly buckets: Record<string, { keys: number; sha256: string }>;
  /** Absent when the bucket is empty. */
  readonly meta?: { confState?: string; consistent_index?: string; term?: string };
}

const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("fatal") });
const fixtures = join(import.meta.dirname, "../../../test/fixtures");
let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => removeDirectory(directory));

function factsOf(path: string): Record<string, { keys: number; sha256: string }> {
  const db = BoltDb.open(disk, path, { readOnly: true });
  const tx = db.begin(false);
  const facts: Record<string, { keys: number; sha256: string }> = {};
  const names = tx.cursor();
  for (let more = names.first(); more; more = names.next()) {
    const hash = createHash("sha256");
    const length = Buffer.alloc(4);
    const add = (bytes: Uint8Array): void => {
      length.writeUInt32BE(bytes.length);
      hash.update(length).update(bytes);
    };
    const cursor = tx.bucket(names.key)!.cursor();
    let keys = 0;
    for (let row = cursor.first(); row; row = cursor.next()) {
      add(cursor.key);
      add(cursor.value);
      keys++;
    }
    facts[Buffer.from(names.key).toString()] = { keys, sha256: hash.digest("hex") };
  }
  tx.rollback();
  db.close();
  return facts;
}

/** Opens, changes, defragments and checks: a foreign file must also bear being written to. */
async function expectWritable(path: string): Promise<void> {
  const backend = await Backend.open(disk, clock, log, path, { batchIntervalMs: 3_600_000 });
  const last = backend.lastRow()?.main ?? 1;
  const rows: { main: number; sub: number; tombstone: boolean }[] = [];
  backend.scanRows({ main: 0, sub: 0 }, undefined, (main, sub, tombstone) => {
    rows.push({ main, sub, tombstone });
    return true;
  });
  for (const [index, row] of rows.entries()) {
    if (index % 3 !== 0) backend.deleteRow(row.main, row.sub, row.tombstone);
  }
  for (let main = last + 1; main < last + 500; main++) backend.putRow(main, 0, false, new Uint8Array(200));
  await backend.commit();
  await backend.defragment();
  let count = 0;
  backend.scanRows({ main: 0, sub: 0 }, undefined, () => ++count > 0);
  expect(count).toBe(Math.ceil(rows.length / 3) + 499);
  await backend.close();
  const db = BoltDb.open(disk, path, { readOnly: true });
  expect(checkDatabase(db)).toEqual([]);
  db.close();
}

const damaged = ["db-both-metas-bad", "db-missing-full-wal"];
const dataDirs = readdirSync(join(fixtures, "data-dirs")).filter(
  (name) => existsSync(join(fixtures, "data-dirs", name, "data.tar.gz")) && !damaged.includes(name),
);

test.each(dataDirs)("data dir %s: every bucket holds what etcd wrote, and takes more", async (name) => {
  unpackFixture(`data-dirs/${name}/data.tar.gz`, directory);
  const path = join(directory, "data/member/snap/db");
  const facts = (JSON.parse(fixtureText(`data-dirs/${name}/expected.json`)) as { offline: { db: DatabaseFacts } })
    .offline.db;
  expect(factsOf(path)).toEqual(facts.buckets);
  const db = BoltDb.open(disk, path, { readOnly: true });
  expect(db.meta.pageSize).toBe(facts.page_size);
  expect(db.meta.freelist !== undefined).toBe(facts.freelist_persisted);
  expect(checkDatabase(db)).toEqual([]);
  db.close();
  const backend = await Backend.open(disk, clock, log, path, { readOnly: true });
  expect(String(readConsistentIndex(backend))).toBe(facts.meta?.consistent_index ?? "0");
  expect(String(readTerm(backend))).toBe(facts.meta?.term ?? "0");
  expect(readConfState(backend) !== undefined).toBe(facts.meta?.confState !== undefined);
  for (const bucket of allBuckets) {
    if (bucket === buckets.key) continue;
    let keys = 0;
    backend.range(bucket, new Uint8Array(0), undefined, 0, () => ++keys > 0);
    expect(keys).toBe(facts.buckets[bucket.name].keys);
  }
  await backend.close();
  await expectWritable(path);
});

test.each(readdirSync(join(fixtures, "snapshots")))(
  "snapshot %s: its buckets, its status hash, and room for more",
  async (name) => {
    const path = join(directory, "db");
    writeFileSync(path, gunzipSync(readFileSync(join(fixtures, "snapshots", name, "snapshot.db.gz"))));
    const expected = JSON.parse(fixtureText(`snapshots/${name}/expected.json`)) as {
      snapshot: { db: DatabaseFacts };
      status: { json: { stdout: string } };
    };
    expect(factsOf(path)).toEqual(expected.snapshot.db.buckets);
    const status = JSON.parse(expected.status.json.stdout) as { hash: number; revision: number; totalSize: number };
    const backend = await Backend.open(disk, clock, log, path, { readOnly: true });
    expect(await backend.hash(() => false)).toBe(status.hash);
    expect(backend.size).toBe(status.totalSize);
    expect(backend.lastRow()?.main ?? 0).toBe(status.revision);
    await backend.close();
    await expectWritable(path);
  },
);

test("both meta pages damaged: refused with path, place and advice", async () => {
  unpackFixture("data-dirs/db-both-metas-bad/data.tar.gz", directory);
  const path = join(directory, "data/member/snap/db");
  const opening = Backend.open(disk, clock, log, path);
  await expect(opening).rejects.toBeInstanceOf(CorruptionError);
  await expect(opening).rejects.toThrow(/snap\/db, offset 0: checksum error: both meta pages are damaged.*restore/);
});

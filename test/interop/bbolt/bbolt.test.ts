/**
 * Our engine and the real bbolt take turns on one file. Needs Go and its module proxy (or a filled module cache):
 *
 *     npm run test:interop -- test/interop/bbolt
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNodePlatform, createStderrLogger } from "../../../src/platform/node/index.ts";
import type { Bucket } from "../../../src/storage/bbolt/bucket.ts";
import { checkDatabase } from "../../../src/storage/bbolt/check.ts";
import { BoltDb } from "../../../src/storage/bbolt/db.ts";
import { removeDirectory, temporaryDirectory } from "../../support/fixture.ts";

const { disk } = createNodePlatform({ log: createStderrLogger("fatal") });
const hasGo = spawnSync("go", ["version"]).status === 0;
if (!hasGo) console.warn("bbolt interop: skipped, the go command is missing");

let directory: string;
let tool: string;

beforeAll(() => {
  directory = temporaryDirectory();
  tool = join(directory, "bbolt");
  if (!hasGo) return;
  for (const name of ["go.mod", "go.sum", "main.go"]) {
    copyFileSync(join(import.meta.dirname, name), join(directory, name));
  }
  execFileSync("go", ["build", "-o", tool, "."], { cwd: directory, stdio: "inherit" });
}, 300_000);
afterAll(() => removeDirectory(directory));

function run(...parameters: string[]): string {
  return execFileSync(tool, parameters, { encoding: "utf8", maxBuffer: 1 << 30 });
}

/** The same text as the tool's `dump`. */
function dump(path: string): string {
  const db = BoltDb.open(disk, path, { readOnly: true });
  const tx = db.begin(false);
  const lines: string[] = [];
  const walk = (name: string, bucket: Bucket): void => {
    lines.push(`${name} sequence ${bucket.sequence}`);
    const cursor = bucket.cursor();
    for (let more = cursor.first(); more; more = cursor.next()) {
      const child = cursor.isBucket ? bucket.bucket(cursor.key) : undefined;
      if (child !== undefined) walk(`${name}/${Buffer.from(cursor.key).toString()}`, child);
      else
        lines.push(`${name}/${Buffer.from(cursor.key).toString("hex")}=${Buffer.from(cursor.value).toString("hex")}`);
    }
  };
  const names = tx.cursor();
  for (let more = names.first(); more; more = names.next()) {
    const bucket = tx.bucket(names.key);
    if (bucket !== undefined) walk(Buffer.from(names.key).toString(), bucket);
  }
  tx.rollback();
  db.close();
  return lines.map((line) => `${line}\n`).join("");
}

/** A small generator of its own, so that a seed replays a failure. */
function generator(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

async function writeRandomly(path: string, seed: number, storeFreelist: boolean): Promise<void> {
  const random = generator(seed);
  const db = BoltDb.open(disk, path, { storeFreelist, noSync: true, pageCacheBytes: 1 << 20 });
  for (let transaction = 0; transaction < 20; transaction++) {
    const tx = db.begin(true);
    let bucket = tx.root.createBucket(Buffer.from(`bucket${random(3)}`));
    if (random(3) === 0) bucket = bucket.createBucket(Buffer.from("zz-nested"));
    bucket.sequence += 1n;
    bucket.fillPercent = random(2) === 0 ? 0.9 : 0.5;
    for (let count = random(300); count > 0; count--) {
      const key = Buffer.from(`key-${String(random(3000)).padStart(6, "0")}`);
      if (random(3) === 0) bucket.delete(key);
      else bucket.put(key, Buffer.alloc(random(50) === 0 ? random(20_000) : random(400), random(256)));
    }
    if (random(8) === 0) tx.root.deleteBucket(Buffer.from(`bucket${random(3)}`));
    if (random(10) === 0) tx.rollback();
    else await tx.commit();
    expect(checkDatabase(db)).toEqual([]);
  }
  // A long run of rows through the append path, as the backend writes them.
  const tx = db.begin(true);
  const rows = tx.root.createBucket(Buffer.from("rows"));
  rows.fillPercent = 0.9;
  const first = Number(rows.sequence);
  const keyOf = (index: number): Buffer => Buffer.from(String(first + index).padStart(17, "0"));
  const value = Buffer.alloc(random(600), 7);
  const appender = rows.appender({
    keySize: () => 17,
    writeKey: (index, target, offset) => target.set(keyOf(index), offset),
    value: () => value,
  });
  const count = random(3000);
  appender.append(0, count >> 2);
  appender.append(count >> 2, count);
  rows.sequence = BigInt(first + count);
  for (let index = 0; index < random(2000); index++) rows.delete(Buffer.from(String(index).padStart(17, "0")));
  await tx.commit();
  db.close();
}

test.skipIf(!hasGo).each([1, 2, 3, 4, 5, 6])(
  "bbolt and we take turns on one file and see the same (seed %i)",
  async (seed) => {
    const path = join(directory, `turns-${seed}`);
    for (let round = 0; round < 8; round++) {
      const mine = (seed + round) % 2 === 0;
      const stored = (seed + round) % 3 === 0;
      if (mine) await writeRandomly(path, seed * 100 + round, stored);
      else run(stored ? "write-sync" : "write", path, String(seed * 100 + round), "20");
      expect(run("check", path)).toBe("");
      const db = BoltDb.open(disk, path, { readOnly: true });
      expect(checkDatabase(db)).toEqual([]);
      db.close();
      expect(dump(path) === run("dump", path)).toBe(true);
    }
  },
  600_000,
);

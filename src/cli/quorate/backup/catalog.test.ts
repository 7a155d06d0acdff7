import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createNodePlatform, createStderrLogger } from "../../../platform/node/index.ts";
import { backupName, type BackupFacts, listBackups, removeOld, removeRemains, writeFacts } from "./catalog.ts";

const { disk } = createNodePlatform({ log: createStderrLogger("fatal") });
const now = Date.parse("2026-11-25T12:00:00Z");
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "quorate-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function addBackup(clusterId: string, hour: number, isVerified = true): Promise<string> {
  const createdAt = `2026-11-25T${String(hour).padStart(2, "0")}:00:00.123456Z`;
  const name = backupName(clusterId, createdAt, 100 + hour, hour % 2 === 0);
  writeFileSync(join(directory, name), "data");
  const facts: BackupFacts = {
    clusterId,
    createdAt,
    revision: 100 + hour,
    hash: 1,
    compactRevision: -1,
    size: 4,
    sha256: "",
    recipients: [],
    verifiedAt: createdAt,
    endpoint: "127.0.0.1:2379",
  };
  if (isVerified) await writeFacts(disk, join(directory, `${name}.json`), facts);
  return name;
}

test("backups are listed oldest first, with what is known of them; other files are not", async () => {
  const second = await addBackup("ab", 2);
  const first = await addBackup("ab", 1);
  writeFileSync(join(directory, "etcd-snapshot.db"), "somebody's");
  writeFileSync(join(directory, `${first}.json`), "{ half of a");
  expect(listBackups(disk, directory).map(({ name, facts }) => [name, facts?.revision])).toEqual([
    [first, undefined],
    [second, 102],
  ]);
  expect(first).toBe("etcd-ab-20261125T010000Z-r101.db");
  expect(listBackups(disk, join(directory, "missing"))).toEqual([]);
});

test("the oldest of a cluster go; those of another cluster and files of others stay", async () => {
  for (const hour of [1, 2, 3, 4]) await addBackup("ab", hour);
  const other = await addBackup("cd", 1);
  writeFileSync(join(directory, "notes.txt"), "");
  expect(await removeOld(disk, directory, "ab", { count: 2, ageMs: 0 }, now)).toHaveLength(2);
  const left = readdirSync(directory).filter((name) => !name.endsWith(".json"));
  expect(left).toEqual([
    "etcd-ab-20261125T030000Z-r103.db",
    "etcd-ab-20261125T040000Z-r104.db.age",
    other,
    "notes.txt",
  ]);
  expect(readdirSync(directory).filter((name) => name.endsWith(".json"))).toHaveLength(3);
});

test("a backup that was never verified does not push a verified one out", async () => {
  const good = await addBackup("ab", 1);
  for (const hour of [2, 3, 4]) await addBackup("ab", hour, false);
  expect(await removeOld(disk, directory, "ab", { count: 1, ageMs: 0 }, now)).toEqual([]);
  expect(readdirSync(directory)).toContain(good);
});

test("what is too old goes, but never the newest that was verified", async () => {
  for (const hour of [1, 2, 3]) await addBackup("ab", hour);
  await addBackup("ab", 4, false);
  const nineHours = { count: 0, ageMs: 9.5 * 3_600_000 };
  expect(await removeOld(disk, directory, "ab", nineHours, now)).toEqual([
    "etcd-ab-20261125T010000Z-r101.db",
    "etcd-ab-20261125T020000Z-r102.db.age",
  ]);
  const oneHour = { count: 5, ageMs: 3_600_000 };
  expect(await removeOld(disk, directory, "ab", oneHour, now)).toEqual([]);
  expect(listBackups(disk, directory).map(({ facts }) => facts?.revision)).toEqual([103, undefined]);
});

test("what killed backups left a day ago is removed; what is younger, or a backup, is not", async () => {
  const name = await addBackup("ab", 1);
  for (const left of [".saving-1.part", ".saving-ab.part.scratch", ".verifying-7.drill", name]) {
    const path = join(directory, left);
    if (left.endsWith("part") || left === name) writeFileSync(path, "half of a secret");
    else mkdirSync(join(path, "member"), { recursive: true });
    utimesSync(path, now / 1000 - 90_000, now / 1000 - 90_000);
  }
  writeFileSync(join(directory, ".saving-2.part"), "");
  utimesSync(join(directory, ".saving-2.part"), now / 1000, now / 1000);
  removeRemains(disk, directory, now);
  expect(readdirSync(directory).sort()).toEqual([".saving-2.part", name, `${name}.json`]);
});

/** Backups that a member takes by itself: what is in them, what stays, and what happens when one fails. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Decrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BackupScheduler } from "../src/cli/etcd/backup/backup-scheduler.ts";
import type { BackupSettings } from "../src/cli/etcd/backup/backup-settings.ts";
import { type BackupTool, createBackupTool } from "../src/cli/etcd/backup/backup-tool.ts";
import { type BackupJob, takeBackup } from "../src/cli/etcd/backup/take-backup.ts";
import { registerBackupMetrics } from "../src/http/metrics/backup-metrics.ts";
import { MetricsRegistry } from "../src/http/metrics/registry.ts";
import type { Member } from "../src/server/member.ts";
import { CompactionRequest } from "../src/wire/gen/etcdserverpb/rpc.ts";
import { program, removeFolder, root, runToEnd, temporaryFolder } from "./support/process.ts";
import { propose, put, startReadyMember, testPlatform } from "./support/member.ts";

const realTool = createBackupTool(join(root, "dist", "tools", "quorate.cjs"));

let folder: string;
let member: Member;
let lines: string[];

beforeEach(async () => {
  folder = temporaryFolder();
  lines = [];
  member = await startReadyMember({ dataDir: join(folder, "data") }, testPlatform(lines));
  for (let index = 0; index < 50; index++) await put(member, `key${index}`, "x".repeat(1000));
});

afterEach(async () => {
  await member.stop();
  removeFolder(folder);
});

function job(changes: Partial<BackupJob> = {}): BackupJob {
  return {
    member,
    tool: realTool,
    directory: join(folder, "backups"),
    recipients: [],
    retention: { count: 0, ageMs: 0 },
    freeBytes: async () => Number.MAX_SAFE_INTEGER,
    signal: new AbortController().signal,
    onVerified: () => undefined,
    ...changes,
  };
}

/** Due at every turn of the clock. */
function settings(changes: Partial<BackupSettings> = {}): BackupSettings {
  return {
    schedule: { next: (after) => after + 1 },
    directory: join(folder, "backups"),
    retention: { count: 2, ageMs: 0 },
    recipientSources: [],
    ...changes,
  };
}

function backups(): string[] {
  return readdirSync(join(folder, "backups")).sort();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("one after the other is taken while writes go on, and the last ones stay", async () => {
  const scheduler = new BackupScheduler(settings(), member, realTool);
  scheduler.start();
  let written = 0;
  while (scheduler.successes < 3) await put(member, "written", String(++written));
  await scheduler.stop();
  expect(scheduler.failures).toBe(0);
  // Those of one second have the order of their revisions.
  const names = backups().filter((name) => name.endsWith(".db"));
  expect(names).toHaveLength(2);
  expect(backups()).toHaveLength(4);
  const listed = runToEnd(program("quorate"), ["backup", "list", `--dir=${folder}/backups`]).stdout.split("\n");
  expect(listed[1]).toMatch(/^etcd-\w+-\d{8}T\d{6}Z-r\d+\.db, \d+, .*, false, 20/);
  for (const name of names) {
    const path = join(folder, "backups", name);
    const verified = runToEnd(program("quorate"), ["backup", "verify", path]);
    expect(verified.stderr).toBe("");
    expect(verified.stdout).toMatch(/: a restored copy has HashKV \d+ at revision \d+, as noted\n$/);
    const restore = ["snapshot", "restore", path, `--data-dir=${folder}/${name}.restored`];
    expect(runToEnd(program("etcdutl"), restore).code).toBe(0);
  }
});

test("backups of one second and revision, as of members that share a directory, do not replace each other", async () => {
  const now = Date.UTC(2026, 0, 1);
  const clock = Object.create(member.platform.clock, { now: { value: () => now } }) as Member["platform"]["clock"];
  const platform = { ...member.platform, clock };
  const stopped = Object.create(member, { platform: { value: platform } }) as Member;
  const names: string[] = [];
  for (let number = 0; number < 2; number++) names.push((await takeBackup(job({ member: stopped }))).name);
  expect(names[0]).toContain("-20260101T000000Z-");
  expect(names[1]).toContain("-20260101T000001Z-");
  expect(backups()).toEqual(names.flatMap((name) => [name, `${name}.json`]));
});

test("the metrics tell of the last one, also after a restart", async () => {
  const scheduler = new BackupScheduler(settings(), member, realTool);
  scheduler.start();
  await until(() => scheduler.successes >= 1);
  await scheduler.stop();
  const text = (counters: BackupScheduler): string => {
    const registry = new MetricsRegistry();
    registerBackupMetrics(registry, counters);
    return registry.text();
  };
  expect(text(scheduler)).toMatch(/^quorate_backup_runs_total\{result="success"\} [1-9]/m);
  const names = ["last_success_timestamp_seconds", "drill_last_success_timestamp_seconds", "last_size_bytes"];
  for (const name of [...names, "last_duration_seconds", "next_timestamp_seconds"]) {
    expect(text(scheduler)).toMatch(new RegExp(`^quorate_backup_${name} [0-9.]*[1-9]`, "m"));
  }
  const restarted = new BackupScheduler(settings({ schedule: { next: () => undefined } }), member, realTool);
  restarted.start();
  for (const name of names) expect(text(restarted)).toMatch(new RegExp(`^quorate_backup_${name} [1-9]`, "m"));
  expect(text(restarted)).toContain('quorate_backup_runs_total{result="success"} 0\n');
});

test("with recipients, which may stand in a file, nothing stays in the clear", async () => {
  const identity = await generateX25519Identity();
  const file = join(folder, "recipients.txt");
  writeFileSync(file, `# operators\n${await identityToRecipient(identity)}\n`);
  const scheduler = new BackupScheduler(settings({ recipientSources: [file] }), member, realTool);
  scheduler.start();
  await until(() => scheduler.successes + scheduler.failures >= 1);
  await scheduler.stop();
  expect(lines.filter((line) => line.includes("failed to take"))).toEqual([]);
  const [name] = backups();
  expect(backups().every((each) => /\.db\.age(\.json)?$/.test(each))).toBe(true);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  writeFileSync(join(folder, "plain.db"), await decrypter.decrypt(readFileSync(join(folder, "backups", name))));
  const status = runToEnd(program("etcdutl"), ["snapshot", "status", join(folder, "plain.db"), "-w", "json"]);
  expect(JSON.parse(status.stdout)).toMatchObject({ totalKey: 50 });
  writeFileSync(join(folder, "identity.txt"), `${identity}\n`);
  const sealed = join(folder, "backups", name);
  const verified = runToEnd(program("quorate"), ["backup", "verify", sealed, `--identity-file=${folder}/identity.txt`]);
  expect(verified.stdout).toContain("as noted");
});

test("a member that is compacted meanwhile is backed up again", async () => {
  let calls = 0;
  const tool: BackupTool = {
    ...realTool,
    async verify(...args) {
      const output = await realTool.verify(...args);
      // As if the copy had been made at a time between two compactions.
      return ++calls === 1 ? { ...output, compactRevision: 1 } : output;
    },
  };
  const request = CompactionRequest.encode({ revision: 20n, physical: true }).finish();
  await propose(member, "compaction", request);
  const { facts } = await takeBackup(job({ tool }));
  expect(calls).toBe(2);
  expect(facts).toMatchObject({ revision: 51, compactRevision: 20 });
});

test("a copy that is not what the member has is no backup", async () => {
  const tool: BackupTool = {
    ...realTool,
    verify: async (...args) => ({ ...(await realTool.verify(...args)), hash: 1 }),
  };
  await expect(takeBackup(job({ tool }))).rejects.toThrow(/^the restored copy is not what the member has: HashKV at/);
  expect(backups()).toEqual([]);
});

test("a disk that is too full is left alone", async () => {
  await expect(takeBackup(job({ freeBytes: async () => 1 << 20 }))).rejects.toThrow(
    /^no space for a backup in .*: 1048576 bytes are free, \d+ are wanted/,
  );
  expect(backups()).toEqual([]);
});

/** A file system of 64 KiB; undefined where we may not mount one. */
function smallDisk(): string | undefined {
  const path = join(folder, "small");
  mkdirSync(path);
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path]).status === 0 ? path : undefined;
}

test("a disk that becomes full meanwhile ends the backup alone, and leaves it as it was (skipped without mount)", async (context) => {
  const directory = smallDisk();
  if (directory === undefined) return context.skip();
  try {
    // More than the disk holds, although it was said to have room.
    for (let index = 0; index < 200; index++) await put(member, `more${index}`, "x".repeat(1000));
    await expect(takeBackup(job({ directory }))).rejects.toThrow(/no space left on device/);
    expect(readdirSync(directory)).toEqual([]);
    await put(member, "still", "here");
    expect((await takeBackup(job())).facts.revision).toBe(252);
  } finally {
    spawnSync("umount", [directory]);
  }
});

test("a directory that cannot be written is an error in the log and in the count; the member and the next backup are well", async () => {
  writeFileSync(join(folder, "backups"), "a file");
  const scheduler = new BackupScheduler(settings(), member, realTool);
  scheduler.start();
  await until(() => scheduler.failures >= 1);
  const line = lines.find((each) => each.includes("failed to take the scheduled backup")) ?? "";
  expect(JSON.parse(line)).toMatchObject({ level: "error", error: expect.stringContaining("not a directory") });
  await put(member, "still", "here");
  removeFolder(join(folder, "backups"));
  await until(() => scheduler.successes >= 1);
  await scheduler.stop();
});

test("what a killed member left behind is removed by its next backup", async () => {
  const remains = join(folder, "backups", `.saving-${member.memberId.toString(16)}.part`);
  mkdirSync(`${remains}.scratch/.verifying-1.drill/member`, { recursive: true });
  for (const name of [remains, `${remains}.age`]) writeFileSync(name, "half of a secret");
  const { name } = await takeBackup(job());
  expect(backups()).toEqual([name, `${name}.json`]);
});

test("stopping the member ends a backup that is under way, and another is not begun beside it", async () => {
  let begun = false;
  const tool: BackupTool = {
    ...realTool,
    verify: (_path, _scratch, signal) =>
      new Promise((_, reject) => {
        begun = true;
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      }),
  };
  const scheduler = new BackupScheduler(settings(), member, tool);
  scheduler.start();
  await until(() => begun && scheduler.skipped >= 2);
  expect(scheduler.isRunning).toBe(true);
  await scheduler.stop();
  expect(scheduler).toMatchObject({ isRunning: false, failures: 0, successes: 0 });
  expect(existsSync(join(folder, "backups"))).toBe(true);
  expect(backups()).toEqual([]);
});

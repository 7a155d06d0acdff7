/**
 * A file system that fills up, small and real (tmpfs, which takes root to mount): each piece of work on it fails with the
 * path and the reason, nothing acknowledged is lost, and all goes on once there is space again.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { connect, get, put } from "../support/client.ts";
import { patienceMs, program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";

const within = { timeoutMs: patienceMs };
const megabyte = 1 << 20;
const noSpace = /no space left on device/;

const folder = temporaryFolder();
const disk = join(folder, "disk");
/** Takes space, and gives it back. */
const ballast = join(disk, "ballast");
let canMount = false;
let server: ServerProcess | undefined;

beforeAll(() => {
  mkdirSync(disk);
  canMount = mount();
  if (!canMount) console.log("full disk: skipped, a tmpfs cannot be mounted here (it takes root)");
});
afterAll(() => {
  unmount();
  removeFolder(folder);
});
beforeEach(({ skip }) => {
  if (!canMount) skip("a tmpfs cannot be mounted");
  unmount();
  expect(mount()).toBe(true);
});
afterEach(async () => {
  await server?.kill();
  server = undefined;
});

function mount(): boolean {
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=48m", "tmpfs", disk]).status === 0;
}

function unmount(): void {
  if (canMount) spawnSync("umount", [disk]);
}

function freeBytes(): number {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
}

/** Leaves `bytes` free. */
function fillUpTo(bytes: number): void {
  rmSync(ballast, { force: true });
  try {
    writeFileSync(ballast, new Uint8Array(Math.max(0, freeBytes() - bytes)));
  } catch {
    // The member took some of it meanwhile: then less is free.
  }
}

async function start(): Promise<{ server: ServerProcess; client: Client }> {
  server = await ServerProcess.start({ dataDir: join(disk, "data"), args: ["--snapshot-count=500"] });
  return { server, client: connect(server.endpoint) };
}

/** Puts until one fails. @returns what was acknowledged. */
async function putUntilFull(client: Client, bytes: number): Promise<Map<string, number>> {
  const acknowledged = new Map<string, number>();
  try {
    for (let number = 0; number < 100_000; number++) {
      const key = `key-${number % 50}`;
      await put(client, key, `${number} `.padEnd(bytes, "x"));
      acknowledged.set(key, number);
    }
    throw new Error("the disk does not fill up");
  } catch {
    return acknowledged;
  }
}

async function expectAll(client: Client, acknowledged: ReadonlyMap<string, number>): Promise<void> {
  for (const [key, number] of acknowledged) {
    const found = Number.parseInt((await get(client, key)) ?? "-1", 10);
    expect(found, key).toBeGreaterThanOrEqual(number);
  }
}

test("writes: the member stops and says why; with space again it starts and has all that was acknowledged", async () => {
  const first = await start();
  fillUpTo(6 * megabyte);
  const acknowledged = await putUntilFull(first.client, 20_000);
  first.client.close();
  expect(await first.server.ends()).toBe(1);
  expect(acknowledged.size).toBe(50);
  const log = first.server.lines.join("\n");
  expect(log).toMatch(noSpace);
  expect(log).toContain(join(disk, "data/member/"));
  expect(log).toContain("free space on the file system, then start the member again");
  rmSync(ballast);
  const again = await start();
  await expectAll(again.client, acknowledged);
  await put(again.client, "after", "all");
  again.client.close();
});

test("a start on a full disk says why, and works with space again", async () => {
  const first = await start();
  await put(first.client, "a", "1");
  first.client.close();
  await first.server.stop();
  fillUpTo(0);
  const full = await ServerProcess.launch({ dataDir: join(disk, "data") });
  const isReady = await full.becomesReady();
  if (!isReady) expect(full.lines.join("\n")).toMatch(noSpace);
  await full.kill();
  rmSync(ballast);
  const again = await start();
  expect(await get(again.client, "a")).toBe("1");
  again.client.close();
});

test("compaction: it is carried out, or the member stops and carries it out after its next start", async () => {
  const first = await start();
  let revision = 0;
  for (let number = 0; number < 400; number++)
    revision = await put(first.client, `key-${number % 20}`, "x".repeat(10_000));
  fillUpTo(64 * 1024);
  const request = { revision: BigInt(revision), physical: true };
  const outcome = await first.client.call(methods.compact, request, within).then(
    () => "done",
    () => "failed",
  );
  first.client.close();
  if (outcome === "failed") expect(await first.server.ends()).toBe(1);
  else await first.server.kill();
  rmSync(ballast);
  const again = await start();
  expect(await get(again.client, "key-7")).toBe("x".repeat(10_000));
  const done = await again.client.call(methods.hashKv, { revision: 0n }, within);
  expect([-1n, BigInt(revision)]).toContain(done.compactRevision);
  again.client.close();
});

test("defragmentation: an error for who asked, and the member serves on", async () => {
  const { client } = await start();
  for (let number = 0; number < 400; number++) await put(client, `key-${number}`, "x".repeat(10_000));
  fillUpTo(2 * megabyte);
  await expect(client.call(methods.defragment, {}, within)).rejects.toThrow(noSpace);
  expect(readdirSync(join(disk, "data/member/snap")).filter((name) => name.startsWith("db.tmp"))).toEqual([]);
  await put(client, "after", "the error");
  rmSync(ballast);
  await client.call(methods.defragment, {}, within);
  expect(await get(client, "after")).toBe("the error");
  client.close();
});

test("snapshot save, restore and backup: an error that names the file, nothing left behind, and success with space", async () => {
  const dataDir = join(folder, "elsewhere");
  server = await ServerProcess.start({ dataDir });
  const client = connect(server.endpoint);
  for (let number = 0; number < 400; number++) await put(client, `key-${number}`, "x".repeat(10_000));
  client.close();
  const snapshot = join(disk, "snapshot.db");
  const kept = join(folder, "snapshot.db");
  const endpoint = `--endpoints=${server.endpoint}`;
  const works: { run: () => ReturnType<typeof runToEnd>; path: string }[] = [
    { run: () => runToEnd(program("etcdctl"), [endpoint, "snapshot", "save", snapshot]), path: snapshot },
    {
      run: () => runToEnd(program("etcdutl"), ["snapshot", "restore", kept, `--data-dir=${join(disk, "restored")}`]),
      path: join(disk, "restored"),
    },
    {
      run: () => runToEnd(program("quorate"), ["backup", "save", endpoint, `--dir=${join(disk, "backups")}`]),
      path: join(disk, "backups"),
    },
  ];
  expect(runToEnd(program("etcdctl"), [endpoint, "snapshot", "save", kept]).code).toBe(0);
  for (const { run, path } of works) {
    fillUpTo(2 * megabyte);
    const failed = run();
    expect(failed.code, failed.stderr).not.toBe(0);
    expect(failed.stderr).toMatch(noSpace);
    expect(failed.stderr).toContain(path);
    const left = existsSync(path) ? readdirSync(path) : [];
    expect(left).toEqual([]);
    rmSync(ballast);
    const done = run();
    expect(done.code, done.stderr).toBe(0);
    rmSync(path, { recursive: true });
  }
});

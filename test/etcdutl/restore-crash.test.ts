/**
 * The power fails at every disk operation of a restore in turn. Whatever the drive keeps: there is no member, or there is
 * the whole one; and in the first case the same restore then succeeds.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { restoreSnapshot } from "../../src/cli/etcdutl/restore/restore.ts";
import type { VirtualPlatform } from "../../src/platform/virtual/index.ts";
import { memberConfig } from "../../src/server/config.ts";
import { startMember } from "../../src/server/start-member.ts";
import { hashKv } from "../support/member.ts";
import { VirtualMachine } from "../support/virtual-machine.ts";

const path = join(import.meta.dirname, "../fixtures/snapshots/with-members/snapshot.db.gz");
const snapshot = new Uint8Array(gunzipSync(readFileSync(path)));

/** With the log inside the data directory, and elsewhere. */
const places = { inside: undefined, elsewhere: "/logs/wal" };

async function keepSnapshot({ disk }: VirtualPlatform): Promise<void> {
  const file = disk.open("/snapshot.db", "createNew");
  await file.write(snapshot, 0);
  await file.sync();
  file.close();
  await disk.syncDirectory("/");
}

function restore(platform: VirtualPlatform, walDir: string | undefined): Promise<void> {
  return restoreSnapshot(platform, {
    snapshotPath: "/snapshot.db",
    dataDir: "/lib/data",
    walDir,
    name: "default",
    initialCluster: "default=http://localhost:2380",
    initialClusterToken: "etcd-cluster",
    peerUrls: ["http://localhost:2380"],
    skipHashCheck: false,
    bumpRevision: 5,
    initialMmapSize: 0n,
  });
}

/** Starts the member and looks whether all is there. */
async function hashOfMember(platform: VirtualPlatform, walDir: string | undefined): Promise<number> {
  const member = await startMember(memberConfig({ dataDir: "/lib/data", walDir }), platform);
  await member.whenReady();
  expect(member.store.currentRevision).toBe(300);
  const { hash } = hashKv(member, 0);
  await member.stop();
  return hash;
}

/** @returns what was left: undefined when the restore was over before `operation`. */
async function crashAt(
  operation: number,
  walDir: string | undefined,
  seed = operation,
): Promise<"nothing" | "member" | undefined> {
  const machine = new VirtualMachine(seed);
  const platform = machine.boot();
  await machine.scheduler.run(keepSnapshot(platform));
  const hasCrashed = await machine.crashDuring(platform, operation, () => restore(platform, walDir));
  if (!hasCrashed) return undefined;
  const survivor = machine.boot();
  const { disk } = survivor;
  const hasMember = disk.exists("/lib/data/member");
  if (!hasMember) {
    // Nothing is taken for a member that is none: an empty one would look like all was lost.
    if (disk.exists("/lib/data/member.restoring")) {
      await expect(machine.scheduler.run(hashOfMember(survivor, walDir))).rejects.toThrow("run the restore again");
    }
    await machine.scheduler.run(restore(survivor, walDir));
  }
  expect(await machine.scheduler.run(hashOfMember(survivor, walDir)), `operation ${operation}`).toBe(wholeHash);
  return hasMember ? "member" : "nothing";
}

let wholeHash = 0;

test.each(Object.entries(places))(
  "power fails at every operation of a restore, its log %s",
  async (_, walDir) => {
    const machine = new VirtualMachine(0);
    const platform = machine.boot();
    await machine.scheduler.run(keepSnapshot(platform));
    await machine.scheduler.run(restore(platform, walDir));
    wholeHash = await machine.scheduler.run(hashOfMember(platform, walDir));

    const outcomes: string[] = [];
    for (let operation = 1; ; operation++) {
      const outcome = await crashAt(operation, walDir);
      if (outcome === undefined) break;
      outcomes.push(outcome);
    }
    expect(outcomes.length).toBeGreaterThan(25);
    expect(outcomes[0]).toBe("nothing");
    const last = outcomes.length;
    // At the very end chance decides whether the drive keeps the last name.
    for (let seed = 100; seed < 108; seed++) outcomes.push((await crashAt(last, walDir, seed)) ?? "over");
    expect(outcomes).toContain("member");
  },
  240_000,
);

test("a disk that fills up is reported, nothing stays, and the restore succeeds once there is room", async () => {
  const machine = new VirtualMachine(1);
  const platform = machine.boot();
  await machine.scheduler.run(keepSnapshot(platform));
  machine.drive.capacity = snapshot.length * 1.5;
  await expect(machine.scheduler.run(restore(platform, undefined))).rejects.toThrow("no space left on device");
  expect(platform.disk.exists("/lib")).toBe(false);
  machine.drive.capacity = Infinity;
  await machine.scheduler.run(restore(platform, undefined));
  expect(await machine.scheduler.run(hashOfMember(platform, undefined))).toBe(wholeHash);
});

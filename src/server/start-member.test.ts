import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createEmptyWal } from "../../test/support/empty-wal.ts";
import { removeDirectory, temporaryDirectory } from "../../test/support/fixture.ts";
import {
  get,
  hashKv,
  propose,
  put,
  putRequest,
  readIndex,
  startReadyMember,
  testPlatform,
} from "../../test/support/member.ts";
import { AlarmType } from "../alarm/alarm-store.ts";
import type { Disk } from "../platform/disk.ts";
import { CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest } from "../wire/gen/etcdserverpb/rpc.ts";
import type { CompactionResult } from "./apply/result.ts";
import { memberConfig, type MemberConfig } from "./config.ts";
import type { Member } from "./member.ts";
import { startMember } from "./start-member.ts";

const directories: string[] = [];
const running: Member[] = [];

afterEach(async () => {
  for (const member of running.splice(0)) await member.stop();
  for (const directory of directories.splice(0)) removeDirectory(directory);
});

function dataDir(): string {
  const directory = temporaryDirectory();
  directories.push(directory);
  return join(directory, "data");
}

async function start(config: Partial<MemberConfig> & { dataDir: string }): Promise<Member> {
  const member = await startReadyMember(config);
  running.push(member);
  return member;
}

/** What a killed process leaves: the files as they are, whatever was not yet written is gone. */
function leftByKill(directory: string): string {
  const copy = dataDir();
  cpSync(directory, copy, { recursive: true });
  return copy;
}

/** Lets a test stop, go on, or break the syncs of files whose path contains `part`. */
function holdSyncs(
  disk: Disk,
  part: string,
): {
  hold: () => void;
  whenHeld: () => Promise<void>;
  release: () => void;
  fail: (error: Error) => void;
} {
  let gate: PromiseWithResolvers | undefined;
  let reached = promiseWithResolvers();
  const open = disk.open.bind(disk);
  disk.open = (path, ...rest) => {
    const file = open(path, ...rest);
    if (!path.includes(part)) return file;
    const datasync = file.datasync.bind(file);
    file.datasync = async () => {
      if (gate !== undefined) {
        reached.resolve();
        await gate.promise;
      }
      await datasync();
    };
    return file;
  };
  return {
    hold: () => {
      gate = promiseWithResolvers();
      reached = promiseWithResolvers();
    },
    whenHeld: () => reached.promise,
    release: () => {
      gate?.resolve();
      gate = undefined;
    },
    fail: (error) => gate?.reject(error),
  };
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function promiseWithResolvers(): PromiseWithResolvers {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

describe("a new member", () => {
  test("leads, publishes itself, and decides the versions", async () => {
    const member = await start({ dataDir: dataDir(), name: "default" });
    expect(member.raft.isLeader).toBe(true);
    expect(member.raft.term).toBe(2);
    expect(member.membership.members()).toEqual([
      {
        id: member.memberId,
        peerUrls: ["http://localhost:2380"],
        isLearner: false,
        name: "default",
        clientUrls: ["http://localhost:2379"],
      },
    ]);
    // etcd derives this id from the default flags.
    expect(member.memberId.toString(16)).toBe("8e9e05c52164694d");
    expect(member.clusterId.toString(16)).toBe("cdf818194e3a8c32");
    await expect
      .poll(() => member.membership.clusterVersion, { timeout: 60_000 })
      .toEqual({ major: 3, minor: 6, patch: 0 });
  });

  test("applies what is proposed, in order, and reads see it", async () => {
    const member = await start({ dataDir: dataDir() });
    const results = await Promise.all(["1", "2", "3"].map((value) => put(member, "k", value)));
    expect(results.map((result) => result.kind === "put" && result.revision)).toEqual([2, 3, 4]);
    await readIndex(member);
    expect(get(member, "k")).toBe("3");
  });
});

describe("while the disk hangs", () => {
  test("reads are answered, and what is not durable is neither answered nor shown", async () => {
    const platform = testPlatform();
    const disk = holdSyncs(platform.disk, "wal");
    const member = await startReadyMember({ dataDir: dataDir() }, platform);
    running.push(member);
    await put(member, "k", "before");
    disk.hold();
    let isAnswered = false;
    const hanging = put(member, "k", "after").then(() => (isAnswered = true));
    await disk.whenHeld();
    for (let read = 0; read < 3; read++) await readIndex(member);
    expect(get(member, "k")).toBe("before");
    expect(isAnswered).toBe(false);
    disk.release();
    await hanging;
    expect(get(member, "k")).toBe("after");
  });

  test("a failing disk stops the member, and the waiting request is not acknowledged", async () => {
    const platform = testPlatform([]);
    const disk = holdSyncs(platform.disk, "wal");
    const member = await startReadyMember({ dataDir: dataDir() }, platform);
    running.push(member);
    const failed = new Promise<Error>((resolve) => (member.onFatal = resolve));
    disk.hold();
    const lost = put(member, "k", "v");
    await disk.whenHeld();
    disk.fail(new Error("EIO"));
    await expect(lost).rejects.toMatchObject({ reason: "stopped" });
    expect((await failed).message).toBe("EIO");
    await expect(put(member, "k", "v")).rejects.toMatchObject({ reason: "stopped" });
  });
});

describe("after a restart", () => {
  test("a stopped member goes on where it was", async () => {
    const directory = dataDir();
    const first = await start({ dataDir: directory });
    for (let index = 0; index < 50; index++) await put(first, `key${index % 7}`, `value${index}`);
    const hash = hashKv(first, 0);
    const { memberId, clusterId } = first;
    await first.stop();
    const second = await start({ dataDir: directory });
    expect(hashKv(second, 0)).toEqual(hash);
    expect([second.memberId, second.clusterId]).toEqual([memberId, clusterId]);
    expect(second.store.currentRevision).toBe(51);
    await put(second, "more", "1");
    expect(second.store.currentRevision).toBe(52);
  });

  test("a member starts with more entries to apply again than it would let clients wait for", async () => {
    const directory = dataDir();
    const killed = await start({ dataDir: directory, backendBatchIntervalMs: 3_600_000, backendBatchLimit: 1_000_000 });
    const entries = 6_000;
    for (let index = 0; index < entries; index += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, at) => put(killed, `key${at}`, `value${index}`)));
    }
    const reopened = await start({ dataDir: leftByKill(directory) });
    expect(reopened.store.currentRevision).toBe(entries + 1);
  });

  test("a killed member has lost nothing that was acknowledged", async () => {
    const directory = dataDir();
    // The backend commits hardly ever, so the log has to bring everything back.
    const killed = await start({ dataDir: directory, backendBatchIntervalMs: 3_600_000, backendBatchLimit: 1_000_000 });
    await propose(killed, "leaseGrant", LeaseGrantRequest.encode({ ID: 77n, TTL: 500n }).finish());
    for (let index = 0; index < 100; index++) await put(killed, `key${index % 9}`, `value${index}`);
    await propose(killed, "put", putRequest("leased", "x", { lease: 77n }));
    const hash = hashKv(killed, 0);
    const left = leftByKill(directory);
    const reopened = await start({ dataDir: left });
    expect(hashKv(reopened, 0)).toEqual(hash);
    expect(reopened.lessor.keysOf(77n).map((key) => Buffer.from(key).toString())).toEqual(["leased"]);
  });

  test("request ids of the last run answer nobody in this one", async () => {
    const directory = dataDir();
    const killed = await start({ dataDir: directory, backendBatchIntervalMs: 3_600_000 });
    await put(killed, "a", "1");
    const reopened = await start({ dataDir: leftByKill(directory) });
    const answers = await Promise.all([put(reopened, "b", "1"), put(reopened, "b", "2")]);
    expect(answers.map((answer) => answer.kind === "put" && answer.revision)).toEqual([3, 4]);
  });
});

describe("raft snapshots", () => {
  test("shorten the log, are kept in number, and are started from", async () => {
    const directory = dataDir();
    const config = { dataDir: directory, snapshotCount: 20, snapshotCatchUpEntries: 5 };
    const first = await start(config);
    for (let index = 0; index < 100; index++) await put(first, `key${index}`, "value");
    const hash = hashKv(first, 0);
    await first.stop();
    expect(first.counters.snapshotsSaved).toBeGreaterThan(1);
    const snapshots = readdirSync(join(directory, "member", "snap")).filter((name) => name.endsWith(".snap"));
    expect(snapshots).toHaveLength(first.counters.snapshotsSaved);
    const second = await start(config);
    expect(hashKv(second, 0)).toEqual(hash);
    expect(second.membership.members()).toEqual(first.membership.members());
  });
});

describe("limits", () => {
  test("a request that is too large is refused and changes nothing", async () => {
    const member = await start({ dataDir: dataDir(), maxRequestBytes: 1_000 });
    const revision = member.store.currentRevision;
    await expect(put(member, "k", "x".repeat(1_000))).rejects.toMatchObject({ reason: "requestTooLarge" });
    expect(member.store.currentRevision).toBe(revision);
    await put(member, "k", "x".repeat(500));
  });

  test("when the quota is exceeded the alarm is raised through the log before the answer", async () => {
    const member = await start({ dataDir: dataDir(), quotaBackendBytes: 1 });
    await expect(put(member, "k", "v")).rejects.toMatchObject({ reason: "noSpace" });
    expect(member.alarms.list()).toEqual([{ memberId: member.memberId, alarm: AlarmType.NoSpace }]);
    await expect(put(member, "k", "v")).rejects.toMatchObject({ reason: "noSpace" });
    // The first one was in the log before the alarm, so it is written; the second was not.
    expect(member.store.currentRevision).toBe(2);
  });

  test("a stopped member refuses, and stopping twice is one stop", async () => {
    const member = await start({ dataDir: dataDir() });
    await Promise.all([member.stop(), member.stop()]);
    await expect(put(member, "k", "v")).rejects.toMatchObject({ reason: "stopped" });
    await expect(readIndex(member)).rejects.toMatchObject({ reason: "stopped" });
  });

  test("a stop waits for what was accepted", async () => {
    const member = await start({ dataDir: dataDir() });
    const accepted = Array.from({ length: 50 }, (_, index) => put(member, `k${index}`, "v"));
    await member.stop();
    const outcomes = await Promise.allSettled(accepted);
    expect(outcomes.every((outcome) => outcome.status === "fulfilled")).toBe(true);
  });
});

describe("compaction", () => {
  test("is done physically in the background", async () => {
    const member = await start({ dataDir: dataDir(), compactionSleepIntervalMs: 1 });
    for (let index = 0; index < 30; index++) await put(member, "k", `${index}`);
    const request = CompactionRequest.encode({ revision: 20n, physical: true }).finish();
    const result = (await propose(member, "compaction", request)) as CompactionResult;
    expect(member.store.compactRevision).toBe(20);
    await new Promise<void>((resolve) => result.whenPhysicallyDone(resolve));
    expect(member.backend.getRow(10, 0)).toBeUndefined();
    expect(member.backend.getRow(25, 0)).toBeDefined();
    await expect(propose(member, "compaction", request)).rejects.toMatchObject({ reason: "compacted" });
  });
});

describe("leases", () => {
  test("run out, and take their keys along", async () => {
    const member = await start({ dataDir: dataDir(), electionTimeoutMs: 500, heartbeatIntervalMs: 50 });
    await propose(member, "leaseGrant", LeaseGrantRequest.encode({ ID: 9n, TTL: 1n }).finish());
    await propose(member, "put", putRequest("leased", "x", { lease: 9n }));
    await new Promise<void>((resolve) => {
      const poll = setInterval(() => {
        if (member.lessor.lookup(9n) !== undefined) return;
        clearInterval(poll);
        resolve();
      }, 20);
    });
    expect(get(member, "leased")).toBeUndefined();
    expect(member.counters.leaseExpired).toBe(1);
  });

  test("are renewed without an entry in the log", async () => {
    const member = await start({ dataDir: dataDir() });
    await propose(member, "leaseGrant", LeaseGrantRequest.encode({ ID: 9n, TTL: 100n }).finish());
    const index = member.raft.commitIndex;
    const renew = (id: bigint): Promise<number | string> =>
      new Promise((resolve) => member.renewLease(id, (error, ttl) => resolve(error?.reason ?? ttl)));
    expect(await renew(9n)).toBe(100);
    expect(await renew(10n)).toBe("leaseNotFound");
    expect(member.raft.commitIndex).toBe(index);
    await propose(member, "leaseRevoke", LeaseRevokeRequest.encode({ ID: 9n }).finish());
    expect(await renew(9n)).toBe("leaseNotFound");
  });
});

describe("a directory that cannot be used", () => {
  const refusal = (config: Partial<MemberConfig> & { dataDir: string }): Promise<Member> =>
    startMember(memberConfig(config), testPlatform([]));

  test("is refused when the log is gone and the database is not", async () => {
    const directory = dataDir();
    const member = await start({ dataDir: directory });
    await put(member, "k", "v");
    await member.stop();
    removeDirectory(join(directory, "member", "wal"));
    await expect(refusal({ dataDir: directory })).rejects.toThrow(/holds data of a member but there is no log/);
    expect(existsSync(join(directory, "member", "wal"))).toBe(false);
  });

  test("is refused when it belonged to a proxy, or is a file", async () => {
    const directory = dataDir();
    mkdirSync(join(directory, "proxy"), { recursive: true });
    await expect(refusal({ dataDir: directory })).rejects.toThrow("v2 http proxy has already been deprecated");
    const file = dataDir();
    writeFileSync(file, "");
    await expect(refusal({ dataDir: file })).rejects.toThrow(/cannot access data directory/);
  });

  test("is refused when nobody can be asked who belongs to the cluster that is to be joined", async () => {
    const initialCluster = [
      { name: "default", peerUrls: ["http://localhost:2380"] },
      { name: "other", peerUrls: ["http://127.0.0.1:1"] },
    ];
    await expect(refusal({ dataDir: dataDir(), initialCluster, initialClusterState: "existing" })).rejects.toThrow(
      "cannot fetch cluster info from peer urls: could not retrieve cluster information",
    );
  });

  test("is founded again when the first start ended before the log had an entry", async () => {
    const directory = dataDir();
    const member = await start({ dataDir: directory });
    await member.stop();
    const fresh = dataDir();
    mkdirSync(join(fresh, "member"), { recursive: true, mode: 0o700 });
    await createEmptyWal(join(fresh, "member", "wal"), member);
    const founded = await start({ dataDir: fresh });
    expect(founded.memberId).toBe(member.memberId);
    await put(founded, "k", "v");
  });
});

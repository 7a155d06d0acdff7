/** Three members in virtual time with slow and stalled disks: the leader's place, its heartbeats and reads. */
import { expect, test } from "vitest";
import { get, put, readIndex } from "../support/member.ts";
import { VirtualCluster, type VirtualMember } from "../support/virtual-cluster.ts";

const electionTimeoutMs = 1_000;
const late = "leader failed to send out heartbeat on time";

function others(cluster: VirtualCluster, leader: VirtualMember): VirtualMember[] {
  return cluster.members.filter((member) => member !== leader);
}

async function everywhere(cluster: VirtualCluster, key: string): Promise<(string | undefined)[]> {
  await cluster.run(Promise.all(cluster.members.map(({ member }) => readIndex(member))));
  return cluster.members.map(({ member }) => get(member, key));
}

test("a leader whose disk stalls hands over within two election timeouts, and follows while it lasts", async () => {
  const cluster = await VirtualCluster.found(3);
  const old = await cluster.leader();
  const rest = others(cluster, old);
  await cluster.run(put(old.member, "before", "1"));
  const { term } = old.member.raft;

  old.platform.disk.times.isSyncStalled = true;
  const stalledAtMs = cluster.scheduler.nowMs;
  // Proposed to the stalled leader: committed by the others, not answered by it while it stalls.
  const through = put(old.member, "through", "2");
  through.catch(() => undefined);
  const next = await cluster.leader(rest);
  expect(cluster.scheduler.nowMs - stalledAtMs).toBeLessThan(2 * electionTimeoutMs);
  expect(old.said("hands leadership over because of a stalled disk")).toBe(true);
  expect(old.member.diskStalls).toEqual({ stalls: 1, handovers: 1, resignations: 0 });

  await cluster.run(put(rest[0].member, "meanwhile", "3"));
  await cluster.run(put(rest[1].member, "meanwhile", "4"));
  await cluster.scheduler.runFor(20 * electionTimeoutMs);
  // It has not disturbed its successor.
  expect(await cluster.leader(rest)).toBe(next);
  expect(next.member.raft.term).toBe(term + 1);
  expect(old.isLeader).toBe(false);

  old.platform.disk.resumeSyncs();
  await cluster.run(put(rest[0].member, "after", "5"));
  expect(await everywhere(cluster, "after")).toEqual(["5", "5", "5"]);
  expect(await everywhere(cluster, "through")).toEqual(["2", "2", "2"]);
  await cluster.scheduler.runFor(electionTimeoutMs);
  expect(old.said("the disk writes again")).toBe(true);
  expect(next.isLeader).toBe(true);
});

test("it resigns when those it hands over to do not take over, and leads again when disks write again", async () => {
  const cluster = await VirtualCluster.found(3);
  const leader = await cluster.leader();
  for (const { platform } of cluster.members) platform.disk.times.isSyncStalled = true;
  put(leader.member, "lost or not", "1").catch(() => undefined);
  await cluster.scheduler.runUntil(() => leader.member.diskStalls.resignations > 0);
  expect(leader.member.diskStalls).toEqual({ stalls: 1, handovers: 2, resignations: 1 });
  expect(leader.isLeader).toBe(false);
  for (const { platform } of cluster.members) platform.disk.resumeSyncs();
  const next = await cluster.leader();
  await cluster.run(put(next.member, "after", "2"));
  expect(await everywhere(cluster, "after")).toEqual(["2", "2", "2"]);
});

test("it keeps leading, and serves reads, where the others are no majority without it", async () => {
  const cluster = await VirtualCluster.found(3);
  const leader = await cluster.leader();
  const [gone, left] = others(cluster, leader);
  await cluster.run(put(leader.member, "key", "value"));
  cluster.crash(gone);
  // The way to it is known to be broken only when nothing has come over it for a while.
  await cluster.scheduler.runFor(10 * electionTimeoutMs);
  leader.platform.disk.times.isSyncStalled = true;
  put(leader.member, "never", "1").catch(() => undefined);
  await cluster.scheduler.runFor(3 * electionTimeoutMs);
  expect(leader.isLeader).toBe(true);
  expect(leader.member.diskStalls).toEqual({ stalls: 1, handovers: 0, resignations: 0 });
  await cluster.run(readIndex(leader.member));
  await cluster.run(readIndex(left.member));
  expect(get(leader.member, "key")).toBe("value");
});

test("a single member keeps leading, whatever its disk does", async () => {
  const cluster = await VirtualCluster.found(1);
  const [{ member, platform }] = cluster.members;
  platform.disk.times.isSyncStalled = true;
  const written = put(member, "key", "value");
  await cluster.scheduler.runFor(5 * electionTimeoutMs);
  expect(member.raft.isLeader).toBe(true);
  await cluster.run(readIndex(member));
  platform.disk.resumeSyncs();
  await cluster.run(written);
});

test("syncs of 120 ms cost neither leadership nor heartbeats, and no read waits for one", async () => {
  const cluster = await VirtualCluster.found(3);
  const leader = await cluster.leader();
  for (const { platform } of cluster.members) platform.disk.times.syncMs = 120;
  const { term } = leader.member.raft;
  let isOver = false;
  const writing = (async () => {
    for (let round = 0; round < 50; round++) await put(leader.member, "key", String(round));
    isOver = true;
  })();
  let longestReadMs = 0;
  const reading = (async () => {
    while (!isOver) {
      const startedMs = cluster.scheduler.nowMs;
      await readIndex(leader.member);
      longestReadMs = Math.max(longestReadMs, cluster.scheduler.nowMs - startedMs);
      await new Promise<void>((resolve) => leader.platform.clock.setTimer(resolve, 7));
    }
  })();
  await cluster.run(Promise.all([writing, reading]));
  expect(longestReadMs).toBeLessThan(5);
  expect(leader.isLeader).toBe(true);
  expect(leader.member.raft.term).toBe(term);
  expect(leader.member.counters.heartbeatsLate).toBe(0);
  expect(leader.member.diskStalls.stalls).toBe(0);
  expect(leader.said(late)).toBe(false);
});

test("syncs that each take longer than an election timeout count as a stall, and writes go on elsewhere", async () => {
  const cluster = await VirtualCluster.found(3);
  const old = await cluster.leader();
  old.platform.disk.times.syncMs = 1.5 * electionTimeoutMs;
  put(old.member, "through", "1").catch(() => undefined);
  const next = await cluster.leader(others(cluster, old));
  await cluster.run(put(next.member, "key", "value"));
  expect(await everywhere(cluster, "key")).toEqual(["value", "value", "value"]);
});

test("a candidate wins nothing before its own vote is durable, were all others to vote for it", async () => {
  const cluster = await VirtualCluster.found(5);
  const leader = await cluster.leader();
  const [target] = others(cluster, leader);
  const campaigns = (): number => target.lines.filter((line) => line.includes("became candidate")).length;
  target.platform.disk.times.isSyncStalled = true;
  const before = campaigns();
  leader.member.moveLeader(target.member.memberId).catch(() => undefined);
  await cluster.scheduler.runFor(10 * electionTimeoutMs);
  expect(campaigns()).toBeGreaterThan(before);
  expect(target.said(`became leader at term ${target.member.raft.term}`)).toBe(false);
  expect(target.isLeader).toBe(false);
  const { term } = target.member.raft;

  // A crash: the term was never heard of by anybody, and may be begun again.
  cluster.crash(target);
  expect(others(cluster, target).every(({ member }) => member.raft.term < term)).toBe(true);
  await cluster.run(cluster.start(target));
  const next = await cluster.leader();
  await cluster.run(put(next.member, "key", "value"));
  expect(await everywhere(cluster, "key")).toEqual(Array.from({ length: 5 }, () => "value"));
});

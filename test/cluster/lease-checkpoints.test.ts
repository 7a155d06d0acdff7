/** What is left of long leases when the leader changes, in virtual time. */
import { expect, test } from "vitest";
import { LeaseGrantRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { propose } from "../support/member.ts";
import { VirtualCluster, type VirtualMember } from "../support/virtual-cluster.ts";

const id = 7n;
const ttlSeconds = 3_600;
/** Two checkpoints, which come every five minutes, and a little. */
const agedMs = 640_000;

/** Grants a lease, lets it age, and takes its leader away. @returns the cluster and its next leader. */
async function afterLeaderLoss(leaseCheckpoint: boolean): Promise<[VirtualCluster, VirtualMember]> {
  const cluster = await VirtualCluster.found(3, { leaseCheckpoint });
  const { member } = await cluster.leader();
  const request = LeaseGrantRequest.encode({ ID: id, TTL: BigInt(ttlSeconds) }).finish();
  await cluster.run(propose(member, "leaseGrant", request));
  await cluster.scheduler.runFor(agedMs);
  const lost = await cluster.leader();
  cluster.crash(lost);
  const survivors = cluster.members.filter((each) => each !== lost);
  return [cluster, await cluster.leader(survivors)];
}

async function secondsLeft(cluster: VirtualCluster, { member }: VirtualMember): Promise<number> {
  return (await cluster.run(member.leaseTimeToLive(id, false))).ttlSeconds;
}

test("without checkpoints a lease has its whole time again under the next leader", async () => {
  const [cluster, next] = await afterLeaderLoss(false);
  expect(await secondsLeft(cluster, next)).toBeGreaterThan(ttlSeconds - 5);
});

test("with checkpoints it has what was left at the last one, also after a restart, and a renewal gives it all back", async () => {
  const [cluster, next] = await afterLeaderLoss(true);
  const left = await secondsLeft(cluster, next);
  expect(left).toBeLessThanOrEqual(ttlSeconds - 600 + 2);
  expect(left).toBeGreaterThan(ttlSeconds - 610);

  for (const each of cluster.members) if (each.member.raft.leaderId !== undefined) cluster.crash(each);
  await cluster.run(Promise.all(cluster.members.map((each) => cluster.start(each))));
  await cluster.run(Promise.all(cluster.members.map(({ member }) => member.whenReady())));
  const last = await cluster.leader();
  expect(await secondsLeft(cluster, last)).toBeLessThanOrEqual(ttlSeconds - 600 + 2);

  const renewed = new Promise<number>((resolve, reject) => {
    last.member.renewLease(id, (error, ttl) => (error === undefined ? resolve(ttl) : reject(error)));
  });
  expect(await cluster.run(renewed)).toBe(ttlSeconds);
  expect(await secondsLeft(cluster, last)).toBeGreaterThan(ttlSeconds - 5);
  cluster.crash(last);
  const others = cluster.members.filter((each) => each !== last);
  expect(await secondsLeft(cluster, await cluster.leader(others))).toBeGreaterThan(ttlSeconds - 5);
});

test("a leader that was cut off hands a renewal to the one who leads now, once they meet again", async () => {
  const cluster = await VirtualCluster.found(3);
  const old = await cluster.leader();
  const request = LeaseGrantRequest.encode({ ID: id, TTL: 20n }).finish();
  await cluster.run(propose(old.member, "leaseGrant", request));
  const others = cluster.members.filter((each) => each !== old);
  for (const other of others) cluster.internet.cut(old.host, other.host);
  const outcome = new Promise<string>((resolve) => {
    old.member.renewLease(id, (error, ttl) => resolve(error?.reason ?? String(ttl)));
  });
  // Nobody may be told by a leader without followers that the lease goes on.
  let said: string | undefined;
  void outcome.then((text) => (said = text));
  await cluster.scheduler.runFor(900);
  expect(said).toBeUndefined();
  await cluster.leader(others);
  for (const other of others) cluster.internet.heal(old.host, other.host);
  expect(await cluster.run(outcome)).toMatch(/^(20|notPrimaryLessor)$/);
});

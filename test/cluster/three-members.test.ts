/** Three members of ours as real processes: what a cluster is for. */
import { afterEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { bytes, get, put, withClient } from "../support/client.ts";
import { eventually, TestCluster } from "../support/cluster.ts";

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.close();
});

const ours = [undefined, undefined, undefined];
const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `many/${index}`);

function onlyValue<T>(values: readonly T[]): T {
  for (const value of values) expect(value).toEqual(values[0]);
  return values[0];
}

test("writes through every member are seen by all, go on after the leader was killed, and reach it when it is back", async () => {
  cluster = await TestCluster.found(ours);
  const [first, second, third] = cluster.members;
  for (const member of cluster.members) {
    await withClient(member.endpoint, (client) => put(client, `through/${member.name}`, member.name));
  }
  for (const member of cluster.members) {
    for (const { name } of [first, second, third]) {
      expect(await withClient(member.endpoint, (client) => get(client, `through/${name}`))).toBe(name);
    }
  }
  onlyValue(await cluster.hashes());

  const leader = await cluster.leader();
  await leader.kill();
  const survivor = cluster.running();
  await cluster.leader();
  await withClient(survivor.endpoint, async (client) => {
    for (const key of many(50)) await put(client, key, "while one is away");
  });
  await cluster.start(leader);
  expect(await withClient(leader.endpoint, (client) => get(client, "many/49"))).toBe("while one is away");
  onlyValue(await cluster.hashes());
});

test("a member that fell behind the log gets a snapshot, and keeps it over a restart", async () => {
  cluster = await TestCluster.found(ours, ["--snapshot-count=200", "--snapshot-catchup-entries=50"]);
  const leader = await cluster.leader();
  const behind = cluster.running(leader);
  await withClient(leader.endpoint, (client) => put(client, "before", "1"));
  await behind.kill();
  await withClient(leader.endpoint, async (client) => {
    await client.call(methods.leaseGrant, { ID: 77n, TTL: 3_600n });
    for (let round = 0; round < 30; round++) {
      await Promise.all(many(100).map((key) => put(client, key, `round ${round}`, 77n)));
    }
  });
  await cluster.start(behind);
  expect(await withClient(behind.endpoint, (client) => get(client, "many/99"))).toBe("round 29");
  expect(await behind.process?.waitForLine("applied snapshot")).toBe(true);
  onlyValue(await cluster.hashes());
  const left = await withClient(behind.endpoint, (client) =>
    client.call(methods.leaseTimeToLive, { ID: 77n, keys: true }),
  );
  expect(left.keys).toHaveLength(100);
  // What it got is also on its disk.
  await behind.stop();
  await cluster.start(behind);
  onlyValue(await cluster.hashes());
});

test("leadership moves when asked, and before the leader stops", async () => {
  cluster = await TestCluster.found(ours);
  const leader = await cluster.leader();
  const next = cluster.running(leader);
  await cluster.moveLeader(next);
  expect(await cluster.leader()).toBe(next);
  const line = "leadership transfer finished";
  const { process } = next;
  await next.stop();
  expect(process?.lines.some((text) => text.includes(line))).toBe(true);
  await withClient(cluster.running().endpoint, (client) => put(client, "after", "stop"));
});

test("when all members are stopped at once, the leader does not wait for one that is gone to take over", async () => {
  cluster = await TestCluster.found(ours);
  await cluster.leader();
  const processes = cluster.members.map(({ process }) => process);
  await Promise.all(cluster.members.map((member) => member.stop()));
  const lines = processes.flatMap((process) => process?.lines ?? []);
  expect(lines.filter((text) => text.includes("leader transfer took too long"))).toEqual([]);
});

test("one of three is replaced by a fourth, and grown to five; a removed member stops itself", async () => {
  cluster = await TestCluster.found(ours);
  const leader = await cluster.leader();
  await withClient(leader.endpoint, (client) => put(client, "k", "v"));
  const replaced = cluster.running(leader);
  const { process } = replaced;
  await eventually("the member may be removed", () => cluster!.remove(replaced));
  expect(await process?.exit()).toBe(0);
  expect(process?.lines.some((line) => line.includes("permanently removed from the cluster"))).toBe(true);

  const fourth = await cluster.join("m4");
  expect(await withClient(fourth.endpoint, (client) => get(client, "k"))).toBe("v");
  const learner = await cluster.join("m5", { isLearner: true });
  expect((await learner.status()).isLearner).toBe(true);
  await expect(withClient(learner.endpoint, (client) => put(client, "x", "y"))).rejects.toThrow(
    "rpc not supported for learner",
  );
  const { memberId } = await learner.status();
  // Through a follower: it passes the request on to the leader.
  const follower = cluster.running(await cluster.leader());
  await eventually("the learner may be promoted", () =>
    withClient(follower.endpoint, (client) => client.call(methods.memberPromote, { ID: memberId })),
  );
  await eventually("the learner is a voter", async () => {
    expect((await learner.status()).isLearner).toBe(false);
  });
  const counts = await (await fetch(`${(await cluster.leader()).endpoint}/metrics`)).text();
  expect(counts).toMatch(/^etcd_server_learner_promote_successes 1$/m);
  const sixth = await cluster.join("m6");
  await withClient(sixth.endpoint, (client) => put(client, "k", "of five"));
  onlyValue(await cluster.hashes());
  const { members } = await withClient(sixth.endpoint, (client) => client.call(methods.memberList, {}));
  expect(members.filter(({ isLearner }) => !isLearner)).toHaveLength(5);
});

test("without a quorum a member refuses what needs one, and still serves what does not", async () => {
  cluster = await TestCluster.found(ours);
  await withClient(cluster.members[0].endpoint, (client) => put(client, "k", "v"));
  const [alone, ...others] = cluster.members;
  for (const other of others) await other.kill();
  await eventually("the leader is lost", async () => expect((await alone.status()).leaderId).toBe(0n));
  await withClient(alone.endpoint, async (client) => {
    await expect(
      client.call(methods.range, { key: bytes("k") }, { requireLeader: true, timeoutMs: 2_000 }),
    ).rejects.toThrow(/no leader|deadline/);
    const { kvs } = await client.call(methods.range, { key: bytes("k"), serializable: true });
    expect(kvs).toHaveLength(1);
  });
  const health = await fetch(`${alone.endpoint}/health`);
  expect([health.status, await health.json()]).toEqual([503, { health: "false", reason: "RAFT NO LEADER" }]);
});

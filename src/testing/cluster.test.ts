import { expect, test } from "vitest";
import { type Change, startCluster, type TestClient, type TestCluster } from "./index.ts";

test("under the manual clock a cluster elects, serves, and loses nothing with its leader", async () => {
  await using cluster = await startCluster({ size: 3, seed: 7, clock: "manual" });
  expect(await cluster.run(cluster.client.put("greeting", "hello"))).toBe(2n);
  const first = cluster.leader();
  cluster.crash(first);
  expect(first.isRunning).toBe(false);
  await cluster.advance(5_000);
  const second = cluster.leader();
  expect(second).not.toBe(first);
  expect(second.term).toBeGreaterThan(2);
  expect(await cluster.run(second.client.get("greeting"))).toBe("hello");
  await cluster.restart(first);
  expect(await cluster.run(first.client.get("greeting"))).toBe("hello");
});

test("the same seed gives the same run, another one another", async () => {
  const story = async (seed: number): Promise<string> => {
    await using cluster = await startCluster({ size: 3, seed, clock: "manual" });
    const seen: unknown[] = [];
    for (let round = 0; round < 3; round++) {
      seen.push(await cluster.run(cluster.client.put("round", `${round}`)), cluster.leader().name);
      const leader = cluster.leader();
      cluster.crash(leader);
      await cluster.advance(3_000);
      await cluster.restart(leader);
      seen.push(cluster.members.map(({ term, isLeader }) => [term, isLeader]));
    }
    return JSON.stringify(seen, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
  };
  expect(await story(3)).toBe(await story(3));
  expect(new Set(await Promise.all([story(4), story(5), story(6)])).size).toBeGreaterThan(1);
});

test("a minority serves no linearizable read, and joins in again when healed", async () => {
  await using cluster = await startCluster({ size: 5, seed: 2, clock: "manual" });
  await cluster.run(cluster.client.put("x", "old"));
  const [cutOff] = cluster.followers();
  const leader = cluster.leader();
  cluster.partition(cutOff, leader);
  await cluster.advance(5_000);
  const majority = cluster.leader();
  expect([cutOff, leader]).not.toContain(majority);
  await cluster.run(majority.client.put("x", "new"));
  await expect(cluster.run(cutOff.client.get("x"))).rejects.toThrow(/timed out|no leader|deadline/);
  cluster.heal();
  await cluster.advance(3_000);
  expect(await cluster.run(cutOff.client.get("x"))).toBe("new");
});

test("under the real clock members serve real ports and go on after a crash", async () => {
  await using cluster = await startCluster({ size: 3 });
  const changes: Change[] = [];
  cluster.client.watch("k", (change) => changes.push(change), { prefix: true, fromRevision: 1n });
  await cluster.client.put("k1", "a");
  const leader = cluster.leader();
  cluster.crash(leader);
  await expect.poll(() => cluster.members.some(({ isLeader }) => isLeader), { timeout: 30_000 }).toBe(true);
  await cluster.leader().client.put("k2", "b");
  await cluster.restart(leader);
  expect(await leader.client.get("k2")).toBe("b");
  await expect.poll(() => changes.map(({ key }) => key), { timeout: 30_000 }).toEqual(["k1", "k2"]);
});

test("an impossible size is refused", async () => {
  await expect(startCluster({ size: 0 })).rejects.toThrow("Cannot start a cluster of 0 members: 1 to 9 are possible");
});

/**
 * The example of docs/testing-with-quorate.md: a lock that is a key with a lease. Its holder works on a counter, and is
 * paused for longer than the lease in the middle of it.
 */
async function paused(cluster: TestCluster, work: Work): Promise<string | undefined> {
  const { client } = cluster;
  await cluster.run(client.put("counter", "0"));
  const lock = async (): Promise<void> => {
    const lease = await cluster.run(client.grant(5));
    while (!(await cluster.run(client.putIf("lock", 0n, "held", { lease })))) await cluster.advance(500);
  };
  await lock();
  const seen = await cluster.run(client.entry("counter"));
  await cluster.advance(10_000); // the first holder stands still; its lease runs out
  await lock();
  const second = await cluster.run(client.entry("counter"));
  await cluster.run(work(client, second?.value, second?.modRevision));
  await cluster.run(work(client, seen?.value, seen?.modRevision)); // it wakes up, and knows of nothing
  return cluster.run(client.get("counter"));
}

type Work = (client: TestClient, value: string | undefined, revision: bigint | undefined) => Promise<unknown>;

test("a naive lock loses an update, one that is checked by revision does not", async () => {
  await using cluster = await startCluster({ size: 3, seed: 1, clock: "manual" });
  const naive: Work = (client, value) => client.put("counter", `${Number(value) + 10}`);
  const seen: string[] = [];
  const checked: Work = async (client, value, revision = 0n) => {
    const done = await client.putIf("counter", revision, `${Number(value) + 10}`);
    seen.push(done ? "done" : "refused: the lock was lost");
  };
  // Two holders added ten each.
  expect(await paused(cluster, naive)).toBe("10");
  await cluster.run(cluster.client.delete("lock"));
  expect(await paused(cluster, checked)).toBe("10");
  expect(seen).toEqual(["done", "refused: the lock was lost"]);
});

/** What clients of a cluster notice when one of its members goes away, and what they do not. */
import { afterEach, expect, test } from "vitest";
import { AlarmType } from "../../src/alarm/alarm-store.ts";
import { methods } from "../../src/client/methods.ts";
import { bytes, put, withClient } from "../support/client.ts";
import { type ClusterMember, eventually, TestCluster } from "../support/cluster.ts";
import { page } from "../support/minority.ts";
import { program, runBeside } from "../support/process.ts";
import { watchOverLeaderLoss } from "../support/watch-over-loss.ts";

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.close();
});

const ours = [undefined, undefined, undefined];
const endpointsOf = ({ members }: TestCluster): string[] => members.map(({ endpoint }) => endpoint);

test("an alarm raised on one member is seen, and heeded, by all, until one of them takes it back", async () => {
  cluster = await TestCluster.found(ours, ["--quota-backend-bytes=4194304"]);
  const [first, second, third] = cluster.members;
  const value = new Uint8Array(1 << 20);
  const fill = async (): Promise<void> => {
    for (let count = 0; count < 64; count++) {
      await withClient(first.endpoint, (client) => put(client, `fill/${count}`, value));
    }
  };
  await expect(fill()).rejects.toThrow("etcdserver: mvcc: database space exceeded");
  const alarmsAt = (member: ClusterMember): Promise<number[]> =>
    withClient(member.endpoint, async (client) => {
      const { alarms } = await client.call(methods.alarm, { action: 0, memberID: 0n, alarm: 0 });
      return alarms.map(({ alarm }) => alarm);
    });
  for (const member of [first, second, third]) {
    await eventually(`${member.name} knows of the alarm`, async () => {
      expect(await alarmsAt(member)).toContain(AlarmType.NoSpace);
    });
    await expect(withClient(member.endpoint, (client) => put(client, "k", "v"))).rejects.toThrow("space exceeded");
    expect(await page(member, "/health")).toEqual({ status: 503, body: '{"health":"false","reason":"ALARM NOSPACE"}' });
    expect((await page(member, "/health?exclude=NOSPACE")).status).toBe(200);
  }
  await withClient(second.endpoint, async (client) => {
    const { header } = await client.call(methods.deleteRange, { key: bytes("fill/"), rangeEnd: bytes("fill0") });
    await client.call(methods.compact, { revision: header?.revision ?? 0n, physical: true });
  });
  for (const member of [first, second, third]) {
    await withClient(member.endpoint, (client) => client.call(methods.defragment, {}));
  }
  const disarm = ["--endpoints", second.endpoint, "alarm", "disarm"];
  expect(await runBeside(program("etcdctl"), disarm)).toMatchObject({ code: 0 });
  for (const member of [first, second, third]) {
    await eventually(`${member.name} takes writes again`, async () => {
      await withClient(member.endpoint, (client) => put(client, "k", "v"));
      expect(await page(member, "/health")).toEqual({ status: 200, body: '{"health":"true","reason":""}' });
    });
  }
});

test("a watch sees every event once although its leader is killed, in the library and in etcdctl", async () => {
  cluster = await TestCluster.found(ours);
  await watchOverLeaderLoss(cluster, program("etcdctl"));
});

test("a lease outlives its leader, with its whole time again, and ends under the next", async () => {
  cluster = await TestCluster.found(ours);
  const leader = await cluster.leader();
  const ttlSeconds = 5;
  const id = await withClient(leader.endpoint, async (client) => {
    const { ID } = await client.call(methods.leaseGrant, { TTL: BigInt(ttlSeconds) });
    await put(client, "leased", "v", ID);
    return ID;
  });
  await leader.kill();
  await cluster.leader();
  const electedMs = performance.now();
  const survivor = cluster.running();
  await withClient(survivor.endpoint, async (client) => {
    const { TTL } = await client.call(methods.leaseTimeToLive, { ID: id, keys: true });
    expect(Number(TTL)).toBeGreaterThanOrEqual(ttlSeconds - 2);
    await eventually("the key is gone", async () => {
      expect((await client.call(methods.range, { key: bytes("leased") })).kvs).toEqual([]);
    });
  });
  expect(performance.now() - electedMs).toBeGreaterThan((ttlSeconds - 2) * 1_000);
});

test("a leader that was stopped for a while renews nothing from its own clock, nor does it revoke what others keep", async () => {
  cluster = await TestCluster.found(ours);
  const old = await cluster.leader();
  const id = await withClient(old.endpoint, async (client) => {
    const { ID } = await client.call(methods.leaseGrant, { TTL: 4n });
    await put(client, "kept", "v", ID);
    return ID;
  });
  old.process?.signal("SIGSTOP");
  const awake = cluster.running(old);
  await eventually("another one leads", async () => {
    const { leaderId } = await awake.status();
    expect([0n, (await idOf(old))!]).not.toContain(leaderId);
  });
  const keepAlive = async (member: ClusterMember): Promise<bigint> => renewOnce(member, id);
  for (let count = 0; count < 12; count++) {
    expect(await keepAlive(awake)).toBe(4n);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  old.process?.signal("SIGCONT");
  expect(await keepAlive(old)).toBe(4n);
  await eventually("the old one follows", async () => expect((await old.status()).leaderId).not.toBe(await idOf(old)));
  expect(
    await withClient(
      awake.endpoint,
      async (client) => (await client.call(methods.range, { key: bytes("kept") })).count,
    ),
  ).toBe(1n);
});

async function idOf(member: ClusterMember): Promise<bigint | undefined> {
  const other = cluster?.running(member);
  if (other === undefined) return undefined;
  const { members } = await withClient(other.endpoint, (client) => client.call(methods.memberList, {}));
  return members.find(({ name }) => name === member.name)?.ID;
}

/** @returns the time that the lease has again. */
function renewOnce(member: ClusterMember, id: bigint): Promise<bigint> {
  return withClient(member.endpoint, async (client) => {
    const stream = await client.open(methods.leaseKeepAlive);
    await stream.send({ ID: id });
    for await (const { TTL } of stream) return TTL;
    throw new Error("the stream ended without an answer");
  });
}

test("with the first endpoint dead or stopped etcdctl goes to the next", async () => {
  cluster = await TestCluster.found(ours);
  const endpoints = endpointsOf(cluster);
  const [first] = cluster.members;
  const etcdctl = (...args: string[]) => runBeside(program("etcdctl"), ["--endpoints", endpoints.join(), ...args]);
  expect(await etcdctl("put", "k", "v")).toMatchObject({ code: 0, stdout: "OK\n" });
  first.process?.signal("SIGSTOP");
  await eventually("the others have a leader", async () => {
    const { leaderId } = await cluster!.members[1].status();
    expect([0n, await idOf(first)]).not.toContain(leaderId);
  });
  // Its kernel still accepts connections for it.
  for (let count = 0; count < 3; count++)
    expect(await etcdctl("get", "k")).toMatchObject({ code: 0, stdout: "k\nv\n" });
  first.process?.signal("SIGCONT");
  await first.kill();
  await eventually("a write is taken", async () => expect(await etcdctl("put", "k", "w")).toMatchObject({ code: 0 }));
  expect(await etcdctl("get", "k")).toMatchObject({ code: 0, stdout: "k\nw\n" });
});

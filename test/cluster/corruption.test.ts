/** Members that compare their data: silent while it is equal; one whose database was changed behind its back is found. */
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { Backend } from "../../src/storage/backend/backend.ts";
import { decodeKeyValue, encodeKeyValue } from "../../src/wire/hot/key-value.ts";
import { bytes, put, withClient } from "../support/client.ts";
import { type ClusterMember, eventually, TestCluster } from "../support/cluster.ts";
import { program, ServerProcess } from "../support/process.ts";

let cluster: TestCluster;
afterEach(async () => {
  await cluster.close();
});

const ours = [undefined, undefined, undefined];

/** Replaces the newest value that the database holds. */
async function corrupt(member: ClusterMember): Promise<void> {
  const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("fatal") });
  const backend = await Backend.open(disk, clock, log, join(member.dataDir, "member", "snap", "db"));
  const { main, sub } = backend.lastRow() ?? { main: 0, sub: 0 };
  const row = backend.getRow(main, sub, false);
  if (row === undefined) throw new Error("there is no row to change");
  backend.putRow(main, sub, false, encodeKeyValue({ ...decodeKeyValue(row), value: bytes("changed") }));
  await backend.close();
}

async function alarms(member: ClusterMember): Promise<{ memberID: bigint; alarm: number }[]> {
  const { alarms: found } = await withClient(member.endpoint, (client) => client.call(methods.alarm, {}));
  return found;
}

test("a member with other data does not start when it is to check first", async () => {
  cluster = await TestCluster.found(ours, ["--experimental-initial-corrupt-check=true"]);
  const leader = await cluster.leader();
  const changed = cluster.running(leader);
  await withClient(leader.endpoint, (client) => put(client, "k", "v"));
  await changed.stop();
  await cluster.start(changed);
  expect(await changed.process?.waitForLine("initial corruption checking passed")).toBe(true);
  await changed.stop();
  await corrupt(changed);
  const refused = await ServerProcess.launch({
    command: program("etcd"),
    dataDir: changed.dataDir,
    ports: changed.ports,
    args: [`--name=${changed.name}`, "--feature-gates=InitialCorruptCheck=true"],
  });
  expect(await refused.exit()).toBe(1);
  expect(refused.lines.some((line) => line.includes("found data inconsistency with peers"))).toBe(true);
});

test("the leader raises the alarm for a member with other data, and for nobody before", async () => {
  cluster = await TestCluster.found(ours, [
    "--corrupt-check-time=300ms",
    "--feature-gates=CompactHashCheck=true",
    "--compact-hash-check-time=300ms",
  ]);
  const leader = await cluster.leader();
  const changed = cluster.running(leader);
  await withClient(leader.endpoint, async (client) => {
    for (let number = 0; number < 50; number++) await put(client, "k", `${number}`);
    await client.call(methods.compact, { revision: 30n, physical: true });
    await put(client, "other", "x");
  });
  // Many rounds of both checks.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect(await alarms(leader)).toEqual([]);
  await changed.stop();
  await withClient(leader.endpoint, (client) => put(client, "while", "away"));
  await corrupt(changed);
  await cluster.start(changed);
  const { memberId } = await changed.status();
  await eventually("the alarm is raised", async () => {
    for (const member of cluster.members) {
      expect(await alarms(member)).toEqual([{ memberID: memberId, alarm: 2 }]);
    }
  });
  await expect(withClient(leader.endpoint, (client) => put(client, "k", "v"))).rejects.toThrow("corrupt cluster");
});

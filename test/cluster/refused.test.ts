/** Members that do not belong to the cluster whose URLs they were given: refused, and nothing changes. */
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { get, put, withClient } from "../support/client.ts";
import { type ClusterMember, eventually, TestCluster } from "../support/cluster.ts";
import { freePorts, ServerProcess } from "../support/process.ts";

let cluster: TestCluster;
const strangers: ServerProcess[] = [];

beforeEach(async () => {
  cluster = await TestCluster.found([undefined, undefined, undefined], ["--initial-cluster-token=right"]);
  await withClient(cluster.members[0].endpoint, (client) => put(client, "k", "v"));
});

afterEach(async () => {
  for (const stranger of strangers.splice(0)) await stranger.kill();
  await cluster.close();
});

interface Stranger {
  readonly name: string;
  readonly ports: { readonly client: number; readonly peer: number };
  readonly dataDir?: string;
  readonly initialCluster: string;
  readonly args?: readonly string[];
}

async function start({ name, ports, dataDir, initialCluster, args = [] }: Stranger): Promise<ServerProcess> {
  const process = await ServerProcess.launch({
    dataDir: dataDir ?? join(cluster.folder, `stranger-${name}`),
    ports,
    founding: [`--initial-cluster=${initialCluster}`],
    args: [`--name=${name}`, "--initial-cluster-token=right", ...args],
  });
  strangers.push(process);
  return process;
}

const listOf = (members: readonly ClusterMember[]): string =>
  members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");

async function newPorts(): Promise<Stranger["ports"]> {
  const [client, peer] = await freePorts(2);
  return { client, peer };
}

async function expectUnchanged(size = 3): Promise<void> {
  const via = cluster.running();
  await eventually("the cluster serves", async () => {
    const { members } = await withClient(via.endpoint, (client) => client.call(methods.memberList, {}));
    expect(members).toHaveLength(size);
    expect(await withClient(via.endpoint, (client) => get(client, "k"))).toBe("v");
  });
}

/** The member ended, and this stands in its log as the reason. */
async function expectRefused(process: ServerProcess, text: string): Promise<void> {
  expect(await process.exit()).toBe(1);
  expect(process.lines.filter((line) => line.includes('"level":"fatal"')).join("\n")).toContain(text);
}

test("joining is refused when the cluster was not told, or was told of somebody else", async () => {
  const ports = await newPorts();
  const url = `http://127.0.0.1:${ports.peer}`;
  const existing = ["--initial-cluster-state=existing"];
  const untold = { name: "m4", ports, initialCluster: `${listOf(cluster.members)},m4=${url}`, args: existing };
  await expectRefused(await start(untold), "member count is unequal");

  await eventually("m4 may be added", () =>
    withClient(cluster.running().endpoint, (client) =>
      client.call(methods.memberAdd, { peerURLs: ["http://127.0.0.1:1"], isLearner: true }),
    ),
  );
  const process = await start(untold);
  await expectRefused(process, "PeerURLs: no match found for existing member");
  expect(process.lines.join("\n")).toContain(`resolved urls: \\"http://127.0.0.1:1\\" != `);
  await expectUnchanged(4);
});

test("joining is refused when nobody of the cluster answers", async () => {
  const ports = await newPorts();
  const process = await start({
    name: "m4",
    ports,
    initialCluster: `m1=http://127.0.0.1:1,m4=http://127.0.0.1:${ports.peer}`,
    args: ["--initial-cluster-state=existing"],
  });
  await expectRefused(process, "could not retrieve cluster information from the given URLs");
});

test("a peer URL in use is refused, to a member that is added and to one that listens", async () => {
  const [first, second] = cluster.members;
  await eventually("the cluster is well connected, and refuses", () =>
    expect(
      withClient(first.endpoint, (client) => client.call(methods.memberAdd, { peerURLs: [second.peerUrl] })),
    ).rejects.toThrow("etcdserver: Peer URLs already exists"),
  );
  const { client } = await newPorts();
  const process = await start({
    name: second.name,
    ports: { client, peer: second.ports.peer },
    initialCluster: listOf(cluster.members),
  });
  await expectRefused(process, `listen tcp 127.0.0.1:${second.ports.peer}: bind: address already in use`);
  await expectUnchanged();
});

test("a member that lost its data is refused as a founder", async () => {
  const [, , third] = cluster.members;
  await third.kill();
  const { memberId } = await idOf(third);
  const process = await start({ name: third.name, ports: third.ports, initialCluster: listOf(cluster.members) });
  await expectRefused(process, `member ${memberId.toString(16)} has already been bootstrapped`);
  await expectUnchanged();
});

test("a member that was removed while it was down stops when it is started on its data", async () => {
  const [first, , third] = cluster.members;
  const { memberId } = await idOf(third);
  await third.kill();
  await eventually("it may be removed", () =>
    withClient(first.endpoint, (client) => client.call(methods.memberRemove, { ID: memberId })),
  );
  const list = listOf(cluster.members);
  const { name, ports, dataDir } = third;
  for (let time = 0; time < 2; time++) {
    const process = await start({ name, ports, dataDir, initialCluster: list });
    expect(await process.exit()).toBe(0);
    const text = process.lines.join("\n");
    expect(text).toContain("the member has been permanently removed from the cluster");
    expect(text.split("data-dir used by this member must be removed")).toHaveLength(2);
  }
  await expectUnchanged(2);
});

test("a cluster of another token on the same URLs is ignored, and that is said once", async () => {
  const [first, second, third] = cluster.members;
  await third.kill();
  const process = await start({
    name: third.name,
    ports: third.ports,
    initialCluster: listOf(cluster.members),
    args: ["--initial-cluster-token=wrong"],
  });
  const mismatch = /cluster ID mismatch/;
  const said = (by: ServerProcess | undefined): string[] => by?.lines.filter((line) => mismatch.test(line)) ?? [];
  for (const each of [process, first.process, second.process]) {
    await eventually("the mismatch is logged", async () => expect(said(each)).not.toEqual([]));
  }
  await expectUnchanged();
  // A time in which the members would have said it dozens of times: heartbeats go on.
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  for (const each of [process, first.process, second.process]) {
    // Each way on which the two meet counts: streams and posts, asked and answered.
    expect(said(each).length, said(each).join("\n")).toBeLessThan(12);
  }
  expect(process.lines.some((line) => line.includes("ready to serve"))).toBe(false);
});

async function idOf({ name }: ClusterMember): Promise<{ memberId: bigint }> {
  const { members } = await withClient(cluster.members[0].endpoint, (client) => client.call(methods.memberList, {}));
  return { memberId: members.find((member) => member.name === name)?.ID ?? 0n };
}

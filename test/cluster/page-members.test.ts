/** The Kubernetes page's procedures on members, as they stand there: start, lose, replace, scale out. */
import { afterEach, expect, test } from "vitest";
import { freePorts, program, ServerProcess } from "../support/process.ts";
import { eventually } from "../support/cluster.ts";
import { Writer } from "../support/writer.ts";
import { PageCluster, type PageMember, printedEnvironment } from "./page.ts";

let cluster: PageCluster | undefined;
let writer: Writer | undefined;
afterEach(async () => {
  await writer?.stop();
  await cluster?.close();
  writer = undefined;
});

function startWriting(): Writer {
  writer = new Writer(() => cluster?.members ?? []);
  return writer;
}

/** Ends the load; nothing that was acknowledged is missing anywhere. */
async function finish(): Promise<void> {
  await writer?.stop();
  for (const member of cluster?.running ?? []) await writer?.expectAllThere(member);
  await cluster?.expectEqual();
}

/** Adds through etcdctl and starts with what it prints, as the page does. */
async function addMember(...flags: string[]): Promise<PageMember> {
  const member = cluster!.newMember();
  const output = await eventually(`${member.name} may be added`, () =>
    cluster!.etcdctl("member", "add", member.name, `--peer-urls=${member.peerUrl}`, ...flags),
  );
  expect(output).toMatch(/^Member +[0-9a-f]+ added (as learner )?to cluster +[0-9a-f]+\n/);
  const env = printedEnvironment(output);
  expect(env).toMatchObject({
    ETCD_NAME: member.name,
    ETCD_INITIAL_CLUSTER_STATE: "existing",
    ETCD_INITIAL_ADVERTISE_PEER_URLS: member.peerUrl,
  });
  expect(env["ETCD_INITIAL_CLUSTER"]?.split(",")).toContain(`${member.name}=${member.peerUrl}`);
  await cluster!.start(member, env);
  return member;
}

test("the page's start commands: one member, also with five client URLs", async () => {
  cluster = await PageCluster.prepare(1);
  const [clientPort, peerPort] = await freePorts(2);
  for (const addresses of [1, 5]) {
    const urls = Array.from({ length: addresses }, (_, index) => `http://127.0.0.${index + 1}:${clientPort}`);
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const server = ServerProcess.spawn({
      command: program("etcd"),
      flags: [
        `--listen-client-urls=${urls.join(",")}`,
        `--advertise-client-urls=${urls.join(",")}`,
        `--data-dir=${cluster.folder}/${addresses}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=default=${peerUrl}`,
      ],
      env: {},
      port: clientPort,
      peerUrl,
    });
    try {
      expect(await server.becomesReady(), server.lines.join("\n")).toBe(true);
      for (const url of urls) {
        expect(await cluster.etcdctl("--endpoints", url, "put", "k", url)).toBe("OK\n");
      }
      expect(await cluster.etcdctl("--endpoints", urls.join(","), "get", "k", "--print-value-only")).toBe(
        `${urls.at(-1)}\n`,
      );
      const list = await cluster.etcdctl("--endpoints", urls[0], "member", "list");
      expect(list).toBe(`${list.split(",")[0]}, started, default, ${peerUrl}, ${urls.join(",")}, false\n`);
    } finally {
      await server.stop();
    }
  }
});

test("five members: with one lost, then two, the rest serve; with three nobody writes; back they catch up", async () => {
  cluster = await PageCluster.found(5);
  const load = startWriting();
  await load.goesOn();
  const [first, second, third] = cluster.members;
  for (const lost of [first, second]) {
    await lost.kill();
    await load.goesOn();
    expect(await cluster.etcdctl("put", "with-lost", lost.name)).toBe("OK\n");
  }
  await load.stop();
  await third.kill();
  const refused = await cluster.tryEtcdctl("put", "k", "v", "--command-timeout=2s");
  expect(refused.code).not.toBe(0);
  for (const back of [first, second, third]) {
    await cluster.start(back, { ETCD_NAME: back.name, ETCD_INITIAL_CLUSTER_STATE: "existing" });
  }
  await finish();
  expect(await cluster.etcdctl("get", "with-lost", "--print-value-only")).toBe("member2\n");
});

test("a failed member is replaced: member list, member remove, member add, start with what was printed", async () => {
  cluster = await PageCluster.found(3);
  const load = startWriting();
  await load.goesOn();
  const [failed, second, third] = cluster.members;
  await failed.kill();
  await load.goesOn();

  const endpoints = `${second.clientUrl},${third.clientUrl}`;
  const list = await cluster.etcdctl(`--endpoints=${endpoints}`, "member", "list");
  const row = list.split("\n").find((line) => line.includes("member1"));
  expect(row).toMatch(new RegExp(`^[0-9a-f]{15,16}, started, member1, ${failed.peerUrl}, ${failed.clientUrl}, false$`));
  const id = row!.split(",")[0];
  expect(await cluster.etcdctl("member", "remove", id)).toMatch(
    new RegExp(`^Member +${id} removed from cluster +[0-9a-f]+\n$`),
  );
  cluster.members.shift();
  await load.goesOn();

  const fourth = await addMember();
  expect(fourth.name).toBe("member4");
  await load.goesOn();
  await finish();
  const after = await cluster.etcdctl("member", "list");
  expect(
    after
      .trim()
      .split("\n")
      .map((line) => line.split(", ").slice(1, 3).join(" "))
      .sort(),
  ).toEqual(["started member2", "started member3", "started member4"]);
  const health = await cluster.tryEtcdctl("endpoint", "health", "--cluster");
  expect(health).toMatchObject({ code: 0 });
  // The one that was removed does not come back with its old data.
  await expect(cluster.start(failed, { ETCD_NAME: "member1" })).rejects.toThrow("removed from the cluster");
});

test.each([
  ["as voters", []],
  ["as learners that are promoted", ["--learner"]],
])("three become five, one by one, %s", async (_, flags) => {
  cluster = await PageCluster.found(3);
  const load = startWriting();
  await load.goesOn();
  for (const size of [4, 5]) {
    const member = await addMember(...flags);
    if (flags.length > 0) {
      const list = await cluster.etcdctl("member", "list");
      const row = list.split("\n").find((line) => line.includes(member.name));
      expect(row?.endsWith(", true")).toBe(true);
      const output = await eventually("the learner may be promoted", () =>
        cluster!.etcdctl("member", "promote", row!.split(",")[0]),
      );
      expect(output).toMatch(/^Member +[0-9a-f]+ promoted in cluster +[0-9a-f]+\n$/);
    }
    await load.goesOn();
    expect((await cluster.etcdctl("member", "list")).trim().split("\n")).toHaveLength(size);
  }
  // Five bear the loss of two.
  for (const lost of cluster.members.slice(0, 2)) await lost.kill();
  await load.goesOn();
  await finish();
});

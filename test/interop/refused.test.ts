/** Members that must not start say so in etcd's words: the same mistakes, made with our program and with Go's. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { withClient } from "../support/client.ts";
import { eventually, TestCluster } from "../support/cluster.ts";
import { freePorts, program, ServerProcess } from "../support/process.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "refused starts"), () => {
  let cluster: TestCluster;
  let runs = 0;
  beforeAll(async () => {
    cluster = await TestCluster.found([undefined, undefined, undefined]);
  });
  afterAll(() => cluster.close());

  /** Starts a member that must not start. @returns the error of its last line. */
  async function refusal(
    command: string,
    args: readonly string[],
    ports: { client: number; peer: number },
  ): Promise<string> {
    const process = await ServerProcess.launch({
      command,
      ports,
      dataDir: join(cluster.folder, `refused-${++runs}`),
      founding: [],
      args,
    });
    expect(await process.exit()).toBe(1);
    const line = process.lines.findLast((each) => /"level":"fatal"|failed to start/.test(each)) ?? "{}";
    const { error = process.lines.join("\n") } = JSON.parse(line) as { error?: string };
    // Go prints members in any order.
    return error.replace(
      /Members:\[(.*)\] Removed/,
      (_, list: string) => `Members:[${list.split(" &").sort().join(" &")}] Removed`,
    );
  }

  const list = (): string => cluster.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
  const existing = "--initial-cluster-state=existing";

  const mistakes: Record<string, (own: string) => string[]> = {
    "the name is not in the list": () => ["--name=q", "--initial-cluster=p=http://127.0.0.1:1"],
    "another URL is advertised": (own) => [
      "--name=q",
      "--initial-cluster=q=http://127.0.0.1:1",
      `--initial-advertise-peer-urls=${own}`,
    ],
    "one URL more is advertised": (own) => [
      "--name=q",
      `--initial-cluster=q=${own}`,
      `--initial-advertise-peer-urls=${own},http://127.0.0.1:1`,
    ],
    "one URL more is in the list": (own) => [
      "--name=q",
      `--initial-cluster=q=${own},q=http://127.0.0.1:1`,
      `--initial-advertise-peer-urls=${own}`,
    ],
    "a URL stands twice": (own) => [
      "--name=q",
      `--initial-cluster=q=${own},p=http://127.0.0.1:1,r=http://127.0.0.1:1`,
      `--initial-advertise-peer-urls=${own}`,
    ],
    "a URL has no scheme": () => ["--name=q", "--initial-cluster=q=127.0.0.1"],
    "a URL has no port": () => ["--name=q", "--initial-cluster=q=http://127.0.0.1"],
    "a name has no URL": () => ["--name=q", "--initial-cluster=q"],
    "nobody to join answers": (own) => ["--name=q", `--initial-cluster=q=${own},p=http://127.0.0.1:1`, existing],
    "the cluster was not told": (own) => ["--name=q", `--initial-cluster=${list()},q=${own}`, existing],
    "the list to join lacks the member": () => ["--name=q", `--initial-cluster=${list()}`, existing],
    "the cluster was told of another URL": (own) => [
      "--name=m1",
      `--initial-cluster=${list().replace(cluster.members[0].peerUrl, own)}`,
      existing,
    ],
    "SRV records are not there": () => ["--name=q", "--discovery-srv=quorate.invalid"],
  };

  test.each(Object.keys(mistakes))("both refuse, in the same words, when %s", async (mistake) => {
    const [client, peer] = await freePorts(2);
    const args = mistakes[mistake](`http://127.0.0.1:${peer}`);
    const theirs = await refusal(theGoEtcd("3.6").etcd, args, { client, peer });
    expect(await refusal(program("etcd"), args, { client, peer })).toBe(theirs);
  });

  test("both refuse to found again what they belonged to", async () => {
    const [first, , third] = cluster.members;
    await third.kill();
    const args = ["--name=m3", `--initial-cluster=${list()}`];
    const theirs = await refusal(theGoEtcd("3.6").etcd, args, third.ports);
    expect(theirs).toContain("has already been bootstrapped");
    expect(await refusal(program("etcd"), args, third.ports)).toBe(theirs);
    await eventually("the cluster is as before", async () => {
      const { members } = await withClient(first.endpoint, (each) => each.call(methods.memberList, {}));
      expect(members).toHaveLength(3);
    });
  });
});

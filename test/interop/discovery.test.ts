/** Founding a cluster of both kinds, by a registry of either kind and by DNS. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { get, put, withClient } from "../support/client.ts";
import { Discovered, mayServeDns, namesAt, zoneOfThree } from "../support/discovery.ts";
import { program, runBeside } from "../support/process.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "discovery"), () => {
  let found: Discovered;
  beforeEach(() => {
    found = new Discovered();
  });
  afterEach(() => found.close());

  async function serveTogether(): Promise<void> {
    for (const member of found.members) expect(await member.becomesReady()).toBe(true);
    const [first, second, third] = found.members.map(({ endpoint }) => endpoint);
    expect(await namesAt(first)).toEqual(["m1", "m2", "m3"]);
    await withClient(second, (client) => put(client, "k", "found"));
    expect(await withClient(third, (client) => get(client, "k"))).toBe("found");
  }

  test.each(["Go", "ours"] as const)("both kinds found a cluster with a registry that is %s", async (kind) => {
    const { etcd } = theGoEtcd("3.6");
    await found.openRegistry(kind === "Go" ? etcd : undefined, "mixed", "3");
    await found.register("m1", "mixed");
    await found.register("m2", "mixed", etcd);
    await found.register("m3", "mixed");
    await serveTogether();
    for (const command of [etcd, undefined]) {
      const late = await found.register(`late-${command === undefined ? "ours" : "go"}`, "mixed", command);
      expect(await late.exit()).toBe(1);
      expect(late.lines.join("\n")).toContain("failed to join discovery cluster (discovery: cluster is full)");
    }
  });

  test.skipIf(!mayServeDns())("both kinds found a cluster by SRV records, and either etcdctl finds it", async () => {
    const { etcd, etcdctl } = theGoEtcd("3.6");
    const { ports, zone } = await zoneOfThree();
    await found.openDns(zone);
    await found.startBySrv("m1", ports[0], { command: etcd });
    await found.startBySrv("m2", ports[1]);
    await found.startBySrv("m3", ports[2]);
    await serveTogether();
    for (const tool of [etcdctl, program("etcdctl")]) {
      const answer = await runBeside(found.withDns(tool), ["--discovery-srv=quorate.test", "get", "k"]);
      expect(answer).toMatchObject({ code: 0, stdout: "k\nfound\n" });
    }
  });
});

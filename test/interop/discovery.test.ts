/** Founding a cluster of both kinds, by a registry of either kind and by DNS. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { get, put, withClient } from "../support/client.ts";
import { Discovered, mayServeDns, namesAt, zoneOfThree } from "../support/discovery.ts";
import { program, runBeside } from "../support/process.ts";
import { V2Service } from "../support/v2-service.ts";
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

  test("both kinds found a cluster by a v2 service", async () => {
    const { etcd } = theGoEtcd("3.6");
    const service = await V2Service.start();
    try {
      service.set("/token/_config/size", "3");
      await found.registerAtV2("m1", `${service.url}/token`);
      await found.registerAtV2("m2", `${service.url}/token`, etcd);
      await found.registerAtV2("m3", `${service.url}/token`);
      await serveTogether();
    } finally {
      await service.close();
    }
  });

  test("what a v2 service refuses, both report in the same words", async () => {
    const { etcd } = theGoEtcd("3.6");
    const service = await V2Service.start();
    try {
      service.set("/full/_config/size", "1");
      service.set("/full/abc", "other=http://127.0.0.1:1");
      service.set("/odd/_config/size", "three");
      service.set("/names/_config/size", "2");
      service.set("/names/abc", "m=http://127.0.0.1:1");
      service.set("/urls/_config/size", "2");
      service.set("/urls/abc", "other=nonsense");
      const said = async (command: string | undefined, token: string): Promise<string[]> => {
        // The order of events, not their time, decides; Go panics nowhere here, and ends with 1 as ours does.
        const folder = `m-${token}-${command === undefined ? "ours" : "go"}`;
        const member = await found.registerAtV2(folder, `${service.url}/${token}`, command, ["--name=m"]);
        expect(await member.ends()).toBe(1);
        const lines = member.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
        return lines
          .filter(({ msg }) => /discovery token|duplicated name|has been registered|cURL/.test(String(msg)))
          .map(({ level, msg, error }) => `${String(level)} ${String(msg)} ${String(error)}`.replace(/\[\d+\]/, "[n]"));
      };
      for (const token of ["full", "odd", "unknown", "names", "urls"]) {
        const go = await said(etcd, token);
        expect(go.length).toBeGreaterThan(0);
        // A second registration under one name would wait for the first of Go's.
        if (token === "names" || token === "urls") continue;
        expect(await said(undefined, token)).toEqual(go);
      }
      service.set("/names2/_config/size", "2");
      service.set("/names2/abc", "m=http://127.0.0.1:1");
      expect((await said(undefined, "names2")).join()).toContain(
        "member with duplicated name has already been registered",
      );
      service.set("/urls2/_config/size", "2");
      service.set("/urls2/abc", "other=nonsense");
      expect((await said(undefined, "urls2")).join()).toContain("(discovery: invalid URL)");
    } finally {
      await service.close();
    }
  });
});

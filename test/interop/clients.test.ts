/** Go's command line as a client of a cluster of ours that loses members. */
import { afterEach, describe, expect, test } from "vitest";
import { eventually, TestCluster } from "../support/cluster.ts";
import { runBeside } from "../support/process.ts";
import { watchOverLeaderLoss } from "../support/watch-over-loss.ts";
import { goEtcd, releases, theGoEtcd, titleFor } from "./go-etcd.ts";

describe.each(releases)("Go etcdctl %s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "clients over lost members"), () => {
    let cluster: TestCluster | undefined;
    afterEach(async () => {
      await cluster?.close();
    });

    test("its watch sees every event once although leaders are killed", async () => {
      cluster = await TestCluster.found([undefined, undefined, undefined]);
      await watchOverLeaderLoss(cluster, theGoEtcd(release).etcdctl);
    });

    test("it goes to another endpoint when the first is stopped or dead", async () => {
      cluster = await TestCluster.found([undefined, undefined, undefined]);
      const [first, second] = cluster.members;
      await cluster.moveLeader(second);
      const endpoints = cluster.members.map(({ endpoint }) => endpoint).join();
      const etcdctl = (...args: string[]) => runBeside(theGoEtcd(release).etcdctl, ["--endpoints", endpoints, ...args]);
      expect(await etcdctl("put", "k", "v")).toMatchObject({ code: 0, stdout: "OK\n" });
      first.process?.signal("SIGSTOP");
      for (let count = 0; count < 3; count++) {
        expect(await etcdctl("get", "k")).toMatchObject({ code: 0, stdout: "k\nv\n" });
      }
      first.process?.signal("SIGCONT");
      await first.kill();
      await eventually("a write is taken", async () => {
        expect(await etcdctl("put", "k", "w")).toMatchObject({ code: 0 });
      });
    });
  });
});

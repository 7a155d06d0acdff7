/** Every mix of three members of Go's and ours: each leads in turn, under load, and each serves all kinds of writes. */
import { afterEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { withClient } from "../support/client.ts";
import { eventually } from "../support/cluster.ts";
import { goEtcd, releases, titleFor } from "./go-etcd.ts";
import { MixedCluster, mixes, versionsOf } from "./mixed-cluster.ts";
import { mixedLoad, patient } from "./workload.ts";

let mixed: MixedCluster | undefined;
afterEach(async () => {
  await mixed?.close();
});

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "mixed clusters, leaders"), () => {
    test.each(mixes(release))("%s, %s, %s: each leads, each serves all kinds of writes", async (...kinds) => {
      mixed = await MixedCluster.found(kinds);
      mixed.startWriting();
      let seed = 0;
      for (const leader of mixed.members) {
        await mixed.step(`${leader.name} leads`, () => mixed!.cluster.moveLeader(leader));
        for (const via of mixed.members) {
          await mixed.step(`writes of all kinds through ${via.name} while ${leader.name} leads`, () =>
            withClient(via.endpoint, (client) => mixedLoad(patient(client), seed++)),
          );
        }
      }
      // The last one is Go's and leads: it has asked all others for their hashes, of now and at compactions.
      const { process } = mixed.members[2];
      await mixed.cluster.step("Go's member has compared the data", async () => {
        expect(await process?.waitForLine("finished peer corruption check")).toBe(true);
        expect(await process?.waitForLine("successfully checked hash on whole cluster")).toBe(true);
      });
      await mixed.finish();
    });

    test.each(mixes(release))("%s, %s, %s: each is killed while it leads, and comes back", async (...kinds) => {
      mixed = await MixedCluster.found(kinds);
      const { cluster } = mixed;
      mixed.startWriting();
      for (const member of mixed.members) {
        await mixed.step(`${member.name} leads`, () => cluster.moveLeader(member));
        const command = member.process?.command;
        await mixed.step(`the others go on without ${member.name}`, async () => {
          await member.kill();
          await cluster.leader();
        });
        await mixed.step(`${member.name} comes back`, () => cluster.start(member, command));
      }
      await mixed.finish();
    });

    test("one version for all: the lowest", async () => {
      mixed = await MixedCluster.found(["ours", release, "ours"]);
      const { members } = mixed;
      await eventually("the version is decided", async () => {
        for (const member of members) expect((await versionsOf(member)).cluster).toBe(`${release}.0`);
      });
      for (const member of members) {
        const { version } = await withClient(member.endpoint, (client) => client.call(methods.status, {}));
        expect(version).toMatch(member === members[1] ? new RegExp(`^${release}`) : /^3\.6/);
      }
      await mixed.finish();
    });
  });
});

/**
 * The way to us and back: members of Go's are replaced one by one by ours on the same data, and the other way round, under
 * load. Between 3.5 and 3.6 lie an upgrade, which happens by itself, and a downgrade, which somebody asks for.
 */
import { afterEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import {
  DowngradeRequest_DowngradeAction as Action,
  type DowngradeResponse,
} from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { withClient } from "../support/client.ts";
import { type ClusterMember, eventually } from "../support/cluster.ts";
import { goEtcd, titleFor } from "./go-etcd.ts";
import { MixedCluster, versionsOf } from "./mixed-cluster.ts";

let mixed: MixedCluster | undefined;
afterEach(async () => {
  await mixed?.close();
});

async function expectVersion(members: readonly ClusterMember[], version: string): Promise<void> {
  await eventually(`the cluster is one of ${version}`, async () => {
    for (const member of members) {
      const { storageVersion } = await withClient(member.endpoint, (client) => client.call(methods.status, {}));
      const { cluster } = await versionsOf(member);
      expect({ name: member.name, cluster, storageVersion }).toEqual({
        name: member.name,
        cluster: `${version}.0`,
        // 3.5 knows nothing of storage versions.
        storageVersion: storageVersion === "" ? "" : `${version}.0`,
      });
    }
  });
}

/** Through the leader, as often as it takes until the cluster has one and has heard from all members. */
function downgrade({ cluster }: MixedCluster, action: Action, version: string): Promise<DowngradeResponse> {
  return eventually(`the leader takes ${version}`, async () => {
    const { endpoint } = await cluster.leader();
    return withClient(endpoint, (client) => client.call(methods.downgrade, { action, version }));
  });
}

/** While a downgrade is under way the storage is that of the target already. */
async function expectStorage(members: readonly ClusterMember[], version: string): Promise<void> {
  await eventually(`the storage is that of ${version}`, async () => {
    for (const { endpoint } of members) {
      const { storageVersion } = await withClient(endpoint, (client) => client.call(methods.status, {}));
      expect(storageVersion).toBe(version);
    }
  });
}

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "rolling replacement"), () => {
  test("3.6 becomes ours and 3.6 again", async () => {
    mixed = await MixedCluster.found(["3.6", "3.6", "3.6"]);
    mixed.startWriting();
    for (const kind of ["ours", "3.6"] as const) {
      for (const member of mixed.members) await mixed.replace(member, kind);
    }
    await mixed.finish();
  });
});

describe.skipIf(goEtcd("3.5") === undefined)(titleFor("3.5", "rolling replacement"), () => {
  test("3.5 becomes ours, which upgrades the cluster, and 3.5 again after a downgrade", async () => {
    mixed = await MixedCluster.found(["3.5", "3.5", "3.5"]);
    mixed.startWriting();
    for (const member of mixed.members) {
      await expectVersion(mixed.members, "3.5");
      await mixed.replace(member, "ours");
    }
    await mixed.cluster.step("the cluster is upgraded", async () => {
      await expectVersion(mixed!.members, "3.6");
    });
    await mixed.step("the downgrade begins", async () => {
      await downgrade(mixed!, Action.VALIDATE, "3.5.0");
      await downgrade(mixed!, Action.ENABLE, "3.5.0");
      await expectStorage(mixed!.members, "3.5.0");
    });
    for (const member of mixed.members) await mixed.replace(member, "3.5");
    await mixed.cluster.step("the cluster is one of 3.5", () => expectVersion(mixed!.members, "3.5"));
    await mixed.finish();
  });
});

const hasBoth = goEtcd("3.5") !== undefined && goEtcd("3.6") !== undefined;

describe.skipIf(!hasBoth)(titleFor("3.6", "downgrade of a mixed cluster to 3.5"), () => {
  test.each(["ours", "3.6"] as const)(
    "%s leads: enabled, cancelled, enabled again, and carried out",
    async (leading) => {
      mixed = await MixedCluster.found(["ours", "3.6", leading === "ours" ? "3.6" : "ours"]);
      const { cluster, members } = mixed;
      const leader = leading === "ours" ? members[0] : members[1];
      mixed.startWriting();
      await mixed.step(`${leader.name} leads`, () => cluster.moveLeader(leader));
      await cluster.step("the cluster is one of 3.6", () => expectVersion(members, "3.6"));
      await mixed.step("the downgrade is enabled", async () => {
        await downgrade(mixed!, Action.ENABLE, "3.5.0");
        await expectStorage(members, "3.5.0");
      });
      await mixed.step("the downgrade is cancelled", async () => {
        await downgrade(mixed!, Action.CANCEL, "");
        await expectStorage(members, "3.6.0");
      });
      await mixed.step("the downgrade is enabled again", async () => {
        await downgrade(mixed!, Action.ENABLE, "3.5.0");
        await expectStorage(members, "3.5.0");
      });
      for (const member of members) await mixed.replace(member, "3.5");
      await cluster.step("the cluster is one of 3.5", () => expectVersion(members, "3.5"));
      await mixed.finish();
    },
  );
});

/** State beside the keys in clusters of Go's members and ours: users and roles, leases, alarms. What one was told all know. */
import { afterEach, describe, expect, test } from "vitest";
import { AlarmType } from "../../src/alarm/alarm-store.ts";
import { methods } from "../../src/client/methods.ts";
import { AlarmRequest_AlarmAction as AlarmAction } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { checkUsersInCluster } from "../support/auth-cluster.ts";
import { get, put, withClient } from "../support/client.ts";
import { eventually } from "../support/cluster.ts";
import { goEtcd, releases, titleFor } from "./go-etcd.ts";
import { MixedCluster, mixes } from "./mixed-cluster.ts";
import { patient } from "./workload.ts";

let mixed: MixedCluster | undefined;
afterEach(async () => {
  await mixed?.close();
});

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "mixed clusters, state beside the keys"), () => {
    test.each(mixes(release))("%s, %s, %s: users, roles and tokens", async (...kinds) => {
      mixed = await MixedCluster.found(kinds, { flags: ["--bcrypt-cost=4"] });
      const { cluster } = mixed;
      await cluster.step("users", () =>
        checkUsersInCluster(
          cluster,
          kinds.map((kind) => kind !== "ours"),
        ),
      );
    });

    test.each(mixes(release))("%s, %s, %s: leases, whoever leads", async (...kinds) => {
      mixed = await MixedCluster.found(kinds);
      const { cluster, members } = mixed;
      for (const [position, leader] of members.entries()) {
        const via = members[(position + 1) % 3];
        const other = members[(position + 2) % 3];
        const long = BigInt(100 + position);
        const short = BigInt(200 + position);
        await mixed.step(`${leader.name} leads`, () => cluster.moveLeader(leader));
        await mixed.step("a lease lives for all, and ends for all", async () => {
          await withClient(via.endpoint, async (client) => {
            const caller = patient(client);
            await caller.call(methods.leaseGrant, { ID: long, TTL: 3_600n });
            await caller.call(methods.leaseGrant, { ID: short, TTL: 2n });
            await put(caller, `long/${position}`, "v", long);
            await put(caller, `short/${position}`, "v", short);
          });
          await eventually("the short one has expired", async () => {
            const found = await withClient(other.endpoint, (client) => get(client, `short/${position}`));
            expect(found).toBeUndefined();
          });
          for (const { endpoint } of members) {
            await eventually("the long one is known", async () => {
              const left = await withClient(endpoint, (client) =>
                client.call(methods.leaseTimeToLive, { ID: long, keys: true }),
              );
              expect(Number(left.TTL)).toBeGreaterThan(3_000);
              expect(left.keys.map((key) => Buffer.from(key).toString())).toEqual([`long/${position}`]);
            });
            const { leases } = await withClient(endpoint, (client) => client.call(methods.leaseList, {}));
            expect(leases.map(({ ID }) => ID)).toContain(long);
            expect(leases.map(({ ID }) => ID)).not.toContain(short);
          }
        });
        await mixed.step("its end through another member takes the keys away", async () => {
          await withClient(other.endpoint, (client) => patient(client).call(methods.leaseRevoke, { ID: long }));
          for (const { endpoint } of members) {
            expect(await withClient(endpoint, (client) => get(client, `long/${position}`))).toBeUndefined();
          }
        });
      }
      await mixed.finish();
    });

    test.each(mixes(release))("%s, %s, %s: an alarm of one stops writes at all", async (...kinds) => {
      mixed = await MixedCluster.found(kinds);
      const { members } = mixed;
      for (const [position, member] of members.entries()) {
        const { memberId } = await member.status();
        const alarm = { memberID: memberId, alarm: AlarmType.NoSpace };
        await mixed.step(`an alarm of ${member.name}`, async () => {
          await withClient(member.endpoint, (client) =>
            client.call(methods.alarm, { ...alarm, action: AlarmAction.ACTIVATE }),
          );
          for (const { endpoint } of members) {
            await eventually("all see it", async () => {
              const { alarms } = await withClient(endpoint, (client) => client.call(methods.alarm, {}));
              expect(alarms).toEqual([alarm]);
            });
            await withClient(endpoint, async (client) => {
              await expect(put(client, "k", "v")).rejects.toThrow("etcdserver: mvcc: database space exceeded");
            });
            expect((await fetch(`${endpoint}/health`)).status).toBe(503);
          }
        });
        await mixed.step(`it is disarmed through another than ${member.name}`, async () => {
          const other = members[(position + 1) % 3];
          await withClient(other.endpoint, (client) =>
            client.call(methods.alarm, { ...alarm, action: AlarmAction.DEACTIVATE }),
          );
          for (const { endpoint } of members) await withClient(endpoint, (client) => put(patient(client), "k", "v"));
        });
      }
      await mixed.finish();
    });
  });
});

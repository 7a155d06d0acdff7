/** Go's members and ours in one cluster: every mix, either kind leading, and one replaced by the other on the same data. */
import { afterEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { DowngradeRequest_DowngradeAction } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { bytes, get, put, withClient } from "../support/client.ts";
import { type ClusterMember, eventually, TestCluster } from "../support/cluster.ts";
import { goEtcd, releases, theGoEtcd, titleFor } from "./go-etcd.ts";
import { mixedLoad } from "./workload.ts";

let cluster: TestCluster;
afterEach(async () => {
  await cluster.close();
});

/** Writes numbered keys all the time, through whichever member answers, and remembers what was acknowledged. */
class Writer {
  readonly acknowledged: number[] = [];
  readonly #done: Promise<void>;
  #isStopped = false;

  constructor(members: () => readonly ClusterMember[]) {
    this.#done = this.#run(members);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }

  async #run(members: () => readonly ClusterMember[]): Promise<void> {
    for (let number = 0; !this.#isStopped; number++) {
      const running = members().filter((member) => member.process !== undefined);
      const member = running[number % running.length];
      try {
        await withClient(member.endpoint, (client) =>
          client.call(methods.put, { key: bytes(`written/${number}`), value: bytes("x") }, { timeoutMs: 2_000 }),
        );
        this.acknowledged.push(number);
      } catch {
        // Not acknowledged: it may be there or not.
      }
    }
  }
}

async function expectEqualHashes(): Promise<void> {
  const [first, ...others] = await cluster.hashes();
  for (const other of others) expect(other).toEqual(first);
}

async function expectAllThere(writer: Writer): Promise<void> {
  const { kvs } = await withClient((await cluster.leader()).endpoint, (client) =>
    client.call(methods.range, { key: bytes("written/"), rangeEnd: bytes("written0"), keysOnly: true }),
  );
  const found = new Set(kvs.map(({ key }) => Buffer.from(key).toString()));
  expect(writer.acknowledged.filter((number) => !found.has(`written/${number}`))).toEqual([]);
}

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "mixed clusters"), () => {
    test.each([1, 2])("%i of three are ours; each leads once, each serves all kinds of writes", async (ours) => {
      const go = theGoEtcd(release).etcd;
      cluster = await TestCluster.found([undefined, ours === 2 ? undefined : go, go]);
      for (const [seed, member] of cluster.members.entries()) {
        await cluster.moveLeader(member);
        const via = cluster.members[(seed + 1) % 3];
        await withClient(via.endpoint, (client) => mixedLoad(client, seed));
        await expectEqualHashes();
      }
    });

    test("snapshots go both ways", async () => {
      const go = theGoEtcd(release).etcd;
      const args = ["--snapshot-count=100", `--${release === "3.5" ? "experimental-" : ""}snapshot-catchup-entries=50`];
      cluster = await TestCluster.found([undefined, go, undefined], args);
      const [ours, theirs] = cluster.members;
      for (const [leader, behind, command] of [
        [ours, theirs, go],
        [theirs, ours, undefined],
      ] as const) {
        await cluster.moveLeader(leader);
        await behind.kill();
        await withClient(leader.endpoint, async (client) => {
          for (let round = 0; round < 40; round++) {
            await Promise.all(Array.from({ length: 200 }, (_, key) => put(client, `s/${key}`, `${round}`)));
          }
        });
        await cluster.start(behind, command);
        expect(await withClient(behind.endpoint, (client) => get(client, "s/199"))).toBe("39");
        await expectEqualHashes();
        expect(await behind.process?.waitForLine("applied snapshot")).toBe(true);
      }
    });

    test("members become ours one by one, and Go's again, under load; nothing acknowledged is lost", async () => {
      const go = theGoEtcd(release).etcd;
      cluster = await TestCluster.found([go, go, go]);
      const writer = new Writer(() => cluster.members);
      // Without one of 3.5 the cluster becomes one of 3.6, and only a downgrade leads back.
      const replaced = release === "3.5" ? cluster.members.slice(1) : cluster.members;
      for (const command of [undefined, go]) {
        for (const member of replaced) {
          await member.stop();
          await cluster.start(member, command);
          await eventually("all are equal", expectEqualHashes);
        }
      }
      await writer.stop();
      await expectAllThere(writer);
    });

    test.runIf(release === "3.5")("a cluster of ours goes back to 3.5 by a downgrade, member by member", async () => {
      const go = theGoEtcd(release).etcd;
      cluster = await TestCluster.found([undefined, undefined, undefined]);
      const writer = new Writer(() => cluster.members);
      await eventually("the downgrade is accepted", async () => {
        const { endpoint } = await cluster.leader();
        await withClient(endpoint, (client) =>
          client.call(methods.downgrade, {
            action: DowngradeRequest_DowngradeAction.ENABLE,
            version: "3.5.0",
          }),
        );
      });
      await eventually("the storage is that of 3.5", async () => {
        for (const { endpoint } of cluster.members) {
          const { storageVersion } = await withClient(endpoint, (client) => client.call(methods.status, {}));
          expect(storageVersion).toBe("3.5.0");
        }
      });
      for (const member of cluster.members) {
        await member.stop();
        await cluster.start(member, go);
        await eventually("all are equal", expectEqualHashes);
      }
      await writer.stop();
      await expectAllThere(writer);
    });

    test("each is killed in turn under load; nothing acknowledged is lost", async () => {
      const go = theGoEtcd(release).etcd;
      cluster = await TestCluster.found([undefined, go, undefined]);
      const writer = new Writer(() => cluster.members);
      for (const [member, command] of [
        [cluster.members[0], undefined],
        [cluster.members[1], go],
        [cluster.members[2], undefined],
      ] as const) {
        await cluster.moveLeader(member);
        await member.kill();
        await cluster.leader();
        await cluster.start(member, command);
        await eventually("all are equal", expectEqualHashes);
      }
      await writer.stop();
      await expectAllThere(writer);
    });
  });
});

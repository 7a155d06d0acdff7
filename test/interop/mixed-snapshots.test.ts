/** Snapshots between members of Go's and ours, both ways, of a size that has to be streamed; and what a new member gets. */
import { afterEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { put, withClient } from "../support/client.ts";
import { type ClusterMember, eventually } from "../support/cluster.ts";
import { goEtcd, releases, titleFor } from "./go-etcd.ts";
import { commandOf, MixedCluster, mixes } from "./mixed-cluster.ts";
import { patient } from "./workload.ts";

let mixed: MixedCluster | undefined;
afterEach(async () => {
  await mixed?.close();
});

/** Together 40 MB: the database image is many pieces of the body. */
const valueBytes = 64 << 10;
const valueCount = 640;
const putsAtATime = 8;

const options = { flags: ["--snapshot-count=100"], catchUpEntries: 50 };

async function fill({ endpoint }: ClusterMember): Promise<void> {
  await withClient(endpoint, async (client) => {
    const caller = patient(client);
    const values = Array.from({ length: valueCount }, (_, index) => index);
    const writeNext = async (): Promise<void> => {
      for (let index = values.pop(); index !== undefined; index = values.pop()) {
        await put(caller, `large/${index}`, new Uint8Array(valueBytes).fill(index));
      }
    };
    await Promise.all(Array.from({ length: putsAtATime }, writeNext));
  });
}

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "mixed clusters, snapshots"), () => {
    test.each([
      ["ours", release],
      [release, "ours"],
    ] as const)("from %s to %s, tens of megabytes", async (from, to) => {
      mixed = await MixedCluster.found([from, to, "ours"], options);
      const { cluster } = mixed;
      const [leader, behind] = mixed.members;
      await mixed.step(`${leader.name} leads`, () => cluster.moveLeader(leader));
      await cluster.step(`${behind.name} falls behind`, async () => {
        await behind.kill();
        await fill(leader);
      });
      await mixed.step(`${behind.name} catches up by a snapshot`, async () => {
        await cluster.start(behind, commandOf(to));
        expect(await behind.process?.waitForLine("applied snapshot")).toBe(true);
      });
      await mixed.step(`${behind.name} starts on what it got`, async () => {
        await behind.stop();
        await cluster.start(behind, commandOf(to));
      });
      await mixed.finish();
    });

    test.each(mixes(release))("%s, %s, %s: learners of either kind catch up and are promoted", async (...kinds) => {
      mixed = await MixedCluster.found(kinds, options);
      const { cluster } = mixed;
      mixed.startWriting();
      await cluster.step("there is more than the log holds", () => fill(mixed!.members[0]));
      for (const [kind, leader] of [
        ["ours", mixed.members[2]],
        [release, mixed.members[0]],
      ] as const) {
        await mixed.step(`${leader.name} leads`, () => cluster.moveLeader(leader));
        await cluster.step(`a learner joins: ${kind}`, async () => {
          const learner = await cluster.join(`learner-${kind}`, { command: commandOf(kind), isLearner: true });
          expect((await learner.status()).isLearner).toBe(true);
          expect(await learner.process?.waitForLine("applied snapshot")).toBe(true);
        });
        await mixed.step(`it is promoted: ${kind}`, async () => {
          const learner = mixed!.members.at(-1)!;
          const { memberId } = await learner.status();
          await eventually("the learner may be promoted", () =>
            withClient(leader.endpoint, (client) => client.call(methods.memberPromote, { ID: memberId })),
          );
          await eventually("the learner is a voter", async () => {
            expect((await learner.status()).isLearner).toBe(false);
          });
        });
      }
      await mixed.finish();
    });
  });
});

/**
 * Snapshots of hundreds of megabytes between ours and ours, ours and Go's, Go's and ours: both sides hold no more in memory
 * than for a small one. The first member leads and is filled; learners get all of it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { put, withClient } from "../support/client.ts";
import { type ClusterMember, eventually, TestCluster } from "../support/cluster.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";
import { patient } from "./workload.ts";

const valueBytes = 256 << 10;
const valueCount = 1_200;
const dataBytes = valueBytes * valueCount;
const putsAtATime = 8;

/** Most that a member may hold more than before, while it sends or receives: far less than the data. */
const growthMax = 160 << 20;
/** What a new process of ours holds anyway. */
const startBytes = 120 << 20;

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.close();
});

const flags = (command: string): string[] =>
  command === goEtcd("3.6")?.etcd || command.endsWith("bin/etcd")
    ? ["--snapshot-count=100", "--snapshot-catchup-entries=10"]
    : [];

async function fill({ endpoint }: ClusterMember): Promise<void> {
  await withClient(endpoint, async (client) => {
    const caller = patient(client);
    let next = 0;
    const writeNext = async (): Promise<void> => {
      while (next < valueCount) {
        const index = next++;
        // No two pages alike.
        await put(caller, `large/${index}`, Buffer.alloc(valueBytes, `${index}/`));
      }
    };
    await Promise.all(Array.from({ length: putsAtATime }, writeNext));
  });
}

/** Resident bytes of a process: now, and the most since {@link forgetPeak}. */
function memoryOf({ process }: ClusterMember): { now: number; peak: number } {
  const status = readFileSync(`/proc/${process?.pid}/status`, "latin1");
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0) * 1024;
  return { now: bytes("VmRSS"), peak: bytes("VmHWM") };
}

function forgetPeak({ process }: ClusterMember): void {
  writeFileSync(`/proc/${process?.pid}/clear_refs`, "5");
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6);

/** A learner joins and gets everything. @returns growth of the sender, and all that the receiver held. */
async function receive(name: string, sender: ClusterMember, command?: string): Promise<[number, number]> {
  const before = memoryOf(sender).now;
  forgetPeak(sender);
  const started = performance.now();
  const learner = await cluster!.join(name, { command, isLearner: true });
  expect(await learner.process?.waitForLine("applied snapshot")).toBe(true);
  const tookMs = performance.now() - started;
  const [sent, received] = [memoryOf(sender).peak - before, memoryOf(learner).peak];
  console.log(
    `${name}: ${megabytes(dataBytes)} MB in ${Math.round(tookMs)} ms; the sender grew by ${megabytes(sent)} MB to ` +
      `${megabytes(before + sent)} MB, the receiver held ${megabytes(received)} MB at most`,
  );
  return [sent, received];
}

async function promote(learner: ClusterMember): Promise<void> {
  const { memberId } = await learner.status();
  await eventually("the learner may be promoted", async () => {
    const leader = await cluster!.leader();
    await withClient(leader.endpoint, (client) => client.call(methods.memberPromote, { ID: memberId }));
  });
}

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "large snapshots"), () => {
  test("hundreds of megabytes from ours to ours, to Go's, and from Go's to ours: memory stays bounded", async () => {
    cluster = await TestCluster.found([undefined], flags);
    const [first] = cluster.members;
    await cluster.step("the first member is filled", () => fill(first), 300_000);
    await cluster.step("ours to ours", async () => {
      const [sent, received] = await receive("ours-to-ours", first);
      expect(sent).toBeLessThan(growthMax);
      expect(received).toBeLessThan(startBytes + growthMax);
    });
    await cluster.step("ours to Go's", async () => {
      // One learner at a time is allowed.
      await promote(cluster!.members[1]);
      const [sent] = await receive("ours-to-go", first, theGoEtcd("3.6").etcd);
      expect(sent).toBeLessThan(growthMax);
    });
    const third = cluster.members[2];
    await cluster.step("Go's leads", async () => {
      await promote(third);
      await eventually("it is a voter", async () => expect((await third.status()).isLearner).toBe(false));
      await cluster!.moveLeader(third);
      // Its log reaches back to where it joined; later snapshots cut it.
      await withClient(third.endpoint, async (client) => {
        for (let index = 0; index < 300; index++) await put(patient(client), "small", `${index}`);
      });
    });
    await cluster.step("Go's to ours", async () => {
      const [, received] = await receive("go-to-ours", third);
      expect(received).toBeLessThan(startBytes + growthMax);
    });
    await cluster.step("all have equal data", async () => {
      await promote(cluster!.members[3]);
      await eventually("equal hashes", async () => {
        const [hash, ...others] = await cluster!.hashes();
        for (const other of others) expect(other).toEqual(hash);
      });
    });
  });
});

/**
 * A member whose database was altered on disk, among two that were not: ours and Go's, each as the leader that looks and as
 * the one that is wrong. What the checks say and what follows from it is what a cluster of Go's members alone says.
 */
import { afterEach, describe, expect, test } from "vitest";
import { AlarmType } from "../../src/alarm/alarm-store.ts";
import { methods } from "../../src/client/methods.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { BoltDb } from "../../src/storage/bbolt/db.ts";
import { PutRequest, RangeRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { bytes, get, put, withClient } from "../support/client.ts";
import { type ClusterMember, eventually, TestCluster } from "../support/cluster.ts";
import { patienceMs, runBeside, ServerProcess } from "../support/process.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";
import { commandOf, type Kind } from "./mixed-cluster.ts";
import { patient } from "./workload.ts";

const { disk } = createNodePlatform({ log: createStderrLogger("fatal") });

const initial = "--feature-gates=InitialCorruptCheck=true";
const periodic = ["--corrupt-check-time=1s"];
const ofCompactions = ["--feature-gates=CompactHashCheck=true", "--compact-hash-check-time=1s"];

const corrupt = "etcdserver: corrupt cluster";

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.close();
});

/**
 * What clients and operators see while the alarm is on, with the member it is about as `ID`. Where the altered member leads, the
 * one that led while it was away may have seen it first: then there are two alarms.
 */
async function effects({ endpoint }: ClusterMember): Promise<unknown> {
  const { etcdctl } = theGoEtcd("3.6");
  const key = bytes("k");
  return withClient(endpoint, async (client) => {
    const refusal = async (call: Promise<unknown>): Promise<unknown> => {
      return call.then(
        () => "done",
        (error: Error) => error.message,
      );
    };
    const readOnly = { requestRange: RangeRequest.create({ key }) };
    const write = { requestPut: PutRequest.create({ key, value: key }) };
    const calls = {
      put: () => put(client, "k", "v"),
      deleteRange: () => client.call(methods.deleteRange, { key }),
      writingTxn: () => client.call(methods.txn, { success: [write] }),
      readingTxn: () => client.call(methods.txn, { success: [readOnly] }),
      range: () => get(client, "k"),
      serializable: () => client.call(methods.range, { key, serializable: true }),
      compact: () => client.call(methods.compact, { revision: 3n }),
      leaseGrant: () => client.call(methods.leaseGrant, { ID: 7n, TTL: 100n }),
      leaseRevoke: () => client.call(methods.leaseRevoke, { ID: 5n }),
      hashKv: () => client.call(methods.hashKv, {}),
    };
    const answers: Record<string, unknown> = {};
    for (const [name, call] of Object.entries(calls)) answers[name] = await refusal(call());
    for (const path of [
      "health",
      "health?serializable=true",
      "health?exclude=CORRUPT",
      "livez",
      "readyz",
      "readyz?verbose",
    ]) {
      const answer = await fetch(`${endpoint}/${path}`);
      // Go lists its checks in the order of a map.
      answers[path] = [answer.status, ...(await answer.text()).split("\n").toSorted()];
    }
    const { errors } = await client.call(methods.status, {});
    const list = await runBeside(etcdctl, ["--endpoints", endpoint, "alarm", "list"]);
    const health = await runBeside(etcdctl, ["--endpoints", endpoint, "endpoint", "health"]);
    const plain = (text: string): string =>
      text
        .replaceAll(/memberID:\d+/g, "memberID:ID")
        .replaceAll(endpoint, "ENDPOINT")
        .replace(/took = \S+/, "");
    const alarms = (lines: readonly string[]): string[] => [...new Set(lines.map(plain))];
    answers["etcdctl"] = [list.code, alarms(list.stdout.split("\n")), list.stderr, health.code, plain(health.stdout)];
    answers["status"] = alarms(errors);
    return answers;
  });
}

/** Changes a letter of a stored value, as a bad disk or a bug may. */
async function alter({ dataDir }: ClusterMember): Promise<void> {
  const db = BoltDb.open(disk, `${dataDir}/member/snap/db`);
  const tx = db.begin(true);
  const bucket = tx.bucket(bytes("key"))!;
  const cursor = bucket.cursor();
  expect(cursor.first()).toBe(true);
  const [key, value] = [Buffer.from(cursor.key), Buffer.from(cursor.value)];
  value[value.lastIndexOf("right")] = "w".charCodeAt(0);
  bucket.put(key, value);
  await tx.commit();
  db.close();
}

interface Scene {
  readonly kinds: readonly Kind[];
  readonly flags: readonly string[];
  readonly isLeaderAltered: boolean;
}

/** Three members; the first leads; the first or the second was altered while it was down. */
async function alteredCluster({
  kinds,
  flags,
  isLeaderAltered,
}: Scene): Promise<{ leader: ClusterMember; altered: ClusterMember }> {
  cluster = await TestCluster.found(kinds.map(commandOf), flags);
  const [leader, follower] = cluster.members;
  const altered = isLeaderAltered ? leader : follower;
  await withClient(leader.endpoint, async (client) => {
    const caller = patient(client);
    await caller.call(methods.leaseGrant, { ID: 5n, TTL: 10_000n });
    for (let index = 0; index < 10; index++) await put(caller, `k/${index}`, "right");
  });
  await cluster.hashes();
  await altered.stop();
  await alter(altered);
  await cluster.start(altered, commandOf(kinds[isLeaderAltered ? 0 : 1]));
  await cluster.moveLeader(leader);
  return { leader, altered };
}

async function raisedAlarms({ endpoint }: ClusterMember): Promise<bigint[]> {
  const { alarms } = await withClient(endpoint, (client) => client.call(methods.alarm, {}));
  expect(alarms.every(({ alarm }) => alarm === AlarmType.Corrupt)).toBe(true);
  expect(alarms).not.toEqual([]);
  return alarms.map(({ memberID }) => memberID);
}

const mixes: readonly (readonly Kind[])[] = [
  ["ours", "3.6", "3.6"],
  ["ours", "3.6", "ours"],
  ["ours", "ours", "3.6"],
  ["3.6", "ours", "3.6"],
  ["3.6", "ours", "ours"],
  ["3.6", "3.6", "ours"],
];

/** Per way of looking: what a cluster of Go's members alone answers. */
const ofGo = new Map<string, unknown>();

describe.skipIf(goEtcd("3.6") === undefined)(
  titleFor("3.6", "one member was altered"),
  { timeout: 6 * patienceMs },
  () => {
    for (const kinds of [["3.6", "3.6", "3.6"] as const, ...mixes, ["ours", "ours", "ours"] as const]) {
      const title = kinds.join(", ");
      test.each([
        ["a follower, found by the check of everything", periodic, false],
        ["the leader, found by the check of everything", periodic, true],
        ["a follower, found by the hashes of compactions", ofCompactions, false],
        ["the leader, found by the hashes of compactions", ofCompactions, true],
      ])(`${title}: %s`, async (_, flags, isLeaderAltered) => {
        const { leader, altered } = await alteredCluster({ kinds, flags, isLeaderAltered });
        const { members } = cluster!;
        if (flags === ofCompactions)
          await withClient(leader.endpoint, (client) => patient(client).call(methods.compact, { revision: 6n }));
        const ids = await Promise.all(members.map(async (member) => (await member.status()).memberId));
        // A leader that looks at everything takes itself for right; the one with the smallest id is asked first.
        const others = ids.filter((id) => id !== ids[0]).toSorted((a, b) => (a < b ? -1 : 1));
        const isBlamedOnOthers = isLeaderAltered && flags === periodic;
        const expected = isBlamedOnOthers ? others[0] : ids[members.indexOf(altered)];
        for (const member of members) {
          await cluster!.step(`${member.name} knows the alarm`, () =>
            eventually("the alarm is there", async () => expect(await raisedAlarms(member)).toContain(expected)),
          );
          const seen = await effects(member);
          expect(seen).toMatchObject({ put: corrupt, deleteRange: corrupt, writingTxn: corrupt, compact: corrupt });
          ofGo.set("effects", ofGo.get("effects") ?? seen);
          expect(seen).toEqual(ofGo.get("effects"));
        }
        // Disarmed as the operator does, by either etcdctl; as long as the data differ the leader raises it again.
        const { code, stdout } = await runBeside(theGoEtcd("3.6").etcdctl, [
          "--endpoints",
          altered.endpoint,
          "alarm",
          "disarm",
        ]);
        expect([code, stdout]).toEqual([0, expect.stringContaining(`memberID:${expected} alarm:CORRUPT \n`)]);
        await eventually("it is raised again", async () => expect(await raisedAlarms(leader)).toContain(expected));
      });

      test(`${title}: a member that looks before it serves does not start`, async () => {
        cluster = await TestCluster.found(kinds.map(commandOf));
        const [, member] = cluster.members;
        await withClient(member.endpoint, async (client) => {
          for (let index = 0; index < 10; index++) await put(patient(client), `k/${index}`, "right");
        });
        await cluster.hashes();
        await member.stop();
        await alter(member);
        const flags = [
          initial,
          `--name=${member.name}`,
          `--initial-cluster=${cluster.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",")}`,
        ];
        const { command } = { command: commandOf(kinds[1]) };
        const process = await ServerProcess.launch({
          ...(command === undefined ? {} : { command }),
          dataDir: member.dataDir,
          ports: member.ports,
          args: flags,
        });
        expect(await process.becomesReady()).toBe(false);
        const log = process.lines.join("\n");
        expect(log).toContain("found different hash values from remote peer");
        expect(log).toMatch(/"level":"fatal".*found data inconsistency with peers/);
        expect(await process.ends()).toBe(1);
      });
    }
  },
);

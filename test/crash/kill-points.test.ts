/**
 * Real processes killed at every failpoint on the way of a write, a compaction, a defragmentation and a received snapshot,
 * and at times of chance: what was acknowledged is there after the next start, and revisions read as they read before.
 */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FailpointName } from "../../src/base/failpoints.ts";
import type { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { connect, get, put } from "../support/client.ts";
import { TestCluster } from "../support/cluster.ts";
import {
  freePorts,
  patienceMs,
  program,
  removeFolder,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";

const within = { timeoutMs: patienceMs };
const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };
const noLoad = async (): Promise<void> => undefined;

let folder = "";
let server: ServerProcess | undefined;

beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(async () => {
  await server?.kill();
  server = undefined;
  removeFolder(folder);
});

/** Points that any write passes sooner or later. */
const ofWrites: FailpointName[] = [
  "raftBeforeSave",
  "walBeforeSync",
  "walAfterSync",
  "raftAfterSave",
  "raftBeforeAdvance",
  "raftBeforeLeaderSend",
  "beforeApplyOneEntryNormal",
  "beforeWritebackBuf",
  "afterWritebackBuf",
  "commitBeforePreCommitHook",
  "commitAfterPreCommitHook",
  "beforeStartDBTxn",
  "afterStartDBTxn",
  "beforeCommit",
  "afterCommit",
  "raftBeforeWALSaveSnaphot",
];
const ofCompactions: FailpointName[] = [
  "compactBeforeCommitScheduledCompact",
  "compactAfterCommitScheduledCompact",
  "compactBeforeCommitBatch",
  "compactAfterCommitBatch",
  "compactBeforeSetFinishedCompact",
  "compactAfterSetFinishedCompact",
];
const ofDefragmentations: FailpointName[] = ["defragBeforeCopy", "defragBeforeRename"];
const ofReceivedSnapshots: FailpointName[] = [
  "raftBeforeSaveSnap",
  "raftBeforeWALSaveSnaphot",
  "raftAfterSaveSnap",
  "applyBeforeOpenSnapshot",
  "applyAfterOpenSnapshot",
  "raftAfterWALRelease",
  "raftBeforeApplySnap",
  "raftAfterApplySnap",
];

interface Running {
  readonly client: Client;
  arm(point: FailpointName): Promise<void>;
  died(): Promise<void>;
}

async function start(): Promise<Running> {
  const [port] = await freePorts(1);
  const started = await ServerProcess.start({
    dataDir: join(folder, "data"),
    args: ["--snapshot-count=60", "--compaction-batch-limit=20", "--backend-batch-interval=20ms"],
    env: { GOFAIL_HTTP: `127.0.0.1:${port}`, ETCD_VERIFY: "all" },
  });
  server = started;
  const client = connect(started.endpoint);
  return {
    client,
    async arm(point) {
      const { status } = await fetch(`http://127.0.0.1:${port}/${point}`, { method: "PUT", body: "panic" });
      expect(status).toBe(204);
    },
    async died() {
      await started.ends();
      client.close();
    },
  };
}

/** What a client saw: a revision and all pairs at it, and writes that came later. */
interface Witness {
  readonly revision: number;
  readonly pairs: string;
  readonly acknowledged: Map<string, string>;
  readonly sent: Map<string, string>;
}

async function pairsAt(client: Client, revision: number): Promise<string> {
  const { kvs } = await client.call(methods.range, { ...everything, revision: BigInt(revision) }, within);
  const hash = createHash("sha256");
  for (const { key, value, modRevision } of kvs) hash.update(`${modRevision} `).update(key).update(value);
  return hash.digest("hex");
}

async function look(client: Client): Promise<Witness> {
  const { header } = await client.call(methods.range, { key: Uint8Array.of(1) }, within);
  const revision = Number(header?.revision);
  return { revision, pairs: await pairsAt(client, revision), acknowledged: new Map(), sent: new Map() };
}

/** Writes until the server is gone. */
async function writeOn(client: Client, round: string, { acknowledged, sent }: Witness): Promise<void> {
  try {
    for (let number = 0; ; number++) {
      const [key, value] = [`key-${number % 17}`, `${round} ${number}`];
      sent.set(key, value);
      await put(client, key, value);
      acknowledged.set(key, value);
    }
  } catch {
    // Killed: what became of the last write is unknown.
  }
}

async function check(client: Client, { revision, pairs, acknowledged, sent }: Witness, what: string): Promise<void> {
  expect(await pairsAt(client, revision), what).toBe(pairs);
  for (const [key, value] of acknowledged) {
    expect([value, sent.get(key)], `${key} ${what}`).toContain(await get(client, key));
  }
}

interface Round {
  readonly what: string;
  readonly point: FailpointName | undefined;
  /** Begins beside the writes; may fail, as the server dies in it. */
  readonly work: (client: Client) => Promise<unknown>;
}

async function killInEach(rounds: readonly Round[]): Promise<void> {
  let witness: Witness | undefined;
  for (const { what, point, work } of [...rounds, { what: "the end", point: undefined, work: noLoad }]) {
    const running = await start();
    const { client } = running;
    if (witness !== undefined) await check(client, witness, `before ${what}`);
    for (let number = 0; number < 100; number++) await put(client, `key-${number % 17}`, `${what} start ${number}`);
    witness = await look(client);
    if (point !== undefined) await running.arm(point);
    const writing = writeOn(client, what, witness);
    const working = work(client).catch(() => undefined);
    if (work === noLoad && point === undefined) await server?.kill();
    await running.died();
    await Promise.all([writing, working]);
  }
}

const compactTo = async (client: Client): Promise<void> => {
  const { header } = await client.call(methods.range, { key: Uint8Array.of(1) }, within);
  // What the witness looks at later is above.
  await client.call(methods.compact, { revision: (header?.revision ?? 0n) - 50n, physical: true }, within);
};
const defragment = (client: Client): Promise<unknown> => client.call(methods.defragment, {}, within);

async function saveSnapshot(client: Client): Promise<void> {
  const stream = await client.open(methods.snapshot);
  await stream.send({});
  stream.halfClose();
  for await (const part of stream) expect(part.blob.length).toBeGreaterThan(0);
}

test(
  "killed at every point on the way of a write",
  () => killInEach(ofWrites.map((point) => ({ what: point, point, work: noLoad }))),
  240_000,
);

test(
  "killed at every point of a compaction and of a defragmentation, while clients write",
  () =>
    killInEach([
      ...ofCompactions.map((point) => ({ what: point, point, work: compactTo })),
      ...ofDefragmentations.map((point) => ({ what: point, point, work: defragment })),
    ]),
  240_000,
);

test("killed at times of chance during compactions, defragmentations and snapshots", () => {
  const works = { compaction: compactTo, defragmentation: defragment, snapshot: saveSnapshot };
  const rounds = Object.entries(works).flatMap(([name, work]) =>
    [1, 2, 3].map((number) => ({
      what: `${name} ${number}`,
      point: undefined,
      // The kill comes when this returns: in the middle of the work, somewhere.
      work: async (client: Client): Promise<void> => {
        const working = work(client).catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
        void server?.kill();
        await working;
      },
    })),
  );
  return killInEach(rounds);
}, 240_000);

test("etcdutl defrag killed at each of its points leaves the old file, and what is left over goes away", async () => {
  const running = await start();
  for (let number = 0; number < 100; number++) await put(running.client, `key-${number % 17}`, `${number}`);
  const witness = await look(running.client);
  running.client.close();
  await server?.stop();
  const dataDir = join(folder, "data");
  for (const point of ofDefragmentations) {
    const env = { GOFAIL_FAILPOINTS: `${point}=panic` };
    const { stderr } = runToEnd(program("etcdutl"), ["defrag", `--data-dir=${dataDir}`], { env });
    expect(stderr).toContain(`panic: failpoint panic: ${point}`);
  }
  const again = await start();
  await check(again.client, witness, "after etcdutl defrag");
  again.client.close();
  expect(readdirSync(join(dataDir, "member/snap")).filter((name) => name.startsWith("db.tmp"))).toEqual([]);
});

test("a follower killed at every point of a received snapshot catches up, and has what the others have", async () => {
  const args = ["--snapshot-count=20", "--experimental-snapshot-catchup-entries=5"];
  const cluster = await TestCluster.found([undefined, undefined, undefined], args);
  try {
    for (const point of ofReceivedSnapshots) {
      const leader = await cluster.leader();
      const follower = cluster.running(leader);
      await follower.kill();
      const client = connect(leader.endpoint);
      for (let number = 0; number < 80; number++) await put(client, `key-${number % 7}`, `${point} ${number}`);
      client.close();
      // Started again the others have in memory only what is behind their last snapshot. One that has sent a snapshot
      // keeps more of its log for half a minute.
      const others = cluster.members.filter((member) => member !== follower);
      await Promise.all(others.map((member) => member.kill()));
      await Promise.all(others.map((member) => cluster.start(member)));
      await cluster.launch(follower, { GOFAIL_FAILPOINTS: `${point}=panic` });
      await follower.process?.ends();
      expect(follower.process?.lines.join("\n")).toContain(`panic: failpoint panic: ${point}`);
      await cluster.start(follower);
      const hashes = await cluster.hashes();
      expect(hashes, point).toEqual([hashes[0], hashes[0], hashes[0]]);
    }
  } finally {
    await cluster.close();
  }
}, 240_000);

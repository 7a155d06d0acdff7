/**
 * npm run torture -- [--seconds 60] [--members 3] [--go COUNT --peers DIR] [--seed N] [--heal-limit MS]
 *
 * Real processes under faults drawn from a seed: kill -9, SIGSTOP, and as root cuts between members (the leader from the
 * majority, one way only, flapping), 5 % loss and 200 ms delay. Clients write down all they do and see, and the checkers of the
 * simulator judge it; at the end all members must have the same HashKV. After each fault the cluster must serve again
 * within the limit (two election timeouts unless told otherwise). `--go 1` makes one of the members a Go etcd.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { checkHistory } from "../../sim/checkers/check-history.ts";
import { Recording, RecordingClient } from "../../sim/history/recorder.ts";
import { runWatcher } from "../../sim/workload/watcher.ts";
import type { Request } from "../../sim/history/history.ts";
import { methods } from "../../src/client/methods.ts";
import { SeededRandom } from "../../src/platform/virtual/index.ts";
import { generator } from "../fuzz/random.ts";
import { connect } from "../support/client.ts";
import { freePorts } from "../support/process.ts";
import { TorturedMember } from "./members.ts";
import { openNetwork } from "./network.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    members: { type: "string", default: "3" },
    go: { type: "string", default: "0" },
    peers: { type: "string", default: join("node_modules", ".cache", "peers") },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    "heal-limit": { type: "string", default: "2000" },
  },
});
const count = Number(options.members);
const healLimitMs = Number(options["heal-limit"]);
const random = generator(Number(options.seed));
const clients = 5;
/** They also tell the search for an order what became of writes whose answers were lost. */
const watchers = 2;
/** For the last events to come. */
const settleMs = 1_000;
const requestMs = 1_500;
/** Two requests of a client, on average: the checker has time for some thousand operations. */
const pauseMs = 60;
const keys = ["a", "b", "c", "d", "e"];

const network = await openNetwork(count);
const folder = mkdtempSync(join(tmpdir(), "quorate-torture-"));
const ports = await freePorts(count * 2);
const members = Array.from({ length: count }, (_, number) => {
  const program = number < Number(options.go) ? join(options.peers, "etcd36") : join("bin", "etcd");
  return new TorturedMember(number, program, folder, { network, ports });
});
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const recording = new Recording();
const now = (): number => performance.now();
let isOver = false;
let isWatched = false;
let written = 0;

async function cleanUp(): Promise<void> {
  await Promise.all(members.map((member) => member.kill()));
  network.close();
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => void cleanUp().then(() => process.exit(1)));
}

function request(): Request {
  const key = keys[random(keys.length)];
  const value = `v${++written}`;
  switch (random(8)) {
    case 0:
    case 1:
    case 2:
      return { kind: "put", key, value };
    case 3:
      return { kind: "range", key: "a", end: "z" };
    case 4:
      return { kind: "range", key, isSerializable: random(2) === 0 };
    case 5:
      return { kind: "delete", key };
    default:
      return {
        kind: "txn",
        compare: [{ key, target: "version", is: "=", to: random(3) }],
        success: [{ kind: "put", key, value }],
        failure: [{ kind: "range", key }],
      };
  }
}

async function load(id: number): Promise<void> {
  while (!isOver) {
    const { endpoint } = members[random(count)];
    const client = connect(endpoint);
    const recorder = new RecordingClient({ id, client, recording, now, timeoutMs: requestMs });
    for (let requests = 5 + random(20); requests > 0 && !isOver; requests--) {
      const { kind } = await recorder.perform(request());
      await sleep(random(2 * pauseMs));
      if (kind === "unknown") break;
    }
    client.close();
  }
}

/** Sees everything, goes on where it was when its stream ends, and turns from one member to another. */
async function watch(position: number): Promise<void> {
  const seen = new SeededRandom(Number(options.seed) + position);
  const id = clients + position;
  const recorders = members.map(({ endpoint }) => {
    const client = connect(endpoint);
    return new RecordingClient({ id, client, recording, now, timeoutMs: requestMs });
  });
  const choose = (choice: number): RecordingClient => recorders[choice % count];
  await runWatcher({ id, position: 0, random: seen, connect: choose, sleep, isOver: () => isWatched });
  for (const { client } of recorders) client.close();
}

/** The number of the leader as somebody who runs sees it; undefined when nobody knows. */
async function leader(): Promise<number | undefined> {
  for (const member of members) {
    if (!member.isUp) continue;
    const client = connect(member.endpoint);
    try {
      const { leader, header } = await client.call(methods.status, {}, { timeoutMs: 500 });
      if (leader !== 0n && leader === header?.memberId) return member.number;
    } catch {
      // Killed, held or cut off.
    } finally {
      client.close();
    }
  }
  return undefined;
}

/** Milliseconds until a linearizable read of every member that runs is answered. */
async function healed(): Promise<number> {
  const started = now();
  await Promise.all(
    members.map(async ({ endpoint }) => {
      for (;;) {
        const client = connect(endpoint);
        try {
          await client.call(methods.range, { key: Buffer.from("a") }, { timeoutMs: 500 });
          return;
        } catch {
          if (now() - started > 60_000) throw new Error(`${endpoint} does not serve for a minute after all is healed`);
          await sleep(20);
        } finally {
          client.close();
        }
      }
    }),
  );
  return now() - started;
}

interface Fault {
  readonly name: string;
  readonly isPossible: boolean;
  /** From its beginning to its end. */
  readonly run: (victim: number, others: readonly number[]) => Promise<void>;
}

const cutBoth = (victim: number, others: readonly number[]): void => {
  for (const other of others) {
    network.cut(victim, other);
    network.cut(other, victim);
  }
};

const faults: readonly Fault[] = [
  {
    name: "kill -9",
    isPossible: true,
    async run(victim) {
      await members[victim].kill();
      await sleep(random(1_500));
      members[victim].start();
    },
  },
  {
    name: "SIGSTOP",
    isPossible: true,
    async run(victim) {
      members[victim].signal("SIGSTOP");
      await sleep(500 + random(2_500));
      members[victim].signal("SIGCONT");
    },
  },
  {
    name: "cut off",
    isPossible: network.canCut,
    async run(victim, others) {
      cutBoth(victim, others);
      await sleep(2_000 + random(2_000));
    },
  },
  {
    name: "cut off one way",
    isPossible: network.canCut,
    async run(victim, others) {
      for (const other of others) network.cut(victim, other);
      await sleep(2_000 + random(2_000));
    },
  },
  {
    name: "flapping",
    isPossible: network.canCut,
    async run(victim, others) {
      for (let times = 0; times < 6; times++) {
        cutBoth(victim, others);
        await sleep(100 + random(300));
        network.heal();
        await sleep(100 + random(300));
      }
    },
  },
  {
    name: "5 % loss",
    isPossible: network.canShape,
    async run() {
      for (const { number } of members) network.shape(number, { delayMs: 0, lossRate: 0.05 });
      await sleep(3_000);
    },
  },
  {
    name: "200 ms delay",
    isPossible: network.canShape,
    async run(victim) {
      network.shape(victim, { delayMs: 200, lossRate: 0 });
      await sleep(3_000);
    },
  },
];

async function torture(): Promise<string[]> {
  const possible = faults.filter(({ isPossible }) => isPossible);
  const skipped = faults.filter(({ isPossible }) => !isPossible).map(({ name }) => name);
  if (skipped.length > 0) console.log(`left out, as it takes root and network namespaces: ${skipped.join(", ")}`);
  const slow: string[] = [];
  const until = now() + Number(options.seconds) * 1000;
  for (let round = 0; now() < until; round++) {
    // Every kind once before chance decides.
    const fault = round < possible.length ? possible[round] : possible[random(possible.length)];
    const led = await leader();
    const victim = random(3) > 0 && led !== undefined ? led : random(count);
    const others = members.map(({ number }) => number).filter((number) => number !== victim);
    await fault.run(victim, others);
    network.heal();
    const took = await healed();
    const line = `${fault.name} of m${victim}${victim === led ? " (leader)" : ""}: all serve ${took.toFixed(0)} ms after it`;
    console.log(line);
    if (took > healLimitMs) slow.push(line);
    await sleep(500);
  }
  return slow;
}

async function hashes(): Promise<string[]> {
  await healed();
  return Promise.all(
    members.map(async ({ endpoint }) => {
      const client = connect(endpoint);
      // Everything acknowledged is applied where a linearizable read was answered; nobody writes any more.
      await client.call(methods.range, { key: Buffer.from("a") }, { timeoutMs: 10_000 });
      const { hash, header, compactRevision } = await client.call(methods.hashKv, {}, { timeoutMs: 10_000 });
      client.close();
      return `revision ${header?.revision} compacted ${compactRevision} hash ${hash}`;
    }),
  );
}

let failed = false;
try {
  console.log(`seed ${options.seed}, ${count} members, ${options.go} of them Go's; logs in ${folder}`);
  for (const member of members) member.start();
  await healed();
  const loads = Array.from({ length: clients }, (_, id) => load(id));
  const watches = Array.from({ length: watchers }, (_, position) => watch(position));
  const slow = await torture();
  isOver = true;
  await Promise.all(loads);
  const all = await hashes();
  await sleep(settleMs);
  isWatched = true;
  await Promise.all(watches);
  console.log(all.map((line, number) => `m${number}: ${line}`).join("\n"));
  if (new Set(all).size > 1) failed = true;
  const answered = recording.operations.filter(({ outcome }) => outcome.kind === "ok").length;
  const { violations, isUndecided } = checkHistory(recording);
  console.log(`${recording.operations.length} operations, ${answered} answered; ${violations.length} violations`);
  for (const { checker, message, story } of violations) console.log(`${checker}: ${message}\n  ${story.join("\n  ")}`);
  if (isUndecided) console.log("the search for an order gave up: nothing is proven");
  const events = recording.watches.flatMap(({ messages }) => messages).filter(({ kind }) => kind === "events").length;
  console.log(`${recording.watches.length} watches, ${events} messages with events`);
  if (slow.length > 0) console.log(`later than ${healLimitMs} ms:\n  ${slow.join("\n  ")}`);
  if (violations.length > 0 || isUndecided || slow.length > 0) failed = true;
} catch (error) {
  failed = true;
  console.log(error);
} finally {
  await cleanUp();
}
if (!failed) rmSync(folder, { recursive: true, force: true });
console.log(failed ? `failed; logs and data are in ${folder}` : "nothing found");
process.exit(failed ? 1 : 0);

/**
 * npm run bench:operations: what an operator does, quorate beside Go etcd in one run, interleaved over rounds:
 *
 *     restore      etcdutl snapshot restore of one snapshot, each with its own program
 *     snapshot     etcdctl snapshot save (Go's, where it is there) while a client writes: throughput, memory of the server
 *                  beyond what it had, latency of the writes before and meanwhile
 *     defragment   after half of the database was deleted, while a client writes one put after the other: its longest wait
 *     compaction   of many revisions while 50 clients write 1,000 puts a second: their latency before and meanwhile
 *
 *     npm run bench:operations -- [--megabytes 1024] [--revisions 1000000] [--rounds 3] [--only restore,snapshot,...]
 *                                 [--peers DIR] [--folder DIR] [--contender ours|go]
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Client } from "../src/client/client.ts";
import { methods } from "../src/client/methods.ts";
import { connect } from "./connect.ts";
import { type Contender, RunningServer } from "./servers.ts";

const { values: options } = parseArgs({
  options: {
    megabytes: { type: "string", default: "1024" },
    revisions: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "3" },
    only: { type: "string", default: "restore,snapshot,defragment,compaction" },
    peers: { type: "string", default: join(process.cwd(), "node_modules", ".cache", "peers") },
    folder: { type: "string", default: tmpdir() },
    contender: { type: "string" },
  },
});
const megabytes = Number(options.megabytes);
const revisions = Number(options.revisions);
const rounds = Number(options.rounds);
const chosen = new Set(options.only.split(","));
const valueBytes = 4096;
/** Streams that fill a database. */
const fillers = 256;

interface Programs extends Contender {
  readonly etcdctl: string;
  readonly etcdutl: string;
}

const bin = (name: string): string => join(process.cwd(), "bin", name);
const peer = (name: string): string => join(options.peers, `${name}36`);
const all: Programs[] = [
  { name: "ours", command: process.execPath, args: [bin("etcd")], etcdctl: bin("etcdctl"), etcdutl: bin("etcdutl") },
  { name: "go", command: peer("etcd"), args: [], etcdctl: peer("etcdctl"), etcdutl: peer("etcdutl") },
];
const contenders = all.filter(
  ({ name, command }) => existsSync(command) && (options.contender === undefined || options.contender === name),
);

/** One figure of one contender, a value for each round. */
const figures = new Map<string, { ours: number[]; go: number[]; digits: number }>();

function note(figure: string, contender: Contender["name"], value: number, digits = 0): void {
  const values = figures.get(figure) ?? { ours: [], go: [], digits };
  values[contender].push(value);
  figures.set(figure, values);
  console.log(`  ${contender.padEnd(4)} ${figure}: ${value.toFixed(digits)}`);
}

const within = { timeoutMs: 600_000 };
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function keyOf(number: number): Uint8Array {
  return Buffer.from(`/registry/pods/default/pod-${String(number).padStart(9, "0")}`);
}

async function fill(client: Client, count: number, bytes: number, keys = count): Promise<void> {
  let next = 0;
  const value = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at++) value[at] = (at * 31) & 0xff;
  const one = async (): Promise<void> => {
    while (next < count) {
      const number = next++;
      const own = Buffer.from(value);
      if (bytes >= 8) own.writeDoubleLE(number, 0);
      await client.call(methods.put, { key: keyOf(number % keys), value: own }, within);
    }
  };
  await Promise.all(Array.from({ length: fillers }, one));
}

/** Puts one after the other (or several streams at a pace), noting how long each took. */
class Writers {
  #isOver = false;
  readonly #done: Promise<unknown>;
  readonly latencies: number[] = [];

  constructor(client: Client, streams: number, pauseMs: number) {
    this.#done = Promise.all(Array.from({ length: streams }, (_, number) => this.#write(client, number, pauseMs)));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  percentile(share: number): number {
    const sorted = this.latencies.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  }

  async #write(client: Client, number: number, pauseMs: number): Promise<void> {
    const key = Buffer.from(`/writers/${number}`);
    const value = Buffer.alloc(256, number);
    await sleep((pauseMs * number) / 50);
    let due = performance.now();
    while (!this.#isOver) {
      const started = performance.now();
      await client.call(methods.put, { key, value }, within);
      this.latencies.push(performance.now() - started);
      due += pauseMs;
      const wait = due - performance.now();
      if (wait > 0) await sleep(wait);
      else due = performance.now();
    }
  }
}

/** Runs a program to its end; seconds. */
function run(command: string, args: readonly string[]): Promise<number> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve((performance.now() - started) / 1000);
      else reject(new Error(`${command} ${args.join(" ")} ended with ${code}: ${errors.slice(-2000)}`));
    });
  });
}

const work = mkdtempSync(join(options.folder, "quorate-operations-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
const image = join(work, "image.db");

async function restored({ name, etcdutl }: Programs): Promise<{ folder: string; seconds: number }> {
  const folder = mkdtempSync(join(work, `${name}-`));
  const seconds = await run(etcdutl, [
    "snapshot",
    "restore",
    image,
    "--data-dir",
    join(folder, "data"),
    "--initial-cluster",
    "default=http://127.0.0.1:1",
    "--initial-advertise-peer-urls",
    "http://127.0.0.1:1",
  ]);
  return { folder, seconds };
}

async function withRestored(programs: Programs, use: (server: RunningServer, client: Client) => Promise<void>) {
  const { folder } = await restored(programs);
  const server = await RunningServer.start(programs, work, folder);
  const client = connect(server.port);
  try {
    await use(server, client);
  } finally {
    client.close();
    await server.stop();
  }
}

async function makeImage(): Promise<void> {
  const [first] = contenders;
  const server = await RunningServer.start(first, work);
  const client = connect(server.port);
  await fill(client, Math.round((megabytes * 2 ** 20) / (valueBytes + 150)), valueBytes);
  await run(first.etcdctl, ["--endpoints", `127.0.0.1:${server.port}`, "snapshot", "save", image]);
  client.close();
  await server.stop();
  console.log(`the database has ${(statSync(image).size / 2 ** 20).toFixed(0)} MB`);
}

async function restore(programs: Programs): Promise<void> {
  const { folder, seconds } = await restored(programs);
  note("restore, MB/s", programs.name, statSync(image).size / 2 ** 20 / seconds);
  rmSync(folder, { recursive: true });
}

async function snapshot(programs: Programs): Promise<void> {
  await withRestored(programs, async (server, client) => {
    const before = new Writers(client, 10, 10);
    await sleep(5_000);
    await before.stop();
    const base = server.memory().now;
    let peak = base;
    const meanwhile = new Writers(client, 10, 10);
    const sampler = setInterval(() => (peak = Math.max(peak, server.memory().now)), 20);
    const file = join(work, `${programs.name}.snapshot`);
    const etcdctl = existsSync(peer("etcdctl")) ? peer("etcdctl") : programs.etcdctl;
    const cpu = server.cpuSeconds();
    const seconds = await run(etcdctl, ["--endpoints", `127.0.0.1:${server.port}`, "snapshot", "save", file]);
    note("snapshot, MB/s", programs.name, statSync(file).size / 2 ** 20 / seconds);
    note("snapshot, server CPU s", programs.name, server.cpuSeconds() - cpu, 2);
    clearInterval(sampler);
    await meanwhile.stop();
    note("snapshot, MB of memory more", programs.name, (peak - base) / 2 ** 20);
    note("snapshot, p99 of puts before, ms", programs.name, before.percentile(0.99), 1);
    note("snapshot, p99 of puts meanwhile, ms", programs.name, meanwhile.percentile(0.99), 1);
    note("snapshot, longest put meanwhile, ms", programs.name, meanwhile.percentile(1), 1);
    rmSync(file);
  });
}

async function defragment(programs: Programs): Promise<void> {
  await withRestored(programs, async (server, client) => {
    const half = Math.round((megabytes * 2 ** 20) / (valueBytes + 150) / 2);
    const range = { key: keyOf(0), rangeEnd: keyOf(half) };
    const { header } = await client.call(methods.deleteRange, range, within);
    await client.call(methods.compact, { revision: header?.revision ?? 0n, physical: true }, within);
    await sleep(2_000);
    const before = new Writers(client, 1, 0);
    await sleep(3_000);
    await before.stop();
    const meanwhile = new Writers(client, 1, 0);
    const base = server.memory().now;
    let peak = base;
    const sampler = setInterval(() => (peak = Math.max(peak, server.memory().now)), 20);
    const started = performance.now();
    await client.call(methods.defragment, {}, within);
    note("defragment, seconds", programs.name, (performance.now() - started) / 1000, 1);
    clearInterval(sampler);
    await meanwhile.stop();
    note("defragment, MB of memory more", programs.name, (peak - base) / 2 ** 20);
    note("defragment, longest put before, ms", programs.name, before.percentile(1), 1);
    note("defragment, p99 of puts meanwhile, ms", programs.name, meanwhile.percentile(0.99), 1);
    note("defragment, longest put meanwhile, ms", programs.name, meanwhile.percentile(1), 1);
  });
}

async function compaction(programs: Programs): Promise<void> {
  const server = await RunningServer.start(programs, work);
  const client = connect(server.port);
  await fill(client, revisions, 128, Math.max(1, revisions / 10));
  const before = new Writers(client, 50, 50);
  await sleep(10_000);
  const { header } = await client.call(methods.range, { key: keyOf(0) }, within);
  await before.stop();
  const meanwhile = new Writers(client, 50, 50);
  const started = performance.now();
  await client.call(methods.compact, { revision: header?.revision ?? 0n, physical: true }, within);
  note("compaction, seconds", programs.name, (performance.now() - started) / 1000, 1);
  await meanwhile.stop();
  note("compaction, p99 of puts before, ms", programs.name, before.percentile(0.99), 1);
  note("compaction, p99 of puts meanwhile, ms", programs.name, meanwhile.percentile(0.99), 1);
  note("compaction, longest put meanwhile, ms", programs.name, meanwhile.percentile(1), 1);
  client.close();
  await server.stop();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

mkdirSync(work, { recursive: true });
if (["restore", "snapshot", "defragment"].some((name) => chosen.has(name))) await makeImage();
const steps = { restore, snapshot, defragment, compaction };
for (let round = 1; round <= rounds; round++) {
  for (const [name, step] of Object.entries(steps)) {
    if (!chosen.has(name)) continue;
    console.log(`round ${round}, ${name}`);
    for (const programs of contenders) await step(programs);
  }
}
console.log(`\n| medians of ${rounds} rounds | ours | Go |\n|---|---|---|`);
for (const [figure, { ours, go, digits }] of figures) {
  console.log(`| ${figure} | ${median(ours).toFixed(digits)} | ${median(go).toFixed(digits)} |`);
}
process.exit(0);

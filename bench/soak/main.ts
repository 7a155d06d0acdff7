/**
 * npm run soak: mixed load on real processes for a long time, to see what grows.
 *
 *     npm run soak -- --minutes N [--members 1|3] [--folder DIR] [--interval SECONDS] [--rate OPERATIONS] [--tls] [--no-auth]
 *                     [--heap-limit MB] [--descriptor-limit N] [--latency-limit RATIO]
 *
 * Puts, guarded updates, reads, lists, deletes; watches opened and closed; leases kept, revoked and forgotten; connections and
 * tokens that come and go; compactions, defragmentations, snapshots, scrapes, and with three members a leader that moves. A row
 * of samples is printed every interval. At the end the growth per hour of each figure, by least squares over what comes after
 * the first third; exit code 1 when memory, descriptors or latency certainly grow by more than their limits, when too many
 * operations failed, or when a member ended.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { Permission_Type } from "../../src/wire/gen/authpb/auth.ts";
import { freePorts, makeCertificate } from "../servers.ts";
import { SoakLoad, type Measured } from "./load.ts";
import { SoakMember, type MemberSample } from "./member.ts";
import { growsBeyond, trendOf, type GrowthLimit } from "./trend.ts";

const { values: options } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    members: { type: "string", default: "1" },
    folder: { type: "string", default: tmpdir() },
    interval: { type: "string" },
    rate: { type: "string", default: "200" },
    tls: { type: "boolean", default: false },
    "no-auth": { type: "boolean", default: false },
    "heap-limit": { type: "string", default: "8" },
    "descriptor-limit": { type: "string", default: "10" },
    "latency-limit": { type: "string", default: "3" },
    root: { type: "string", default: process.cwd() },
  },
});

const MiB = 2 ** 20;
const runSeconds = Number(options.minutes) * 60;
/** At least a dozen samples, of which two thirds count. */
const intervalSeconds = Number(options.interval ?? Math.min(15, runSeconds / 12));
const timeoutMs = 120_000;
/** Share of operations that may fail: a leader that moves leaves some behind. */
const failureShareMax = 0.01;
/** The page cache fills and the allocator settles over minutes: a shorter run judges neither RSS nor what is outside the heap. */
const settledAfterMinutes = 10;

/** Of the operator's works; a short run does each of them too. */
const every = (seconds: number): number => Math.min(seconds, runSeconds / 6) * 1000;
const compactEveryMs = every(20);
const defragmentEveryMs = every(60);
const snapshotEveryMs = every(45);
const userEveryMs = every(30);
const moveEveryMs = every(90);
const scrapeEveryMs = 1_000;
/** Revisions that a compaction leaves. */
const historyKept = 2_000n;

interface Row {
  readonly hours: number;
  readonly load: Measured;
  readonly members: readonly MemberSample[];
  readonly cpuMicros: number;
}

mkdirSync(options.folder, { recursive: true });
const work = mkdtempSync(join(options.folder, "quorate-soak-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
const tls = options.tls ? makeCertificate(work) : undefined;

async function startMembers(): Promise<SoakMember[]> {
  const names = Array.from({ length: Number(options.members) }, (_, number) => `m${number}`);
  const ports = await freePorts(2 * names.length);
  const peerUrl = (number: number): string => `http://127.0.0.1:${ports[2 * number + 1]}`;
  const initialCluster = names.map((name, number) => `${name}=${peerUrl(number)}`).join(",");
  const flags = ["--log-level=warn", "--bcrypt-cost=4", "--snapshot-count=5000", "--auth-token-ttl=60"];
  return names.map((name, number) => {
    const folder = join(work, name);
    const place = { name, folder, port: ports[2 * number], peerUrl: peerUrl(number), initialCluster, tls };
    return SoakMember.start(options.root, place, flags);
  });
}

function connect(endpoints: readonly string[], user?: string): Client {
  const log = createStderrLogger("fatal");
  const { network, clock, random } = createNodePlatform({ log });
  return new Client({
    network,
    clock,
    random,
    log,
    endpoints,
    dialTimeoutMs: 30_000,
    keepaliveTimeMs: 0,
    keepaliveTimeoutMs: 0,
    maxSendBytes: 0,
    maxReceiveBytes: 0,
    security: tls === undefined ? undefined : { caFile: tls.cert },
    credentials: user === undefined ? undefined : { user, password: "soak" },
  });
}

async function connected(endpoints: readonly string[], user: string): Promise<Client> {
  const client = connect(endpoints, options["no-auth"] ? undefined : user);
  await client.authenticate(timeoutMs);
  return client;
}

/** A user `soak` with rights below /soak/, and authentication on. */
async function enableAuth(client: Client): Promise<void> {
  const put = <Request, Response>(
    method: Parameters<typeof client.call<Request, Response>>[0],
    fields: Partial<Request>,
  ) => client.call(method, fields, { timeoutMs });
  await put(methods.roleAdd, { name: "soak" });
  const perm = { permType: Permission_Type.READWRITE, key: Buffer.from("/soak/"), rangeEnd: Buffer.from("/soak0") };
  await put(methods.roleGrantPermission, { name: "soak", perm });
  for (const name of ["root", "soak"]) {
    await put(methods.userAdd, { name, password: "soak" });
    await put(methods.userGrantRole, { user: name, role: name });
  }
  await put(methods.authEnable, {});
}

/** What an operator's timers do, each over and over. */
class Operator {
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #members: readonly { readonly url: string; readonly client: Client }[];
  readonly #load: SoakLoad;
  #turn = 0;

  constructor(members: readonly { readonly url: string; readonly client: Client }[], load: SoakLoad) {
    this.#members = members;
    this.#load = load;
  }

  start(): void {
    this.#repeat(compactEveryMs, () => this.#compact());
    this.#repeat(defragmentEveryMs, () => this.#defragment());
    this.#repeat(snapshotEveryMs, () => this.#snapshot());
    if (tls === undefined) this.#repeat(scrapeEveryMs, () => this.#scrape());
    if (!options["no-auth"]) this.#repeat(userEveryMs, () => this.#user());
    if (this.#members.length > 1) this.#repeat(moveEveryMs, () => this.#moveLeader());
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  #repeat(everyMs: number, work: () => Promise<void>): void {
    let isBusy = false;
    const once = async (): Promise<void> => {
      if (isBusy) return;
      isBusy = true;
      await this.#load.count(work);
      isBusy = false;
    };
    this.#timers.push(setInterval(() => void once(), everyMs));
  }

  #next(): Client {
    return this.#members[this.#turn++ % this.#members.length].client;
  }

  async #compact(): Promise<void> {
    const revision = this.#load.revision - historyKept;
    if (revision > 0n) await this.#next().call(methods.compact, { revision, physical: true }, { timeoutMs });
  }

  async #defragment(): Promise<void> {
    await this.#next().call(methods.defragment, {}, { timeoutMs });
  }

  async #snapshot(): Promise<void> {
    const stream = await this.#next().open(methods.snapshot, { timeoutMs });
    await stream.send({});
    stream.halfClose();
    let left = 1n;
    for await (const { remainingBytes } of stream) left = remainingBytes;
    if (left !== 0n) throw new Error("a snapshot ended early");
  }

  async #scrape(): Promise<void> {
    const { url } = this.#members[this.#turn++ % this.#members.length];
    for (const path of ["/metrics", "/health", "/version"]) await (await fetch(url + path)).text();
    const key = Buffer.from("/soak/keys/000000001").toString("base64");
    await (await fetch(`${url}/v3/kv/range`, { method: "POST", body: JSON.stringify({ key }) })).text();
  }

  async #user(): Promise<void> {
    const client = this.#next();
    const name = `visitor-${this.#turn}`;
    await client.call(methods.userAdd, { name, password: "soak" }, { timeoutMs });
    await client.call(methods.userGrantRole, { user: name, role: "soak" }, { timeoutMs });
    await client.call(methods.userDelete, { name }, { timeoutMs });
  }

  async #moveLeader(): Promise<void> {
    const all = await Promise.all(
      this.#members.map(async ({ client }) => ({
        client,
        status: await client.call(methods.status, {}, { timeoutMs }),
      })),
    );
    const leader = all.find(({ status }) => status.header?.memberId === status.leader);
    const others = all.filter((one) => one !== leader);
    const targetID = others[this.#turn++ % others.length].status.header?.memberId ?? 0n;
    await leader?.client.call(methods.moveLeader, { targetID }, { timeoutMs });
  }
}

const mebibytes = (bytes: number): string => (bytes / MiB).toFixed(1);

function printRow(row: Row, members: readonly SoakMember[]): void {
  const { load } = row;
  for (const [number, sample] of row.members.entries()) {
    const cells = [
      number === 0 ? (row.hours * 60).toFixed(2) : "",
      members[number].name,
      ...[sample.rss, sample.heapTotal, sample.heapUsed, sample.external].map(mebibytes),
      String(sample.descriptors),
      ...[sample.delayP99, sample.delayMax].map((ms) => ms.toFixed(0)),
      mebibytes(sample.databaseBytes),
      String(sample.segments),
      ...(number > 0
        ? []
        : [
            String(load.operations),
            String(load.failed + load.skipped),
            ...[load.putP50, load.putP99, load.rangeP50, load.rangeP99].map((ms) => ms.toFixed(1)),
            row.cpuMicros.toFixed(0),
          ]),
    ];
    console.log(cells.map((cell) => cell.padStart(9)).join(""));
  }
}

const columns = [
  "minute",
  "member",
  "RSS",
  "V8",
  "heap",
  "external",
  "fds",
  "lag p99",
  "lag max",
  "db",
  "WALs",
  "ops",
  "failed",
];
const latencyColumns = ["put p50", "p99", "get p50", "p99", "CPU µs"];

/** Prints the growth of every figure. @returns the names of those beyond their limit. */
function judge(rows: readonly Row[], members: readonly SoakMember[]): string[] {
  const after = rows.slice(Math.floor(rows.length / 3));
  const heapLimit: GrowthLimit = { perHour: Number(options["heap-limit"]) * MiB, atLeast: 4 * MiB };
  const bad: string[] = [];
  console.log(`\n${"figure".padEnd(26)}${["mean", "per hour", "± (1σ)"].map((text) => text.padStart(12)).join("")}`);
  const look = (name: string, limit: GrowthLimit | undefined, unit: number, value: (row: Row) => number): void => {
    const trend = trendOf(after.map((row) => ({ hours: row.hours, value: value(row) })));
    const isBad = limit !== undefined && growsBeyond(trend, limit);
    const cells = [trend.mean, trend.slope, trend.error].map((figure) => (figure / unit).toFixed(2).padStart(12));
    console.log(`${name.padEnd(26)}${cells.join("")}${isBad ? "  GROWS" : ""}`);
    if (isBad) bad.push(name);
  };
  for (const [number, { name }] of members.entries()) {
    const of = (figure: keyof MemberSample) => (row: Row) => row.members[number][figure];
    look(`${name} heap held, MB`, heapLimit, MiB, of("heapUsed"));
    const outerLimit = { perHour: 4 * heapLimit.perHour, atLeast: 8 * heapLimit.atLeast };
    const settled = runSeconds / 60 < settledAfterMinutes ? undefined : outerLimit;
    look(`${name} heap of V8 in all, MB`, undefined, MiB, of("heapTotal"));
    look(`${name} outside the heap, MB`, settled, MiB, of("external"));
    look(`${name} RSS, MB`, settled, MiB, of("rss"));
    const descriptorLimit = Number(options["descriptor-limit"]);
    look(`${name} descriptors`, { perHour: descriptorLimit, atLeast: descriptorLimit }, 1, of("descriptors"));
    look(`${name} loop delay p99, ms`, undefined, 1, of("delayP99"));
    look(`${name} database, MB`, undefined, MiB, of("databaseBytes"));
  }
  const middle = after.slice(0, Math.ceil(after.length / 4)).map(({ load }) => load.putP50);
  const early = middle.reduce((sum, ms) => sum + ms, 0) / middle.length;
  const latencyLimit = (Number(options["latency-limit"]) - 1) * early;
  look("put p50, ms", { perHour: latencyLimit, atLeast: latencyLimit }, 1, ({ load }) => load.putP50);
  look("put p99, ms", undefined, 1, ({ load }) => load.putP99);
  look("range p50, ms", undefined, 1, ({ load }) => load.rangeP50);
  look("CPU an operation, µs", undefined, 1, ({ cpuMicros }) => cpuMicros);
  const total = rows.reduce((sum, { load }) => sum + load.operations, 0);
  const failed = rows.reduce((sum, { load }) => sum + load.failed, 0);
  const skipped = rows.reduce((sum, { load }) => sum + load.skipped, 0);
  console.log(`${total} operations, ${failed} failed, ${skipped} not begun as too many were under way`);
  if (failed > total * failureShareMax) bad.push("failures");
  return bad;
}

async function soak(): Promise<number> {
  const members = await startMembers();
  const endpoints = members.map(({ url }) => url);
  const first = connect(endpoints);
  await first.call(methods.status, {}, { timeoutMs });
  if (!options["no-auth"]) await enableAuth(first);
  first.close();
  const users = await Promise.all(Array.from({ length: 4 }, () => connected(endpoints, "soak")));
  const roots = await Promise.all(members.map(({ url }) => connected([url], "root")));
  const load = new SoakLoad({ users, connect: () => connected(endpoints, "soak") }, Number(options.rate));
  const operator = new Operator(
    members.map(({ url }, number) => ({ url, client: roots[number] })),
    load,
  );
  console.log([...columns, ...latencyColumns].map((name) => name.padStart(9)).join(""));
  load.start();
  operator.start();
  const started = performance.now();
  const rows: Row[] = [];
  let cpu = (await Promise.all(members.map((member) => member.sample()))).map(({ cpuSeconds }) => cpuSeconds);
  while (performance.now() - started < runSeconds * 1000) {
    await new Promise((resolve) => setTimeout(resolve, intervalSeconds * 1000));
    const samples = await Promise.all(members.map((member) => member.sample()));
    const measured = load.take();
    const spent = samples.reduce((sum, { cpuSeconds }, number) => sum + cpuSeconds - cpu[number], 0);
    cpu = samples.map(({ cpuSeconds }) => cpuSeconds);
    const hours = (performance.now() - started) / 3_600_000;
    const row = {
      hours,
      load: measured,
      members: samples,
      cpuMicros: (spent * 1e6) / Math.max(1, measured.operations),
    };
    rows.push(row);
    printRow(row, members);
  }
  operator.stop();
  await load.stop();
  for (const client of [...users, ...roots]) client.close();
  const bad = judge(rows, members);
  for (const [text, times] of load.failures) console.log(`  ${times} × ${text}`);
  const codes = await Promise.all(members.map((member) => member.stop()));
  if (codes.some((code) => code !== 0)) bad.push("a member's exit code");
  console.log(bad.length === 0 ? "soak: nothing grows" : `soak: FAILED: ${bad.join(", ")}`);
  return bad.length === 0 ? 0 : 1;
}

process.exit(await soak());

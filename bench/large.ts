/**
 * npm run bench:large: a database far larger than the page cache, and what it takes to serve it. Each phase tells how long it
 * took, the CPU of the server, and the most memory the server had resident meanwhile.
 *
 *     npm run bench:large -- [--gigabytes 10] [--value-kib 256] [--folder DIR] [--contender ours|go] [--go PATH]
 *
 * Needs twice the size on the disk: the log, and the database.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Client } from "../src/client/client.ts";
import { ClientError } from "../src/client/client-error.ts";
import { methods } from "../src/client/methods.ts";
import { connect } from "./connect.ts";
import { reasons } from "../src/wire/errors.ts";
import { RawClient } from "./raw-client.ts";
import { print } from "./report.ts";
import * as requests from "./requests.ts";
import { type Contender, RunningServer } from "./servers.ts";

const { values: options } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "10" },
    "value-kib": { type: "string", default: "256" },
    folder: { type: "string", default: tmpdir() },
    contender: { type: "string", default: "ours" },
    go: { type: "string", default: join(process.cwd(), "node_modules", ".cache", "peers", "etcd36") },
  },
});

const valueBytes = Number(options["value-kib"]) * 1024;
const keyCount = Math.round((Number(options.gigabytes) * 2 ** 30) / valueBytes);
/** Pairs of a page, so that one is some 24 MB. */
const pageKeys = Math.ceil((24 << 20) / valueBytes);
/** Of one list that is not paged: half a gigabyte. */
const longListKeys = Math.min(keyCount, Math.ceil((512 << 20) / valueBytes));
const writers = 32;
const readers = 16;
const randomReads = 1_000;
const refusedPauseMs = 100;
const within = { timeoutMs: 600_000 };

const ours: Contender = { name: "ours", command: process.execPath, args: [join(process.cwd(), "bin", "etcd")] };
const contender: Contender = options.contender === "go" ? { name: "go", command: options.go, args: [] } : ours;

mkdirSync(options.folder, { recursive: true });
const work = mkdtempSync(join(options.folder, "quorate-large-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** Puts that were refused and sent again. */
let refusals = 0;
const lines = [["phase", "seconds", "CPU s", "RSS before, MB", "most, MB", "MB/s"]];

/** @param work - returns the bytes that it moved. */
async function phase(name: string, server: RunningServer, work: () => Promise<number>): Promise<void> {
  const before = server.memory().now;
  let most = before;
  const sampler = setInterval(() => (most = Math.max(most, server.memory().now)), 20);
  const cpu = server.cpuSeconds();
  const started = performance.now();
  const bytes = await work();
  const seconds = (performance.now() - started) / 1000;
  clearInterval(sampler);
  const figures = [seconds.toFixed(1), (server.cpuSeconds() - cpu).toFixed(1), mebibytes(before), mebibytes(most)];
  lines.push([name, ...figures, (bytes / 2 ** 20 / seconds).toFixed(0)]);
  console.log(`  ${lines.at(-1)?.join("  ")}`);
}

/** `streams` at a time. */
async function forEach(count: number, streams: number, one: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: streams }, run));
}

/** A member refuses while its disk is too far behind with the database. */
async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (!(error instanceof ClientError) || error.description !== reasons.tooManyRequests.message) throw error;
      refusals++;
      await new Promise((resolve) => setTimeout(resolve, refusedPauseMs));
    }
  }
}

async function put(client: Client, count: number): Promise<number> {
  await forEach(count, writers, (index) => {
    const value = Buffer.alloc(valueBytes, index & 0xff);
    value.writeUInt32LE(index, 0);
    return patiently(() => client.call(methods.put, { key: requests.keyOf(index), value }, within));
  });
  return count * valueBytes;
}

const rangePath = "/etcdserverpb.KV/Range";

function fetchRange(client: RawClient, request: Uint8Array): Promise<void> {
  return new Promise((resolve) => client.unary(rangePath, request, () => resolve()));
}

async function listInPages(client: RawClient): Promise<number> {
  for (let from = 0; from < keyCount; from += pageKeys) {
    await fetchRange(client, requests.list(requests.keyOf(from), pageKeys));
  }
  return keyCount * valueBytes;
}

async function readAtRandom(client: RawClient): Promise<number> {
  await forEach(randomReads, readers, () =>
    fetchRange(client, requests.range(requests.keyOf(Math.floor(Math.random() * keyCount)), false)),
  );
  return randomReads * valueBytes;
}

async function save(client: Client): Promise<number> {
  const stream = await client.open(methods.snapshot, within);
  await stream.send({});
  stream.halfClose();
  let bytes = 0;
  for await (const { blob } of stream) bytes += blob.length;
  return bytes;
}

async function readAll(server: RunningServer, name: string): Promise<void> {
  const raw = await RawClient.connect(server.port);
  await phase(`${name}: random reads`, server, () => readAtRandom(raw));
  await phase(`${name}: everything in pages of ${pageKeys}`, server, () => listInPages(raw));
  await phase(`${name}: ${longListKeys} keys in one list`, server, async () => {
    await fetchRange(raw, requests.list(requests.keyOf(0), longListKeys));
    return longListKeys * valueBytes;
  });
  raw.close();
}

function mebibytes(bytes: number): string {
  return String(Math.round(bytes / 2 ** 20));
}

const first = await RunningServer.start(contender, work);
let client = connect(first.port, { dialTimeoutMs: 30_000 });
console.log(`${keyCount} keys with values of ${options["value-kib"]} KiB`);
await phase("fill", first, () => put(client, keyCount));
await readAll(first, "after the fill");
await phase("snapshot", first, () => save(client));
client.close();
await first.stop({ keep: true });

const again = await RunningServer.start(contender, work, first.folder);
client = connect(again.port, { dialTimeoutMs: 30_000 });
const database = join(again.folder, "data", "member", "snap", "db");
console.log(
  `started again in ${Math.round(again.startMs)} ms, ${Math.round(again.cpuSeconds() * 1000)} ms of CPU, ` +
    `RSS ${mebibytes(again.memory().now)} MB; the database has ${mebibytes(statSync(database).size)} MB`,
);
await readAll(again, "started again");
await phase("a tenth written anew", again, () => put(client, Math.round(keyCount / 10)));
await phase("compaction", again, async () => {
  const { header } = await client.call(methods.range, { key: requests.keyOf(0) }, within);
  await client.call(methods.compact, { revision: header?.revision ?? 0n, physical: true }, within);
  return (keyCount / 10) * valueBytes;
});
client.close();
await again.stop();
print(lines);
console.log(`${refusals} puts were refused for a moment, as the disk was behind`);
process.exit(0);

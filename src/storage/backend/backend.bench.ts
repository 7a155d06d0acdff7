/**
 * What the backend costs: `node scripts/run-ts.mjs src/storage/backend/backend.bench.ts [DIRECTORY]`. Puts at full and at a
 * paced rate with the CPU time and the longest block of the loop, single reads, opening and scanning a database of a million
 * rows, compaction-like deletes, hash and defragmentation.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";
import { Backend } from "./backend.ts";

const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("error") });
const rows = 1_000_000;
const valueSize = 300;

/** Longest gap between two calls of a 1 ms timer while `work` runs. */
async function longestBlock(work: () => Promise<void>): Promise<number> {
  let longest = 0;
  let last = clock.monotonic();
  let running = true;
  const watch = (): void => {
    const now = clock.monotonic();
    longest = Math.max(longest, now - last);
    last = now;
    if (running) clock.setTimer(watch, 1);
  };
  clock.setTimer(watch, 1);
  await work();
  running = false;
  return longest;
}

function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function report(name: string, figures: Record<string, string | number>): void {
  const text = Object.entries(figures).map(
    ([key, value]) => `${key} ${typeof value === "number" ? value.toFixed(2) : value}`,
  );
  process.stdout.write(`${name.padEnd(34)} ${text.join(", ")}\n`);
}

const turn = (): Promise<void> => new Promise((resolve) => clock.nextTurn(resolve));

/** `perTurn` rows a loop turn, paced to `rate` rows a second when it is not 0. The CPU of an idle loop is taken off. */
async function puts(backend: Backend, name: string, first: number, count: number, rate: number): Promise<void> {
  const started = clock.monotonic();
  const cpu = cpuMicroseconds();
  let putTime = 0;
  const block = await longestBlock(async () => {
    let main = first;
    while (main < first + count) {
      const due = rate === 0 ? main + 500 : first + Math.min(((clock.monotonic() - started) / 1000) * rate, count);
      const begun = clock.monotonic();
      for (; main < due && main < first + count; main++) {
        const value = new Uint8Array(valueSize);
        value[0] = main;
        backend.putRow(main, 0, false, value);
      }
      putTime += clock.monotonic() - begun;
      if (backend.overloaded) await backend.drained();
      else if (rate === 0) await turn();
      else await new Promise<void>((resolve) => void clock.setTimer(resolve, 1));
    }
    await backend.commit();
  });
  const ms = clock.monotonic() - started;
  report(name, {
    "rows/s": ((count / ms) * 1000).toFixed(0),
    "CPU µs/row": (cpuMicroseconds() - cpu) / count,
    "put µs/row": (putTime * 1000) / count,
    "longest block ms": block,
    commits: String(backend.commits),
    "rss MB": process.memoryUsage().rss / 1e6,
  });
}

const directory = mkdtempSync(join(process.argv[2] ?? tmpdir(), "quorate-bench-"));
const path = join(directory, "db");
let backend = await Backend.open(disk, clock, log, path);
await puts(backend, "warm-up, full rate", 2, 200_000, 0);
await puts(backend, "puts, full rate", 200_002, 400_000, 0);
await puts(backend, "puts, 100,000 rows/s", 600_002, 400_000, 100_000);

let reads = 0;
let began = clock.monotonic();
for (let index = 0; index < 200_000; index++) if (backend.getRow(990_000 + (index % 5000), 0) !== undefined) reads++;
report("getRow, cached pages", { µs: ((clock.monotonic() - began) * 1000) / reads });
began = clock.monotonic();
for (let index = 0; index < 100_000; index++) backend.getRow(2 + ((index * 7919) % rows), 0);
report("getRow, random over 330 MB", { µs: ((clock.monotonic() - began) * 1000) / 100_000 });
began = clock.monotonic();
reads = 0;
for (let index = 0; index < 20_000; index++) {
  backend.scanRows(
    { main: 990_000 + (index % 4000), sub: 0 },
    { main: 990_200 + (index % 4000), sub: 0 },
    () => ++reads > 0,
  );
}
report("scanRows of 200, cached", { "µs/row": ((clock.monotonic() - began) * 1000) / reads });
await backend.close();

began = clock.monotonic();
backend = await Backend.open(disk, clock, log, path);
const openMs = clock.monotonic() - began;
began = clock.monotonic();
let bytes = 0;
let count = 0;
backend.scanRows({ main: 0, sub: 0 }, undefined, (_main, _sub, _tombstone, value) => {
  bytes += value.length;
  count++;
  return true;
});
report("open, then scan of all rows", {
  rows: String(count),
  "open ms": openMs,
  "scan ms": clock.monotonic() - began,
  MB: bytes / 1e6,
  "rss MB": process.memoryUsage().rss / 1e6,
});

began = clock.monotonic();
let cpu = cpuMicroseconds();
let block = await longestBlock(async () => {
  for (let main = 2; main < 300_000; main++) {
    backend.deleteRow(main, 0, false);
    if (main % 1000 !== 0) continue;
    await turn();
    if (main % 10_000 === 0) await backend.commit();
  }
  await backend.commit();
});
report("deletes in order, commit per 10,000", {
  "CPU µs/row": (cpuMicroseconds() - cpu) / 300_000,
  "longest block ms": block,
  ms: clock.monotonic() - began,
});

for (const [name, work] of [
  ["hash", (): Promise<unknown> => backend.hash(() => false)],
  ["defragment", (): Promise<unknown> => backend.defragment()],
] as const) {
  began = clock.monotonic();
  cpu = cpuMicroseconds();
  block = await longestBlock(async () => void (await work()));
  report(name, {
    ms: clock.monotonic() - began,
    "longest block ms": block,
    "size MB": backend.size / 1e6,
    "rss MB": process.memoryUsage().rss / 1e6,
  });
}
await backend.close();
rmSync(directory, { recursive: true });

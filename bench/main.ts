/**
 * npm run bench: quorate beside Go etcd, one after the other on the same disk and cores, interleaved over rounds, driven by
 * the same load generator. Prints a table with the ratio of the medians.
 *
 *     npm run bench -- [--quick] [--seconds N] [--rounds N] [--only put,range,...] [--streams 1,100] [--capacity KEYS]
 *                      [--go PATH] [--folder DIR] [--json FILE] [--contender ours|go] [--connections N|each] [--split] [--tls]
 *                      [--warm-up SECONDS]
 *                      [--members N] [--heartbeats KEYS]
 *     npm run bench -- --growth [--key-counts 10000,100000,1000000] [--watcher-counts 10,1000,10000] [--member-counts 1,3,5]
 *
 * --connections each gives every stream a connection of its own; --split puts HTTP on another listener, which makes Go's gRPC
 * faster; --tls does both servers' gRPC under TLS, and implies --split. With
 * --members 3 both are clusters on this machine: connections go to all members in turn, the first one to the leader; CPU is
 * that of all members together, memory that of the largest. Then the leader is killed a few times.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { growth } from "./growth.ts";
import { heartbeats } from "./heartbeats.ts";
import type { Job, Result } from "./load.ts";
import { RunningCluster } from "./cluster.ts";
import { printCapacity, printFailOvers, printTable, type CapacityRow, type Row } from "./report.ts";
import { delaySyncs, makeCertificate, RunningServer, type Contender, type Doors } from "./servers.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    seconds: { type: "string" },
    "warm-up": { type: "string" },
    rounds: { type: "string" },
    only: { type: "string" },
    streams: { type: "string", default: "1,10,100,1000" },
    keys: { type: "string", default: "100000" },
    capacity: { type: "string" },
    members: { type: "string", default: "1" },
    heartbeats: { type: "string" },
    growth: { type: "boolean", default: false },
    "key-counts": { type: "string", default: "10000,100000,1000000" },
    "watcher-counts": { type: "string", default: "10,1000,10000" },
    "member-counts": { type: "string", default: "1,3,5" },
    go: { type: "string" },
    folder: { type: "string", default: tmpdir() },
    json: { type: "string" },
    contender: { type: "string" },
    connections: { type: "string", default: "10" },
    split: { type: "boolean", default: false },
    tls: { type: "boolean", default: false },
    root: { type: "string", default: process.cwd() },
  },
});

const seconds = Number(options.seconds ?? (options.quick ? 1 : 3));
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const keys = Number(options.keys);
const memberCount = Number(options.members);
if (memberCount > 1 && options.tls) throw new Error("--members and --tls do not go together");
/** Kills of the leader in a round. */
const killsPerRound = 3;
const streamCounts = options.streams.split(",").map(Number);
const folder = join(options.folder, "quorate-bench");
mkdirSync(folder, { recursive: true });
const tls = options.tls ? makeCertificate(folder) : undefined;
const doors: Doors = { tls, isSplit: options.split || options.tls };

interface Scenario {
  readonly name: string;
  readonly operation: Job["operation"];
  readonly streams: readonly number[];
  readonly limit?: number;
  /** Milliseconds added to every sync of the server. */
  readonly syncDelayMs?: number;
}

const scenarios: readonly Scenario[] = [
  { name: "put", operation: "put", streams: streamCounts },
  { name: "range", operation: "range", streams: streamCounts },
  { name: "serializable", operation: "serializable", streams: streamCounts },
  { name: "list-200", operation: "list", streams: [1, 10, 100], limit: 200 },
  { name: "list-1000", operation: "list", streams: [1, 10], limit: 1000 },
  { name: "txn", operation: "txn", streams: streamCounts },
  { name: "watch", operation: "watch", streams: [1, 100, 1000] },
  { name: "keepalive", operation: "keepalive", streams: streamCounts },
  { name: "slow-sync", operation: "range-under-writes", streams: [50], syncDelayMs: 120 },
];

const chosen = options.only === undefined ? undefined : new Set(options.only.split(","));

function contenders(): Contender[] {
  const ours: Contender = { name: "ours", command: process.execPath, args: [join(options.root, "bin", "etcd")] };
  if (options.contender === "ours") return [ours];
  const path = options.go ?? join(options.root, "node_modules", ".cache", "peers", "etcd35");
  if (!existsSync(path)) {
    console.log(
      `Go etcd is not at ${path}: run "node scripts/fetch-peers.mjs 3.5" or give --go PATH. Measuring ours alone.`,
    );
    return [ours];
  }
  const go: Contender = { name: "go", command: path, args: [] };
  return options.contender === "go" ? [go] : [ours, go];
}

/**
 * Runs one job in a process of its own.
 *
 * @param atEdge - called when the measured time begins, and when it ends.
 */
function drive(job: Job, atEdge?: () => void): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [new URL("load.mjs", import.meta.url).pathname, JSON.stringify(job)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      for (const edge of output.match(/^measur(?:ing|ed)\n/gm) ?? []) {
        output = output.slice(edge.length);
        atEdge?.();
      }
    });
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(output) as Result);
      else reject(new Error(`the load generator ended with ${code} on ${JSON.stringify(job)}`));
    });
  });
}

async function measure(
  server: RunningServer | RunningCluster,
  scenario: Scenario,
  streams: number,
): Promise<Row["runs"][number] | undefined> {
  // A delay is for one process.
  if (scenario.syncDelayMs !== undefined && server instanceof RunningCluster) return undefined;
  const delayed =
    scenario.syncDelayMs === undefined || server instanceof RunningCluster
      ? undefined
      : await delaySyncs(server.pid, scenario.syncDelayMs);
  if (scenario.syncDelayMs !== undefined && delayed === undefined) {
    console.log("  slow-sync left out: strace is not here or may not trace");
    return undefined;
  }
  const cpuAtEdges: number[] = [];
  const job: Job = {
    operation: scenario.operation,
    ports: server.ports,
    streams,
    connections: options.connections === "each" ? streams : Math.min(Number(options.connections), streams),
    caFile: tls?.cert,
    seconds,
    warmUpSeconds: options["warm-up"] === undefined ? undefined : Number(options["warm-up"]),
    keys,
    ...(scenario.limit === undefined ? {} : { limit: scenario.limit }),
  };
  const result = await drive(job, () => cpuAtEdges.push(server.cpuSeconds()));
  delayed?.stop();
  const [atBegin, atEnd] = cpuAtEdges;
  return { ...result, cpuMicros: ((atEnd - atBegin) * 1e6) / result.count, rss: server.memory().peak };
}

/** By scenario and streams, as far as the run has come. */
const measured = new Map<string, Row>();
/** Milliseconds from the kill of a leader to the next acknowledged write, by contender. */
const failOvers = new Map<string, number[]>();

function start(contender: Contender): Promise<(RunningServer & { startMs: number }) | RunningCluster> {
  return memberCount === 1
    ? RunningServer.start(contender, folder, undefined, doors)
    : RunningCluster.start(contender, folder, memberCount, doors);
}

async function compare(): Promise<Row[]> {
  for (let round = 1; round <= rounds; round++) {
    const order = round % 2 === 1 ? contenders() : contenders().reverse();
    for (const contender of order) {
      const server = await start(contender);
      console.log(
        `round ${round}/${rounds}, ${contender.name}: ready in ${Math.round(server.startMs)} ms, loading ${keys} keys`,
      );
      await drive({
        operation: "load",
        ports: server.ports,
        caFile: tls?.cert,
        streams: 200,
        connections: 10,
        seconds: 0,
        keys,
      });
      for (const scenario of scenarios) {
        if (chosen !== undefined && !chosen.has(scenario.name)) continue;
        for (const streams of scenario.streams) {
          const run = await measure(server, scenario, streams);
          if (run === undefined) continue;
          const id = `${scenario.name} ${streams}`;
          const row = measured.get(id) ?? { name: scenario.name, streams, runs: [] };
          row.runs.push({ ...run, contender: contender.name });
          measured.set(id, row);
          console.log(
            `  ${contender.name.padEnd(4)} ${id.padEnd(18)} ${Math.round(run.count / run.seconds)}/s p99 ${run.p99.toFixed(2)} ms`,
          );
        }
      }
      if (server instanceof RunningCluster) {
        const times = failOvers.get(contender.name) ?? [];
        for (let kill = 0; kill < killsPerRound; kill++) times.push(await server.failOver());
        failOvers.set(contender.name, times);
      }
      await server.stop();
    }
  }
  return [...measured.values()];
}

/** Memory after loading many keys, and time to start on them again. */
async function capacity(count: number): Promise<CapacityRow[]> {
  const rows: CapacityRow[] = [];
  for (const contender of contenders()) {
    const server = await RunningServer.start(contender, folder, undefined, doors);
    console.log(`capacity, ${contender.name}: loading ${count} keys`);
    const loaded = await drive({
      operation: "load",
      ports: server.ports,
      caFile: tls?.cert,
      streams: 500,
      connections: 10,
      seconds: 0,
      keys: count,
    });
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const memory = server.memory();
    await server.stop({ keep: true });
    const again = await RunningServer.start(contender, folder, server.folder, doors);
    const rssAfterStart = again.memory().now;
    const slow = await slowList(again);
    rows.push({
      contender: contender.name,
      keys: count,
      loadSeconds: loaded.seconds,
      rss: memory.now,
      rssPeak: memory.peak,
      startMs: again.startMs,
      rssAfterStart,
      slowListRss: slow.rss,
      slowListSeconds: slow.seconds,
    });
    await again.stop();
  }
  return rows;
}

/** A list of everything to a client that takes 32 MB a second: how long it took, and how far the memory grew meanwhile. */
async function slowList(server: RunningServer): Promise<{ rss: number; seconds: number }> {
  const before = server.memory().now;
  let highest = before;
  const sampler = setInterval(() => (highest = Math.max(highest, server.memory().now)), 50);
  const job: Job = {
    operation: "slow-list",
    ports: server.ports,
    caFile: tls?.cert,
    streams: 1,
    connections: 1,
    seconds: 300,
    keys: 0,
  };
  const result = await drive(job).finally(() => clearInterval(sampler));
  console.log(`  slow list: ${Math.round(result.count / 2 ** 20)} MB in ${result.seconds.toFixed(1)} s`);
  return { rss: highest - before, seconds: result.seconds };
}

// Leaves no server behind; and what was measured by then is worth seeing.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    printTable([...measured.values()]);
    printFailOvers(failOvers);
    process.exit(1);
  });
}
const numbers = (text: string): number[] => text.split(",").filter(Boolean).map(Number);
if (options.growth) {
  await growth({
    contenders: contenders(),
    folder,
    doors,
    seconds,
    drive,
    keyCounts: numbers(options["key-counts"]),
    watcherCounts: numbers(options["watcher-counts"]),
    memberCounts: numbers(options["member-counts"]),
  });
} else if (options.heartbeats !== undefined) {
  await heartbeats({ root: options.root, folder, keys: Number(options.heartbeats), drive });
} else if (options.capacity === undefined) {
  const rows = await compare();
  printTable(rows);
  printFailOvers(failOvers);
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(rows, null, 1));
} else {
  printCapacity(await capacity(Number(options.capacity)));
}

/**
 * What grows with what: keys, watchers, members. The figure is the CPU of the server (of all members together) per request or
 * event, which a busy machine moves least; beside it memory, and what a start costs.
 */
import type { Job, Result } from "./load.ts";
import { RunningCluster } from "./cluster.ts";
import { print } from "./report.ts";
import { type Contender, type Doors, RunningServer } from "./servers.ts";

export interface GrowthOptions {
  readonly contenders: readonly Contender[];
  readonly folder: string;
  readonly doors: Doors;
  readonly seconds: number;
  readonly drive: (job: Job) => Promise<Result>;
  readonly keyCounts: readonly number[];
  readonly watcherCounts: readonly number[];
  readonly memberCounts: readonly number[];
}

type Server = Pick<RunningServer, "ports" | "cpuSeconds" | "memory">;

/** Keys of the tables that do not vary them. */
const fewKeys = 20_000;
/** Until memory has settled after a load. */
const settleMs = 3_000;

export async function growth(options: GrowthOptions): Promise<void> {
  if (options.keyCounts.length > 0) await byKeys(options);
  if (options.watcherCounts.length > 0) await byWatchers(options);
  if (options.memberCounts.length > 0) await byMembers(options);
}

async function byKeys(options: GrowthOptions): Promise<void> {
  const { drive, folder, doors } = options;
  const lines = [
    ["keys", "server", "load µs", "put µs", "range µs", "list-200 µs", "RSS MB", "start CPU ms", "RSS MB, started"],
  ];
  for (const keys of options.keyCounts) {
    for (const contender of options.contenders) {
      const server = await RunningServer.start(contender, folder, undefined, doors);
      const loaded = await load(server, keys, drive);
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      const rss = server.memory().now;
      const measure = (job: Partial<Job> & Pick<Job, "operation">): Promise<string> => cost(options, server, job, keys);
      const put = await measure({ operation: "put" });
      const range = await measure({ operation: "range" });
      const list = await measure({ operation: "list", streams: 10, limit: 200 });
      await server.stop({ keep: true });
      const again = await RunningServer.start(contender, folder, server.folder, doors);
      const startMs = again.cpuSeconds() * 1000;
      const rssStarted = again.memory().now;
      await again.stop();
      const counts = [String(keys), contender.name, loaded.toFixed(1), put, range, list];
      lines.push([...counts, mebibytes(rss), startMs.toFixed(0), mebibytes(rssStarted)]);
      console.log(`  ${lines.at(-1)?.join(" ")}`);
    }
  }
  print(lines);
}

/** `to all`: every watcher gets every event. `beside`: each watches a key of its own that nobody writes. */
async function byWatchers(options: GrowthOptions): Promise<void> {
  const lines = [["watchers", "server", "to all: µs an event", "beside: µs a put", "RSS MB at most"]];
  for (const watchers of options.watcherCounts) {
    for (const contender of options.contenders) {
      const server = await RunningServer.start(contender, options.folder, undefined, options.doors);
      await load(server, fewKeys, options.drive);
      const toAll = await cost(options, server, { operation: "watch", streams: watchers }, fewKeys);
      const beside = await cost(options, server, { operation: "put", watchers }, fewKeys);
      lines.push([String(watchers), contender.name, toAll, beside, mebibytes(server.memory().peak)]);
      console.log(`  ${lines.at(-1)?.join(" ")}`);
      await server.stop();
    }
  }
  print(lines);
}

async function byMembers(options: GrowthOptions): Promise<void> {
  const lines = [["members", "server", "put µs", "range µs", "RSS MB at most"]];
  for (const members of options.memberCounts) {
    for (const contender of options.contenders) {
      const cluster = await RunningCluster.start(contender, options.folder, members, options.doors);
      await load(cluster, fewKeys, options.drive);
      const put = await cost(options, cluster, { operation: "put" }, fewKeys);
      const range = await cost(options, cluster, { operation: "range" }, fewKeys);
      lines.push([String(members), contender.name, put, range, mebibytes(cluster.memory().peak)]);
      console.log(`  ${lines.at(-1)?.join(" ")}`);
      await cluster.stop();
    }
  }
  print(lines);
}

/** Microseconds of CPU per key. */
async function load(server: Server, keys: number, drive: GrowthOptions["drive"]): Promise<number> {
  const before = server.cpuSeconds();
  await drive({ operation: "load", ports: server.ports, streams: 500, connections: 10, seconds: 0, keys });
  return ((server.cpuSeconds() - before) * 1e6) / keys;
}

/** Microseconds of the server's CPU per operation. The load's warm-up costs as much per second as the rest. */
async function cost(
  { drive, seconds }: GrowthOptions,
  server: Server,
  job: Partial<Job> & Pick<Job, "operation">,
  keys: number,
): Promise<string> {
  const before = server.cpuSeconds();
  const all: Job = {
    ports: server.ports,
    streams: 100,
    connections: Math.min(10, job.streams ?? 10),
    seconds,
    keys,
    ...job,
  };
  const result = await drive(all);
  const cpu = server.cpuSeconds() - before;
  return ((cpu * (result.seconds / (result.seconds + 0.5)) * 1e6) / result.count).toFixed(1);
}

function mebibytes(bytes: number): string {
  return String(Math.round(bytes / 2 ** 20));
}

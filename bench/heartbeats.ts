/**
 * How long a leader of three is without sending a heartbeat (every 100 ms, and more while reads ask for them) while it
 * does what takes long: a list of 100 MB, a compaction of many revisions, a defragmentation, and all of it at once.
 * The figure is the leader's own, `quorate_server_heartbeat_gap_max_seconds`.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Job, Result } from "./load.ts";
import { freePorts } from "./servers.ts";

export interface HeartbeatsOptions {
  /** Of the tree with `bin/`. */
  readonly root: string;
  readonly folder: string;
  /** Keys of 55 bytes with values of 256. */
  readonly keys: number;
  readonly drive: (job: Job) => Promise<Result>;
}

export interface HeartbeatRow {
  readonly phase: string;
  /** Since this member leads: of all phases so far. */
  readonly longestGapMs: number;
  readonly late: number;
}

interface Server {
  readonly url: string;
  readonly port: number;
  readonly process: ChildProcess;
}

const quietMs = 3_000;
const patienceMs = 120_000;

export async function heartbeats(options: HeartbeatsOptions): Promise<HeartbeatRow[]> {
  const data = mkdtempSync(join(options.folder, "bench-heartbeats-"));
  const servers = await startThree(options.root, data);
  try {
    const leader = await leaderOf(servers);
    const { port } = leader;
    const rows: HeartbeatRow[] = [];
    const etcdctl = (...args: string[]): Promise<string> => run(join(options.root, "bin", "etcdctl"), leader.url, args);
    const phase = async (name: string, work: () => Promise<unknown>): Promise<void> => {
      await work();
      const text = await metricsOf(leader);
      const longestGapMs = valueOf(text, "quorate_server_heartbeat_gap_max_seconds") * 1000;
      const late = valueOf(text, "etcd_server_heartbeat_send_failures_total");
      console.log(`  ${name}: longest gap so far ${longestGapMs.toFixed(0)} ms, late ${late}`);
      rows.push({ phase: name, longestGapMs, late });
    };
    const job = { ports: [port], streams: 200, connections: 10, seconds: 0, keys: options.keys };
    const list = (): Promise<Result> =>
      options.drive({ ...job, operation: "slow-list", streams: 1, connections: 1, seconds: 300 });
    const compact = async (): Promise<string> => {
      const [{ Status: status }] = JSON.parse(await etcdctl("endpoint", "status", "-w", "json")) as [
        { Status: { header: { revision: number } } },
      ];
      return etcdctl("compaction", "--physical", String(status.header.revision));
    };
    await phase("nothing", () => new Promise((resolve) => setTimeout(resolve, quietMs)));
    await phase("writing", () => options.drive({ ...job, operation: "load" }));
    await phase("a list of everything", list);
    await phase("a compaction", compact);
    await phase("a defragmentation", () => etcdctl("defrag"));
    await phase("writing again", () => options.drive({ ...job, operation: "load" }));
    await phase("all at once", () => Promise.all([list(), compact(), etcdctl("defrag")]));
    return rows;
  } finally {
    for (const server of servers) server.process.kill("SIGKILL");
    rmSync(data, { recursive: true, force: true });
  }
}

async function startThree(root: string, data: string): Promise<Server[]> {
  const names = ["a", "b", "c"];
  const ports = await freePorts(2 * names.length);
  const peerUrls = names.map((_, at) => `http://127.0.0.1:${ports[2 * at + 1]}`);
  const initialCluster = names.map((name, at) => `${name}=${peerUrls[at]}`).join(",");
  return names.map((name, at) => {
    const url = `http://127.0.0.1:${ports[2 * at]}`;
    const flags = {
      name,
      "data-dir": join(data, name),
      "listen-client-urls": url,
      "advertise-client-urls": url,
      "listen-peer-urls": peerUrls[at],
      "initial-advertise-peer-urls": peerUrls[at],
      "initial-cluster": initialCluster,
      "log-level": "error",
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const child = spawn(process.execPath, [join(root, "bin", "etcd"), ...args], { stdio: "ignore" });
    const abandon = (): void => void child.kill("SIGKILL");
    process.once("exit", abandon);
    child.once("exit", () => process.off("exit", abandon));
    return { url, port: ports[2 * at], process: child };
  });
}

async function leaderOf(servers: readonly Server[]): Promise<Server> {
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline) {
    for (const server of servers) {
      const text = await metricsOf(server).catch(() => "");
      if (valueOf(text, "etcd_server_is_leader") === 1) return server;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("nobody leads");
}

async function metricsOf({ url }: Server): Promise<string> {
  return (await fetch(`${url}/metrics`)).text();
}

function valueOf(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? 0);
}

function run(program: string, endpoint: string, args: readonly string[]): Promise<string> {
  const all = [program, `--endpoints=${endpoint}`, "--command-timeout=120s", "--dial-timeout=60s", ...args];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, all, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  });
}

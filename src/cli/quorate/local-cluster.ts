/**
 * `quorate local-cluster`: a cluster on this machine for trying things out. Each member is a process of its own, the same
 * program with the same flags as anywhere else.
 *
 *     member i of n    client port = base + 10 (i - 1)    peer port = one more    data in <folder>/m<i>
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";

const portStep = 10;
/** Leaves room for the members behind the first. */
const basePortMax = 65_000;
/** How long all members may take until they serve. */
const readyTimeoutMs = 60_000;
const readyPollMs = 100;
/** For the answer of one member; another program may have its port. */
const healthTimeoutMs = 2_000;

export interface Options {
  readonly members: number;
  readonly basePort: number;
  readonly dataDir?: string;
}

interface LocalMember {
  readonly name: string;
  readonly endpoint: string;
  readonly peerUrl: string;
  readonly folder: string;
  readonly logPath: string;
}

export const localClusterHelp = `quorate local-cluster: run a cluster of real processes on this machine until Ctrl-C.

Usage:
  quorate local-cluster [--members 1|3|5] [--base-port PORT] [--data-dir FOLDER]

  --members     how many; default 3
  --base-port   client port of the first member, the others follow in steps of ${portStep}; default 2379
  --data-dir    keeps the data there; without it, it is removed at the end
`;

/** @throws {Error} naming the argument that is wrong. */
export function parseLocalCluster(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      members: { type: "string", default: "3" },
      "base-port": { type: "string", default: "2379" },
      "data-dir": { type: "string" },
    },
  });
  const members = Number(values.members);
  const basePort = Number(values["base-port"]);
  if (![1, 3, 5].includes(members)) throw new Error(`--members must be 1, 3 or 5, not ${values.members}`);
  if (!Number.isInteger(basePort) || basePort < 1 || basePort > basePortMax) {
    throw new Error(`--base-port must be a port up to ${basePortMax}, not ${values["base-port"]}`);
  }
  const dataDir = values["data-dir"];
  return { members, basePort, ...(dataDir === undefined ? {} : { dataDir }) };
}

/** Flags of a member of the cluster. */
export function memberFlags(member: LocalMember, all: readonly LocalMember[]): string[] {
  return [
    `--name=${member.name}`,
    `--data-dir=${join(member.folder, "data")}`,
    `--listen-client-urls=${member.endpoint}`,
    `--advertise-client-urls=${member.endpoint}`,
    `--listen-peer-urls=${member.peerUrl}`,
    `--initial-advertise-peer-urls=${member.peerUrl}`,
    `--initial-cluster=${all.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",")}`,
    "--initial-cluster-token=local-cluster",
  ];
}

/** @param folder - holds the data of all members. */
export function planMembers(count: number, basePort: number, folder: string): LocalMember[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `m${index + 1}`;
    const port = basePort + portStep * index;
    return {
      name,
      endpoint: `http://127.0.0.1:${port}`,
      peerUrl: `http://127.0.0.1:${port + 1}`,
      folder: join(folder, name),
      logPath: join(folder, name, "etcd.log"),
    };
  });
}

/** Resolves when the cluster is up, or could not come up; the process lives as long as its members. */
export async function runLocalCluster({ members: count, basePort, dataDir }: Options): Promise<void> {
  const folder = dataDir ?? mkdtempSync(join(tmpdir(), "quorate-local-"));
  const members = planMembers(count, basePort, folder);
  const running = new Map<LocalMember, ChildProcess>();
  let isStopping = false;
  const stop = async (): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    await Promise.all([...running.values()].map((child) => stopped(child)));
    if (dataDir === undefined) rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void stop());
  for (const member of members) {
    const child = start(member, members);
    running.set(member, child);
    child.once("exit", (code) => {
      if (isStopping) return;
      process.stderr.write(`quorate: ${member.name} has ended with code ${code}; its log is ${member.logPath}\n`);
    });
  }
  if (!(await areReady(members, running, () => isStopping))) {
    if (isStopping) return;
    process.stderr.write(`quorate: the cluster did not come up; the logs are in ${folder}\n`);
    for (const child of running.values()) child.kill("SIGTERM");
    process.exitCode = 1;
    isStopping = true;
    return;
  }
  const endpoints = members.map(({ endpoint }) => endpoint).join(",");
  process.stdout.write(`${members.map(describe).join("\n")}\n\n`);
  process.stdout.write(`export ETCDCTL_ENDPOINTS=${endpoints}\n\nCtrl-C stops all members.\n`);
}

function describe({ name, endpoint, logPath }: LocalMember): string {
  return `${name}  ${endpoint}  log: ${logPath}`;
}

function start(member: LocalMember, all: readonly LocalMember[]): ChildProcess {
  mkdirSync(member.folder, { recursive: true, mode: 0o700 });
  const log = openSync(member.logPath, "a", 0o600);
  try {
    // In a group of its own: Ctrl-C in the terminal reaches this program alone, which then stops them in order.
    return spawn(process.execPath, [etcdProgram(), ...memberFlags(member, all)], {
      stdio: ["ignore", log, log],
      detached: true,
    });
  } finally {
    closeSync(log);
  }
}

/** The launcher beside the one that was started. */
function etcdProgram(): string {
  const path = join(dirname(realpathSync(process.argv[1])), "etcd");
  if (!existsSync(path)) throw new Error(`the program of the members is not there: ${path}`);
  return path;
}

function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}

/** False when a member ended, time ran out, or the cluster is being stopped. */
async function areReady(
  members: readonly LocalMember[],
  running: ReadonlyMap<LocalMember, ChildProcess>,
  isStopping: () => boolean,
): Promise<boolean> {
  const { clock } = createNodePlatform({ log: createStderrLogger("fatal") });
  const deadlineMs = clock.monotonic() + readyTimeoutMs;
  while (clock.monotonic() < deadlineMs) {
    if (isStopping() || [...running.values()].some((child) => child.exitCode !== null)) return false;
    const answers = await Promise.all(members.map(isHealthy));
    if (answers.every(Boolean)) return true;
    await new Promise<void>((resolve) => void clock.setTimer(resolve, readyPollMs));
  }
  return false;
}

async function isHealthy({ endpoint }: LocalMember): Promise<boolean> {
  try {
    return (await fetch(`${endpoint}/health`, { signal: AbortSignal.timeout(healthTimeoutMs) })).status === 200;
  } catch {
    // It does not listen yet, or somebody else does who does not answer.
    return false;
  }
}

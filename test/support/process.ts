/** Programs of ours (built, from bin/) and real etcd's, as processes. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** How long anything may take on a slow machine. */
export const patienceMs = 60_000;

/** Lines of a log that an error shows. */
const lastLines = 30;

/** One of our programs; `QUORATE_BIN` names a folder with others to test in place of those of this tree. */
export function program(name: "etcd" | "etcdctl" | "etcdutl" | "quorate"): string {
  const others = process.env["QUORATE_BIN"];
  if (others !== undefined) return join(others, name);
  if (!existsSync(join(root, "dist", ".built")))
    throw new Error("the programs are not built: run npm test, or npm run build");
  return join(root, "bin", name);
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. The environment holds PATH and what is given, nothing else. */
export function runToEnd(
  command: string,
  args: readonly string[],
  { env = {}, input, cwd }: { env?: Record<string, string>; input?: string; cwd?: string } = {},
): Finished {
  const result = spawnSync(command, args, {
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "", ...env },
    timeout: patienceMs,
    maxBuffer: 256 << 20,
    ...(input === undefined ? {} : { input }),
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (result.error !== undefined) throw result.error;
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

/** The same while this process goes on with its own work, such as serving what the program asks for. */
export function runBeside(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Finished> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", ...env },
    timeout: patienceMs,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Ports that nobody uses now. Somebody may take one before it is used: callers start again then. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "quorate-test-"));
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

export interface ServerOptions {
  /** Default: ours. */
  readonly command?: string;
  readonly dataDir: string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  /** Default: any that are free. */
  readonly ports?: Ports;
  /** How it finds its cluster. Default: it founds one of itself. */
  readonly founding?: readonly string[];
}

export interface SpawnOptions {
  readonly command: string;
  readonly flags: readonly string[];
  readonly env: Record<string, string>;
  /** Where the flags or the environment let it listen for clients. */
  readonly port: number;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  readonly peerUrl: string;
}

export interface Ports {
  readonly client: number;
  readonly peer: number;
}

/** One etcd server process, ours or Go's: the flags used are the same. */
export class ServerProcess {
  readonly command: string;
  readonly endpoint: string;
  readonly port: number;
  readonly peerUrl: string;
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;

  private constructor(command: string, child: ChildProcess, endpoint: string, peerUrl: string) {
    this.command = command;
    this.#child = child;
    this.port = Number(new URL(endpoint).port);
    this.endpoint = endpoint;
    this.peerUrl = peerUrl;
    this.#exited = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    let rest = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      rest += chunk.toString();
      const parts = rest.split("\n");
      rest = parts.pop() ?? "";
      this.lines.push(...parts);
    });
  }

  /**
   * Starts and waits for the line that tools wait for. A port that another program has for a moment, as the near end of a
   * connection, is waited for.
   *
   * @throws when the server ends before.
   */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const server = await ServerProcess.launch(options);
      if (await server.becomesReady()) return server;
      const log = server.lines.join("\n");
      if (performance.now() > deadline || !log.includes("address already in use"))
        throw new Error(`the server did not become ready:\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  /** Starts without waiting. */
  static async launch({
    command = program("etcd"),
    dataDir,
    args = [],
    env = {},
    ports,
    founding,
  }: ServerOptions): Promise<ServerProcess> {
    const [client, peer] = ports === undefined ? await freePorts(2) : [ports.client, ports.peer];
    const url = `http://127.0.0.1:${client}`;
    const peerUrl = `http://127.0.0.1:${peer}`;
    const flags = [
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      ...(founding ?? [`--initial-cluster=default=${peerUrl}`]),
      ...args,
    ];
    return ServerProcess.spawn({ command, flags, env, port: client, peerUrl });
  }

  /** Starts with these flags and this environment (and PATH), nothing else. */
  static spawn({ command, flags, env, port, peerUrl, host }: SpawnOptions): ServerProcess {
    const child = spawn(command, flags, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] ?? "", ...env },
    });
    return new ServerProcess(command, child, `http://${host ?? "127.0.0.1"}:${port}`, peerUrl);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** False when it ended before. */
  async becomesReady(): Promise<boolean> {
    return this.waitForLine("ready to serve client requests");
  }

  async waitForLine(text: string): Promise<boolean> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      if (this.lines.some((line) => line.includes(text))) return true;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return false;
      if (performance.now() > deadline)
        throw new Error(`no line with ${JSON.stringify(text)}, at last:\n${this.lines.slice(-lastLines).join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Exit code; null when a signal ended it. */
  exit(): Promise<number | null> {
    return this.#exited;
  }

  /** As {@link exit}, of a process that ends by itself. @throws when it does not; it is killed then. */
  async ends(): Promise<number | null> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#child.kill("SIGKILL");
    }, patienceMs);
    const code = await this.#exited;
    clearTimeout(timer);
    if (isLate) throw new Error(`the server does not end:\n${this.lines.join("\n")}`);
    return code;
  }

  /** Graceful stop. */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return this.#exited;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

/** A Go etcd program that scripts/fetch-peers.mjs has brought; undefined when it is not there. */
export function peer(name: string): string | undefined {
  const path = join(process.env["QUORATE_PEERS"] ?? join(root, "node_modules", ".cache", "peers"), name);
  return existsSync(path) ? path : undefined;
}

/** The two servers under test: start, readiness, what they cost, stop. Both get the same flags and an empty directory. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

export interface Contender {
  readonly name: "ours" | "go";
  readonly command: string;
  readonly args: readonly string[];
}

const clockTicksPerSecond = 100;
const readyTimeoutMs = 120_000;

/** How the load reaches the servers. */
export interface Doors {
  /** gRPC under TLS, with this certificate; its own CA. */
  readonly tls?: TlsFiles | undefined;
  /** HTTP on a listener of its own, which lets Go serve gRPC with its own HTTP/2 and not net/http's. */
  readonly isSplit: boolean;
}

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** Where a member listens, and the cluster that it is of. */
export interface Place {
  readonly name: string;
  readonly port: number;
  readonly peerUrl: string;
  readonly initialCluster: string;
}

export class RunningServer {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #metricsPort: number;

  private constructor(process: ChildProcess, port: number, metricsPort: number, folder: string) {
    this.#process = process;
    this.port = port;
    this.#metricsPort = metricsPort;
    this.#folder = folder;
  }

  /** One member alone. @param base - folder for data directories; `keep` reuses one. */
  static async start(
    contender: Contender,
    base: string,
    keep?: string,
    doors: Doors = { isSplit: false },
  ): Promise<RunningServer & { startMs: number }> {
    const folder = keep ?? mkdtempSync(join(base, `bench-${contender.name}-`));
    const [port, peer] = await freePorts(2);
    const peerUrl = `http://127.0.0.1:${peer}`;
    const place = { name: "default", port, peerUrl, initialCluster: `default=${peerUrl}` };
    const started = performance.now();
    const server = await RunningServer.startAt(contender, folder, place, doors);
    return Object.assign(server, { startMs: performance.now() - started });
  }

  /** A member of a cluster; resolves when it serves. @param folder - of its data, empty or its own. */
  static async startAt(
    contender: Contender,
    folder: string,
    place: Place,
    { tls, isSplit }: Doors,
  ): Promise<RunningServer> {
    const [http, metrics] = await freePorts(2);
    const scheme = tls === undefined ? "http" : "https";
    const url = `${scheme}://127.0.0.1:${place.port}`;
    const child = spawn(
      contender.command,
      [
        ...contender.args,
        "--name",
        place.name,
        "--data-dir",
        join(folder, "data"),
        "--listen-client-urls",
        url,
        "--advertise-client-urls",
        url,
        "--listen-peer-urls",
        place.peerUrl,
        "--initial-advertise-peer-urls",
        place.peerUrl,
        "--initial-cluster",
        place.initialCluster,
        "--quota-backend-bytes",
        String(16 * 1024 ** 3),
        "--log-level",
        "error",
        "--listen-metrics-urls",
        `http://127.0.0.1:${metrics}`,
        ...(isSplit ? ["--listen-client-http-urls", `${scheme}://127.0.0.1:${http}`] : []),
        ...(tls === undefined ? [] : ["--cert-file", tls.cert, "--key-file", tls.key]),
      ],
      // Go's gRPC complains about connections that the load generator drops when it ends.
      { stdio: "ignore" },
    );
    const abandon = (): void => void child.kill("SIGKILL");
    process.once("exit", abandon);
    child.once("exit", () => process.off("exit", abandon));
    const server = new RunningServer(child, place.port, metrics, folder);
    await server.#ready();
    return server;
  }

  get ports(): readonly number[] {
    return [this.port];
  }

  get folder(): string {
    return this.#folder;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** User and system time so far. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, "latin1").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond;
  }

  /** Resident bytes: now, and at most so far. */
  memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, "latin1");
    const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    return { now: kib("VmRSS") * 1024, peak: kib("VmHWM") * 1024 };
  }

  async stop({ keep = false, signal = "SIGTERM" }: { keep?: boolean; signal?: NodeJS.Signals } = {}): Promise<void> {
    const over = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill(signal);
    await over;
    if (!keep) rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + readyTimeoutMs;
    while (performance.now() < deadline) {
      if (this.#process.exitCode !== null) throw new Error(`the server ended with ${this.#process.exitCode}`);
      const response = await fetch(`http://127.0.0.1:${this.#metricsPort}/health`).catch(() => undefined);
      if (response?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("the server did not become ready");
  }
}

/** A certificate for 127.0.0.1 that is its own authority, ECDSA P-256. */
export function makeCertificate(folder: string): TlsFiles {
  const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"];
  execFileSync("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", files.key, "-out", files.cert], {
    stdio: "ignore",
  });
  return files;
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) =>
          server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
        ),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Slows every fsync and fdatasync of a process down; undefined when strace is missing or may not trace. */
export async function delaySyncs(pid: number, ms: number): Promise<{ stop(): void } | undefined> {
  if (!["/usr/bin/strace", "/bin/strace"].some((path) => existsSync(path))) return undefined;
  const calls = "fsync,fdatasync";
  const tracer = spawn(
    "strace",
    [
      "-f",
      "-qq",
      "-o",
      "/dev/null",
      "-e",
      `trace=${calls}`,
      "-e",
      `inject=${calls}:delay_exit=${ms * 1000}`,
      "-p",
      String(pid),
    ],
    { stdio: "ignore" },
  );
  const failed = await Promise.race([
    new Promise<boolean>((resolve) => tracer.once("exit", () => resolve(true))),
    new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 1000)),
  ]);
  return failed ? undefined : { stop: () => void tracer.kill("SIGINT") };
}

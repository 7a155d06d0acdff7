/** Members with certificates as processes, ours or Go's, and ways to knock at their doors. */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { request, type RequestOptions } from "node:https";
import { join } from "node:path";
import type { CertificateAuthority, Pair } from "./certificates.ts";
import { type Finished, freePorts, patienceMs, program, runToEnd } from "./process.ts";

export interface TlsMemberOptions {
  /** Data directories are made in it. */
  readonly folder: string;
  /** Default: ours. */
  readonly command?: string;
  /** Default `default`. */
  readonly name?: string;
  /** Scheme of the client URL; default https. */
  readonly clientScheme?: "http" | "https";
  /** Scheme of the peer URL; default http. */
  readonly peerScheme?: "http" | "https";
  /** Flags behind the usual ones. */
  readonly flags?: readonly string[];
  /** Client port and peer port; default any. */
  readonly ports?: readonly [number, number];
  /** Default: this member alone. */
  readonly initialCluster?: string;
  readonly dataDir?: string;
  /** Working directory, for flags that name files in it. */
  readonly cwd?: string;
}

export class TlsMember {
  readonly port: number;
  readonly peerPort: number;
  readonly endpoint: string;
  readonly dataDir: string;
  readonly #child: ChildProcess;
  #log = "";

  private constructor(child: ChildProcess, ports: readonly [number, number], endpoint: string, dataDir: string) {
    this.#child = child;
    [this.port, this.peerPort] = ports;
    this.endpoint = endpoint;
    this.dataDir = dataDir;
    child.stderr?.on("data", (chunk: Buffer) => (this.#log += chunk.toString()));
  }

  /** Without waiting for anything. */
  static async launch(options: TlsMemberOptions): Promise<TlsMember> {
    const { folder, command = program("etcd"), name = "default", flags = [], initialCluster } = options;
    const ports = options.ports ?? ((await freePorts(2)) as [number, number]);
    const { clientScheme = "https", peerScheme = "http" } = options;
    const endpoint = `${clientScheme}://127.0.0.1:${ports[0]}`;
    const peerUrl = `${peerScheme}://127.0.0.1:${ports[1]}`;
    const dataDir = options.dataDir ?? join(folder, `data-${ports[0]}`);
    const all = [
      `--name=${name}`,
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=${initialCluster ?? `${name}=${peerUrl}`}`,
      ...flags,
    ];
    const child = spawn(command, all, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] },
      cwd: options.cwd,
    });
    return new TlsMember(child, ports, endpoint, dataDir);
  }

  /** Waits until it serves. @throws with its log when it ends before. */
  static async start(options: TlsMemberOptions): Promise<TlsMember> {
    const member = await TlsMember.launch(options);
    await member.ready();
    return member;
  }

  async ready(): Promise<void> {
    if (!(await this.says("ready to serve client requests"))) throw new Error(`it did not become ready:\n${this.#log}`);
  }

  log(): string {
    return this.#log;
  }

  /** Log lines of this message, in order. */
  lines(message: string): Record<string, unknown>[] {
    return this.#log
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line["msg"] === message);
  }

  /** False when the process ended before it said so. */
  async says(text: string): Promise<boolean> {
    const deadline = performance.now() + patienceMs;
    while (!this.#log.includes(text)) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#log.includes(text);
      if (performance.now() > deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return true;
  }

  /** Exit code. */
  async end(): Promise<number | null> {
    if (this.#child.exitCode !== null) return this.#child.exitCode;
    return new Promise((resolve) => this.#child.once("exit", resolve));
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** Flags of a member that shows one certificate to all, and wants to see one from all. */
export function memberFiles({ cert, key }: Pair, authority: CertificateAuthority): string[] {
  return ["", "peer-"].flatMap((side) => [
    `--${side}cert-file=${cert}`,
    `--${side}key-file=${key}`,
    `--${side}trusted-ca-file=${authority.cert}`,
    `--${side}client-cert-auth`,
  ]);
}

/** Flags of a client: whom to trust, who it is. */
export function clientFlags(authority: CertificateAuthority | undefined, pair: Pair | undefined): string[] {
  return [
    ...(authority === undefined ? [] : [`--cacert=${authority.cert}`]),
    ...(pair === undefined ? [] : [`--cert=${pair.cert}`, `--key=${pair.key}`]),
  ];
}

/** `etcdctl` until its end, with time enough for one that is refused to say so, and not more. */
export function etcdctl(args: readonly string[], command: string = program("etcdctl")): Finished {
  return runToEnd(command, ["--command-timeout=3s", "--dial-timeout=3s", ...args]);
}

export interface HttpsOptions extends Pick<RequestOptions, "headers"> {
  readonly port: number;
  readonly path: string;
  readonly authority: CertificateAuthority;
  readonly pair?: Pair | undefined;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Posted; without it the page is got. */
  readonly body?: string | undefined;
}

/** Status and text of a page. @throws what the connection fails with. */
export function fetchPage(options: HttpsOptions): Promise<{ status: number; text: string }> {
  const { authority, pair, body, host = "127.0.0.1", ...rest } = options;
  const own = pair === undefined ? {} : { cert: readFileSync(pair.cert), key: readFileSync(pair.key) };
  const method = body === undefined ? "GET" : "POST";
  return new Promise((resolve, reject) => {
    const all = { ...rest, ...own, host, method, agent: false, ca: readFileSync(authority.cert) };
    const sent = request(all, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

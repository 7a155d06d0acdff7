/** A member under soak: its process, with a probe inside that tells memory after a full collection, and the loop's delay. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { TlsFiles } from "../servers.ts";

/** What the probe answers; bytes, and milliseconds. */
interface Inside {
  readonly heapUsed: number;
  /** What V8 has of the system for its heap, used or not. */
  readonly heapTotal: number;
  readonly external: number;
  readonly delayP99: number;
  readonly delayMax: number;
}

export interface MemberSample extends Inside {
  readonly rss: number;
  readonly descriptors: number;
  readonly cpuSeconds: number;
  readonly databaseBytes: number;
  readonly segments: number;
}

export interface SoakPlace {
  readonly name: string;
  readonly port: number;
  readonly peerUrl: string;
  readonly initialCluster: string;
  readonly folder: string;
  readonly tls: TlsFiles | undefined;
}

const clockTicksPerSecond = 100;
/** A machine that does other things may hold a member for long. */
const readyTimeoutMs = 300_000;

/**
 * Runs in the member: its source is handed over, so it uses nothing from outside itself. The heap is collected first, so
 * that what is left is what is held.
 */
async function probe(): Promise<void> {
  const { monitorEventLoopDelay } = await import("node:perf_hooks");
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  process.on("message", () => {
    const delayP99 = delay.percentile(99) / 1e6;
    const delayMax = delay.max / 1e6;
    collect();
    const { heapUsed, heapTotal, external } = process.memoryUsage();
    delay.reset();
    process.send?.({ heapUsed, heapTotal, external, delayP99, delayMax });
  });
  process.channel?.unref();
}

export class SoakMember {
  readonly url: string;
  readonly name: string;
  readonly #place: SoakPlace;
  readonly #process: ChildProcess;

  private constructor(place: SoakPlace, url: string, child: ChildProcess) {
    this.#place = place;
    this.url = url;
    this.name = place.name;
    this.#process = child;
  }

  static start(root: string, place: SoakPlace, flags: readonly string[]): SoakMember {
    const { tls, folder, name } = place;
    const url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${place.port}`;
    const args = [
      `--import=data:text/javascript,${encodeURIComponent(`(${probe.toString()})()`)}`,
      join(root, "bin", "etcd"),
      `--name=${name}`,
      `--data-dir=${folder}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${place.peerUrl}`,
      `--initial-advertise-peer-urls=${place.peerUrl}`,
      `--initial-cluster=${place.initialCluster}`,
      ...(tls === undefined ? [] : [`--cert-file=${tls.cert}`, `--key-file=${tls.key}`]),
      ...flags,
    ];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe", "ipc"] });
    child.stderr?.pipe(createWriteStream(`${folder}.log`));
    const abandon = (): void => void child.kill("SIGKILL");
    process.once("exit", abandon);
    child.once("exit", () => process.off("exit", abandon));
    return new SoakMember(place, url, child);
  }

  get isUp(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async sample(): Promise<MemberSample> {
    const { pid } = this.#process;
    const inside = await this.#ask();
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const times = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
    const { folder } = this.#place;
    return {
      ...inside,
      rss: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      cpuSeconds: (Number(times[11]) + Number(times[12])) / clockTicksPerSecond,
      databaseBytes: statSync(join(folder, "member", "snap", "db")).size,
      segments: readdirSync(join(folder, "member", "wal")).filter((name) => name.endsWith(".wal")).length,
    };
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    const over = new Promise<number | null>((resolve) => this.#process.once("exit", resolve));
    if (!this.isUp) return this.#process.exitCode;
    this.#process.kill("SIGTERM");
    return over;
  }

  #ask(): Promise<Inside> {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        child.off("message", answered);
        child.off("exit", ended);
      };
      const answered = (message: unknown): void => {
        settle();
        resolve(message as Inside);
      };
      const ended = (): void => {
        settle();
        reject(new Error(`member ${this.name} is gone: see ${this.#place.folder}.log`));
      };
      const timer = setTimeout(() => {
        settle();
        reject(new Error(`member ${this.name} does not answer`));
      }, readyTimeoutMs);
      child.on("message", answered);
      child.once("exit", ended);
      child.send("sample");
    });
  }
}

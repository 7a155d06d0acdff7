/** Plays a transcript: starts its servers, runs its commands in order, and notes what they print. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Observed, Scene, ServerPlan, Step, Transcript } from "./transcript.ts";

export interface Programs {
  readonly etcd: string;
  readonly etcdctl: string;
  readonly etcdutl: string;
}

/** A step with what came of it this time; `variables` are the values captured up to then. */
export interface PlayedStep {
  readonly step: Step;
  readonly observed: Observed;
  readonly variables: ReadonlyMap<string, string>;
}

/** A server or a command that does not do its part within this fails the test; a slow machine needs far less. */
const patienceMs = 30_000;

/** @param wanted - false leaves a step out. */
export async function replay(
  { scene, steps }: Transcript,
  programs: Programs,
  wanted: (step: Step) => boolean,
): Promise<PlayedStep[]> {
  const player = new Player(scene, programs);
  const played: PlayedStep[] = [];
  try {
    await player.startServers();
    for (const step of steps) {
      if (!wanted(step)) continue;
      const observed = await player.play(step);
      played.push({ step, observed, variables: new Map(player.variables) });
    }
  } finally {
    await player.close();
  }
  return played;
}

class Player {
  readonly variables = new Map<string, string>();
  readonly #scene: Scene;
  readonly #programs: Programs;
  readonly #folder = mkdtempSync(join(tmpdir(), "quorate-transcript-"));
  readonly #work = join(this.#folder, "work");
  readonly #servers: ChildProcess[] = [];
  readonly #running = new Map<string, Running>();
  /** Recorded address → ours, such as `127.0.0.1:43700`. */
  readonly #addresses = new Map<string, string>();

  constructor(scene: Scene, programs: Programs) {
    this.#scene = scene;
    this.#programs = programs;
    mkdirSync(this.#work);
    for (const [name, value] of Object.entries(scene.member_ids)) this.variables.set(name, value);
  }

  async startServers(): Promise<void> {
    for (const plan of this.#scene.servers) await this.#startServer(plan);
  }

  async play(step: Step): Promise<Observed> {
    switch (step.kind) {
      case "cli":
        return this.#run(step);
      case "bg-start":
        await this.#start(step);
        return {};
      case "bg-stdin":
        this.#command(step).write(step.text ?? "");
        return {};
      case "bg-until":
        await this.#command(step).printed(new RegExp(step.until ?? ""));
        return {};
      case "bg-end":
        return this.#end(step);
      case "wait":
        await pause(step.ms ?? 0);
        return {};
      case "file":
        return { exit: existsSync(join(this.#work, step.path ?? "")) ? "there" : "missing" };
      default:
        throw new Error(`step ${step.n}: ${step.kind} needs a cluster`);
    }
  }

  async close(): Promise<void> {
    for (const running of this.#running.values()) running.kill("SIGKILL");
    for (const server of this.#servers) {
      server.kill("SIGKILL");
      await new Promise((resolve) => {
        if (server.exitCode !== null || server.signalCode !== null) resolve(undefined);
        else server.once("exit", resolve);
      });
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #startServer(plan: ServerPlan): Promise<void> {
    const client = `127.0.0.1:${await freePort()}`;
    const peer = `127.0.0.1:${await freePort()}`;
    this.#addresses.set(plan.client.replace("http://", ""), client);
    const server = spawn(
      this.#programs.etcd,
      [
        `--name=${plan.name}`,
        `--data-dir=${join(this.#folder, plan.id)}`,
        `--listen-client-urls=http://${client}`,
        `--advertise-client-urls=http://${client}`,
        `--listen-peer-urls=http://${peer}`,
        // Ids derive from the advertised URL, where nobody calls: the cluster has one member.
        `--initial-advertise-peer-urls=${plan.peer}`,
        `--initial-cluster=${plan.name}=${plan.peer}`,
        `--initial-cluster-token=${plan.token}`,
        ...plan.flags,
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env["PATH"] } },
    );
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      let log = "";
      const read = (chunk: Buffer): void => {
        log = (log + chunk.toString("utf8")).slice(-20_000);
        if (log.includes("ready to serve client requests")) resolve();
      };
      server.stdout?.on("data", read);
      server.stderr?.on("data", read);
      server.once("error", reject);
      server.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${log}`)));
      setTimeout(() => reject(new Error(`the server is not ready:\n${log}`)), patienceMs).unref();
    });
  }

  async #run(step: Step): Promise<Observed> {
    const running = this.#spawn(step);
    running.endInput(step.stdin_b64 === undefined ? (step.stdin ?? "") : Buffer.from(step.stdin_b64, "base64"));
    const timer = step.may_hang === true ? setTimeout(() => running.kill("SIGTERM"), step.timeout_ms ?? 0) : undefined;
    const observed = await running.ended();
    clearTimeout(timer);
    this.#capture(step, observed.stdout ?? "");
    return observed;
  }

  async #start(step: Step): Promise<void> {
    const running = this.#spawn(step);
    this.#running.set(step.bg ?? "", running);
    if (step.until === undefined) await pause(step.ready_ms ?? 700);
    else await running.printed(new RegExp(step.until));
    this.#capture(step, running.output);
  }

  async #end(step: Step): Promise<Observed> {
    const running = this.#command(step);
    if (step.ms !== undefined) await pause(step.ms);
    // What is under way gets its chance before the signal.
    if (step.signal !== undefined) await running.quiet();
    if (step.signal !== undefined) running.kill(step.signal);
    this.#running.delete(step.bg ?? "");
    return running.ended();
  }

  #command(step: Step): Running {
    const running = this.#running.get(step.bg ?? "");
    if (running === undefined) throw new Error(`step ${step.n}: nothing runs as ${step.bg}`);
    return running;
  }

  #capture(step: Step, output: string): void {
    for (const [name, pattern] of Object.entries(step.capture ?? {})) {
      const value = new RegExp(pattern).exec(output)?.[1];
      if (value === undefined) throw new Error(`step ${step.n}: ${name} is not in ${JSON.stringify(output)}`);
      this.variables.set(name, value);
      if (/^[0-9a-f]{10,16}$/.test(value)) this.variables.set(`${name}(decimal)`, String(BigInt(`0x${value}`)));
    }
  }

  #spawn(step: Step): Running {
    const program = step.tool === "etcdutl" ? this.#programs.etcdutl : this.#programs.etcdctl;
    const argv = (step.argv ?? []).map((argument) => this.#expand(argument));
    const env: Record<string, string> = { PATH: process.env["PATH"] ?? "" };
    for (const [name, value] of Object.entries({ ...this.#scene.env, ...step.env })) {
      if (value === null) delete env[name];
      else env[name] = this.#expand(value);
    }
    return new Running(spawn(program, argv, { cwd: this.#work, env, stdio: ["pipe", "pipe", "pipe"] }), (text) =>
      this.#contract(text),
    );
  }

  /** `${WORK}`, captured values and addresses as they are in this run. */
  #expand(text: string): string {
    let result = text.replaceAll("${WORK}", this.#work);
    for (const [name, value] of this.variables) result = result.replaceAll(`\${${name}}`, value);
    for (const [recorded, ours] of this.#addresses) result = result.replaceAll(recorded, ours);
    return result;
  }

  /** The way back, in what a command printed. */
  #contract(text: string): string {
    let result = text.replaceAll(this.#work, "${WORK}");
    for (const [recorded, ours] of this.#addresses) result = result.replaceAll(ours, recorded);
    return result;
  }
}

class Running {
  readonly #child: ChildProcess;
  readonly #contract: (text: string) => string;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #exit: Promise<number | string>;
  #lastOutput = performance.now();

  constructor(child: ChildProcess, contract: (text: string) => string) {
    this.#child = child;
    this.#contract = contract;
    child.stdin?.on("error", () => undefined); // a command may end without reading its input
    child.stdout?.on("data", (chunk: Buffer) => this.#note(this.#stdout, chunk));
    child.stderr?.on("data", (chunk: Buffer) => this.#note(this.#stderr, chunk));
    this.#exit = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? `signal ${signal}`));
    });
  }

  get output(): string {
    return Buffer.concat(this.#stdout).toString("utf8");
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  endInput(bytes: string | Uint8Array): void {
    this.#child.stdin?.end(bytes);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when the output matches. */
  async printed(pattern: RegExp): Promise<void> {
    const start = performance.now();
    while (!pattern.test(this.output)) {
      if (performance.now() - start > patienceMs) throw new Error(`${pattern} is not in ${this.output}`);
      await pause(10);
    }
  }

  /** Resolves when nothing was printed for a while. */
  async quiet(): Promise<void> {
    while (performance.now() - this.#lastOutput < 300) await pause(50);
  }

  async ended(): Promise<Observed> {
    const exit = await this.#exit;
    return { exit, ...this.#text("stdout", this.#stdout), ...this.#text("stderr", this.#stderr) };
  }

  #note(parts: Buffer[], chunk: Buffer): void {
    parts.push(chunk);
    this.#lastOutput = performance.now();
  }

  #text(name: "stdout" | "stderr", parts: readonly Buffer[]): Observed {
    const bytes = Buffer.concat(parts);
    const text = bytes.toString("utf8");
    if (Buffer.from(text, "utf8").equals(bytes)) return { [name]: this.#contract(text) };
    const latin1 = this.#contract(bytes.toString("latin1"));
    return { [`${name}_b64`]: Buffer.from(latin1, "latin1").toString("base64") };
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Plays a transcript: starts its servers, runs its commands in order, and notes what they print. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aliases } from "./aliases.ts";
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
  readonly #servers = new Map<string, ChildProcess>();
  readonly #running = new Map<string, Running>();
  readonly #aliases = new Aliases();

  constructor(scene: Scene, programs: Programs) {
    this.#scene = scene;
    this.#programs = programs;
    mkdirSync(this.#work);
    for (const [name, value] of Object.entries(scene.member_ids)) this.variables.set(name, value);
  }

  async startServers(): Promise<void> {
    const { servers } = this.#scene;
    const members = servers.filter(({ cluster }) => cluster?.includes(",") === true);
    if (members.length > 0) await this.#startCluster(members);
    for (const plan of servers) if (!members.includes(plan)) await this.#startAlone(plan);
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
      case "server":
        if (step.do === "lead") await this.#makeLead(step.on ?? "");
        else if (step.do === "stop") await this.#stop(step.on ?? "");
        else throw new Error(`step ${step.n}: nothing is known of ${step.do}`);
        return {};
    }
  }

  async close(): Promise<void> {
    for (const running of this.#running.values()) running.kill("SIGKILL");
    for (const id of this.#servers.keys()) await this.#stop(id, "SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A cluster starts as a whole: none of its members is ready before. */
  async #startCluster(plans: readonly ServerPlan[]): Promise<void> {
    for (const plan of plans) {
      this.#aliases.add(plan.client.replace("http://", ""), `127.0.0.1:${await freePort()}`);
      this.#aliases.add(plan.peer.replace("http://", ""), `127.0.0.1:${await freePort()}`);
    }
    const token = this.#aliases.adoptCluster(plans);
    await Promise.all(
      plans.map((plan) => {
        const [client, peer] = [this.#aliases.expand(plan.client), this.#aliases.expand(plan.peer)];
        const founding = [
          `--initial-advertise-peer-urls=${peer}`,
          `--initial-cluster=${this.#aliases.expand(plan.cluster ?? "")}`,
          `--initial-cluster-token=${token}`,
        ];
        return this.#launch(plan, client, peer, founding);
      }),
    );
    await this.#makeLead(plans[0].id);
  }

  async #startAlone(plan: ServerPlan): Promise<void> {
    const client = `127.0.0.1:${await freePort()}`;
    const peer = `127.0.0.1:${await freePort()}`;
    this.#aliases.add(plan.client.replace("http://", ""), client);
    // Ids derive from the advertised URL, where nobody calls: the cluster has one member.
    await this.#launch(plan, `http://${client}`, `http://${peer}`, [
      `--initial-advertise-peer-urls=${plan.peer}`,
      `--initial-cluster=${plan.name}=${plan.peer}`,
      `--initial-cluster-token=${plan.token}`,
    ]);
  }

  async #launch(plan: ServerPlan, client: string, peer: string, founding: readonly string[]): Promise<void> {
    const server = spawn(
      this.#programs.etcd,
      [
        `--name=${plan.name}`,
        `--data-dir=${join(this.#folder, plan.id)}`,
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
        `--listen-peer-urls=${peer}`,
        ...founding,
        ...plan.flags,
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env["PATH"] } },
    );
    this.#servers.set(plan.id, server);
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

  async #stop(id: string, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const server = this.#servers.get(id);
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill(signal);
    await exited;
  }

  /** Hands leadership to one of the members until all say that it leads. */
  async #makeLead(id: string): Promise<void> {
    const plans = this.#scene.servers;
    const memberId = this.#expand(`\${id_hex_${id}}`);
    const endpoints = plans.map(({ client }) => this.#aliases.expand(client)).join(",");
    const etcdctl = async (...argv: string[]): Promise<string> => {
      const env = { PATH: process.env["PATH"] ?? "", ETCDCTL_ENDPOINTS: endpoints };
      const running = new Running(spawn(this.#programs.etcdctl, argv, { env }), (text) => text);
      return (await running.ended()).stdout ?? "";
    };
    const wanted = `"leader":${BigInt(`0x${memberId}`)}`;
    const start = performance.now();
    while ((await etcdctl("endpoint", "status", "-w", "json")).split(wanted).length <= plans.length) {
      if (performance.now() - start > patienceMs) throw new Error(`${id} does not become the leader`);
      await etcdctl("move-leader", memberId);
      await pause(100);
    }
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
    return this.#aliases.expand(result);
  }

  /** The way back, in what a command printed. */
  #contract(text: string): string {
    return this.#aliases.contract(text.replaceAll(this.#work, "${WORK}"));
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

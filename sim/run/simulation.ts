/**
 * One run of one plan, from the founding of the cluster to the checks of everything that was seen:
 *
 * ```text
 *   found ► clients, watchers, faults ► faults end ► the cluster must recover ► all hashes, all keys ► stop ► files ► history
 * ```
 *
 * Raft's invariants are watched at every step and end the run at once. Everything else is told at the end.
 */
import { Wal } from "../../src/storage/wal/wal.ts";
import { CrashedError, SeededRandom } from "../../src/platform/virtual/index.ts";
import { checkHistory } from "../checkers/check-history.ts";
import { RaftInvariants } from "../checkers/raft-invariants.ts";
import type { History, Violation } from "../history/history.ts";
import { Recording, RecordingClient } from "../history/recorder.ts";
import type { Plan } from "../plan/plan.ts";
import { KvClient } from "../workload/kv-client.ts";
import { keepLeases } from "../workload/lease-keeper.ts";
import { runWatcher } from "../workload/watcher.ts";
import { dataDir, type Ending, type Machine } from "../world/machine.ts";
import { observeRaft } from "../world/observe-raft.ts";
import { World } from "../world/world.ts";
import { wrap } from "../world/wrap.ts";
import { Nemesis } from "./nemesis.ts";
import { Operator } from "./operator.ts";
import { everything } from "./restored-backup.ts";
import { checkDrive } from "./storage-checks.ts";

/** After the last fault a cluster must serve again within this. */
const recoveryMs = 90_000;
/** Longest TTL that clients ask for, an election, and the revocation. */
const leaseSlackMs = 8_000;
const ttlLongestMs = 10_000;
/** Clocks of members run at most so much faster or slower than those of clients; see the fault `drift`. */
const clockDrift = 0.021;
const sliceMs = 500;

export interface SimulationOptions {
  readonly verbose?: boolean | undefined;
  readonly onTrace?: ((line: string) => void) | undefined;
  /** Told of what clients did and saw, before it is checked. */
  readonly onHistory?: ((history: History) => void) | undefined;
}

export interface SimulationResult {
  readonly violations: readonly Violation[];
  /** Equal for two runs of one plan. */
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly events: number;
  readonly operations: number;
  readonly unknown: number;
  readonly watchMessages: number;
  readonly boots: number;
  readonly isUndecided: boolean;
  /** When it was known that something is wrong. */
  readonly failedAtMs: number | undefined;
  /** What happened: faults and ends of processes, in order. */
  readonly chronicle: readonly string[];
  /** The last log lines of every machine. */
  readonly logs: ReadonlyMap<string, readonly string[]>;
  readonly hashComparisons: number;
  readonly backupsChecked: number;
}

export async function simulate(plan: Plan, options: SimulationOptions = {}): Promise<SimulationResult> {
  const undos = [limitSegments(plan.segmentSize)];
  const simulation = new Simulation(plan, options);
  undos.push(observeRaft(simulation.raft));
  const strays = (error: unknown): void => simulation.stray(error);
  process.on("unhandledRejection", strays).on("uncaughtException", strays);
  try {
    return await simulation.run();
  } finally {
    process.off("unhandledRejection", strays).off("uncaughtException", strays);
    for (const undo of undos.reverse()) undo();
  }
}

/** Small segments, so that a log has several. */
function limitSegments(segmentSize: number): () => void {
  const undos = [
    wrap(Wal, "create", (create, disk, dir, metadata, options) =>
      create.call(Wal, disk, dir, metadata, { ...options, segmentSize }),
    ),
    wrap(Wal, "open", (open, disk, dir, from, options) => open.call(Wal, disk, dir, from, { ...options, segmentSize })),
  ];
  return () => undos.forEach((undo) => undo());
}

class Simulation {
  readonly raft = new RaftInvariants();
  readonly #plan: Plan;
  readonly #options: SimulationOptions;
  readonly #world: World;
  readonly #operator: Operator;
  readonly #nemesis: Nemesis;
  readonly #recording = new Recording();
  readonly #violations: Violation[] = [];
  readonly #chronicle: string[] = [];
  readonly #random: SeededRandom;
  readonly #clients = new Map<string, RecordingClient>();
  #phase: "storm" | "quiet" | "over" = "storm";
  #failedAtMs: number | undefined;
  #quietSinceMs = Infinity;
  #isUndecided = false;

  constructor(plan: Plan, options: SimulationOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#random = new SeededRandom(plan.seed ^ 0x0dd5);
    this.#world = new World({
      seed: plan.seed,
      verbose: options.verbose,
      onTrace: options.onTrace,
      onEnd: (machine, ending) => this.#ended(machine, ending),
    });
    const tell = (line: string): void => void this.#chronicle.push(line);
    const founders = Array.from({ length: plan.members }, (_, position) => this.#world.addMachine(`m${position + 1}`));
    const cluster = founders.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    for (const machine of founders) machine.flags = this.#flags(machine, cluster, "new");
    this.#operator = new Operator(
      {
        world: this.#world,
        flagsOf: (machine, members, state) => this.#flags(machine, members, state),
        report: (violation) => this.#report(violation),
        tell,
        // As a read that was stale when it came: the checker knows what the store held at its revision.
        onRestored: (result, times) => {
          const outcome = { kind: "ok", result } as const;
          this.#recording.operations.push({
            client: 901,
            request: everything,
            ...times,
            outcome,
            endpoint: "a backup",
          });
        },
        recorderOf: (machine) => this.#clientOf(machine, 902),
        isOver: () => this.#phase === "over",
      },
      founders,
    );
    this.#nemesis = new Nemesis({ world: this.#world, operator: this.#operator, tell });
    this.#recording.onOperation = ({ request, outcome }) => this.#world.note(`${request.kind} ${outcome.kind}`);
  }

  /** An error outside of any turn of a process: a promise that nobody waits for. */
  stray(error: unknown): void {
    if (error instanceof CrashedError) return;
    const story = error instanceof Error ? (error.stack ?? error.message).split("\n").slice(0, 8) : [String(error)];
    this.#report({ checker: "process", message: "an error that nobody handles", story });
  }

  async run(): Promise<SimulationResult> {
    const world = this.#world;
    for (const machine of this.#operator.machines) void machine.boot();
    this.#nemesis.schedule(this.#plan.faults);
    const work = this.#plan.clients.map((seed, position) => this.#runClient(seed, position));
    for (const [position, seed] of this.#plan.keepers.entries()) work.push(this.#runKeeper(seed, position));
    for (const [position, seed] of this.#plan.watchers.entries()) void this.#runWatcher(seed, position);
    await this.#runUntil(() => world.nowMs >= this.#plan.durationMs);
    if (!this.#hasFailed) await this.#settle(Promise.all(work));
    if (!this.#hasFailed) {
      this.#phase = "over";
      for (const { client } of this.#clients.values()) client.close();
      this.#checkHistory();
    }
    return this.#result();
  }

  /** After the storm: everything heals, and then everything must be right. */
  async #settle(work: Promise<unknown>): Promise<void> {
    const world = this.#world;
    this.#nemesis.end();
    this.#quietSinceMs = world.nowMs;
    this.#chronicle.push(`[${world.nowMs.toFixed(0)}] the faults are over`);
    for (const machine of this.#operator.machines) void machine.boot();
    const isWell = this.#isWell();
    await this.#runUntil(() => isWell.done, recoveryMs);
    if (!isWell.done && !this.#hasFailed) {
      const states = this.#operator.machines.map(({ name, isServing, member }) => {
        const { term = 0, leaderId = 0n, commitIndex = 0, appliedIndex = 0 } = member?.raft ?? {};
        const serving = isServing ? "serving" : "not serving";
        return `${name}: ${serving}, term ${term}, leader ${leaderId.toString(16)}, committed ${commitIndex}, applied ${appliedIndex}`;
      });
      this.#report({
        checker: "recovery",
        message: `the cluster does not serve ${recoveryMs / 1000} s after the last fault`,
        story: [isWell.problem, ...states],
      });
      return;
    }
    // Leases that nobody keeps alive run out, and the watchers get the rest.
    this.#phase = "quiet";
    await this.#runFor(ttlLongestMs + leaseSlackMs);
    const last = Promise.all([this.#lastReads(), this.#operator.compareHashes(), work]);
    let isRead = false;
    void last.finally(() => (isRead = true));
    await this.#runUntil(() => isRead, 60_000);
    if (!isRead && !this.#hasFailed) {
      this.#report({ checker: "recovery", message: "the last reads are not answered in quiet times", story: [] });
    }
    await this.#stopAll();
  }

  #isWell(): { done: boolean; problem: string } {
    const state = { done: false, problem: "" };
    const ask = async (): Promise<void> => {
      await this.#operator.idle();
      for (;;) {
        const outcomes = await Promise.all(
          this.#operator.machines.map((machine) =>
            this.#clientOf(machine, 900).perform({ kind: "range", key: "key-0" }),
          ),
        );
        const bad = outcomes.findIndex(({ kind }) => kind !== "ok");
        if (bad < 0) break;
        const machine = this.#operator.machines[bad];
        const outcome = outcomes[bad];
        state.problem = `${machine.name}: ${outcome.kind === "ok" ? "" : outcome.message}`;
        if (!machine.isUp) void machine.boot();
        await this.#world.sleep(1_000);
      }
      state.done = true;
    };
    ask().catch((error: unknown) => (state.problem = String(error)));
    return state;
  }

  async #lastReads(): Promise<void> {
    for (const machine of this.#operator.machines) {
      const client = this.#clientOf(machine, 900);
      const outcome = await client.perform({ kind: "range", key: "a", end: "z" });
      await client.perform({ kind: "range", key: "a", end: "z", isSerializable: true });
      if (outcome.kind === "ok") continue;
      const story = [outcome.message];
      this.#report({ checker: "recovery", message: `${machine.name} does not answer in quiet times`, story });
    }
  }

  async #stopAll(): Promise<void> {
    this.#phase = "over";
    const { machines } = this.#operator;
    let isDown = false;
    void Promise.all(machines.map((machine) => machine.stop())).then(() => (isDown = true));
    await this.#runUntil(() => isDown, 60_000);
    if (!isDown && !this.#hasFailed)
      this.#report({ checker: "process", message: "a member does not stop within a minute", story: [] });
    for (const machine of machines) if (!this.#operator.isDamaged(machine)) this.#checkDrive(machine);
  }

  #checkDrive(machine: Machine): void {
    const problems = checkDrive(machine.drive);
    if (problems.length === 0) return;
    this.#report({ checker: "storage", message: `the files of ${machine.name} are not sound`, story: problems });
  }

  #checkHistory(): void {
    this.#options.onHistory?.(this.#recording);
    const { violations, isUndecided, undecided } = checkHistory(this.#recording, {
      leases: { clockDrift, quietSince: this.#quietSinceMs, slackMs: leaseSlackMs },
    });
    this.#isUndecided = isUndecided;
    if (undecided !== undefined)
      this.#chronicle.push("no linearization was found in time; the furthest:", ...undecided);
    for (const violation of violations) this.#report(violation);
  }

  get #hasFailed(): boolean {
    return this.#failedAtMs !== undefined;
  }

  #report(violation: Violation): void {
    this.#failedAtMs ??= this.#world.nowMs;
    if (this.#violations.length < 20) this.#violations.push(violation);
  }

  async #runFor(durationMs: number): Promise<void> {
    const endMs = this.#world.nowMs + durationMs;
    await this.#runUntil(() => this.#world.nowMs >= endMs);
  }

  /** In slices, until it is done, or too late, or something is wrong. */
  async #runUntil(isDone: () => boolean, limitMs = Infinity): Promise<void> {
    const world = this.#world;
    const endMs = world.nowMs + limitMs;
    while (!isDone() && !this.#hasFailed && world.nowMs < endMs) {
      await world.scheduler.runFor(sliceMs);
      for (const violation of this.raft.violations.splice(0)) this.#report(violation);
    }
  }

  #ended(machine: Machine, ending: Ending): void {
    const what = "error" in ending ? describeError(ending.error) : "";
    this.#chronicle.push(`[${this.#world.nowMs.toFixed(1)}] ${machine.name} ended (${ending.kind}) ${what}`);
    this.#world.note(`${machine.name} ${ending.kind}`);
    const isOurs = this.#operator.machines.includes(machine);
    if (ending.kind === "bug") {
      const { error } = ending;
      const story = error instanceof Error ? (error.stack ?? error.message).split("\n").slice(0, 10) : [String(error)];
      this.#report({ checker: "process", message: `${machine.name} ended by a bug`, story });
    } else if (ending.kind === "fatal" && !isDiskTrouble(ending.error)) {
      const story = (ending.error.stack ?? ending.error.message).split("\n").slice(0, 10);
      this.#report({ checker: "process", message: `${machine.name} could not go on, although its disk works`, story });
    } else if (ending.kind === "refused" && !isDiskTrouble(ending.error)) {
      if (this.#operator.isDamaged(machine)) return this.#operator.replaceLost(machine);
      if (isOurs && !mayRefuse(ending.error)) {
        const message = `${machine.name} refuses to start on what it wrote itself`;
        this.#report({
          checker: "process",
          message,
          story: [describeError(ending.error), ...checkDrive(machine.drive)],
        });
      }
    } else if (ending.kind === "removed" && isOurs && !this.#operator.isBusy) {
      this.#report({
        checker: "process",
        message: `${machine.name} says that it was removed, but it was not`,
        story: [],
      });
    }
    if (!isOurs || this.#phase === "over") return;
    // A supervisor starts it again.
    this.#world.scheduler.after(500 + this.#random.below(2_000), () => {
      if (this.#operator.machines.includes(machine) && this.#phase !== "over") void machine.boot();
    });
  }

  #clientOf(machine: Machine, id: number): RecordingClient {
    const name = `${machine.name} ${id}`;
    let recorder = this.#clients.get(name);
    if (recorder === undefined) {
      const { client } = this.#world.connect([machine.clientUrl]);
      recorder = this.#recorder(client, id, 5_000);
      this.#clients.set(name, recorder);
    }
    return recorder;
  }

  #recorder(client: RecordingClient["client"], id: number, timeoutMs: number): RecordingClient {
    return new RecordingClient({ id, client, recording: this.#recording, now: () => this.#world.nowMs, timeoutMs });
  }

  #connector(id: number): (choice: number) => RecordingClient {
    return (choice) => this.#clientOf(this.#operator.machines[choice % this.#operator.machines.length], id);
  }

  async #runClient(seed: number, id: number): Promise<void> {
    await this.#world.sleep(500);
    const { machines } = this.#operator;
    // Some clients wait for long, so that their answers come late; others not.
    const random = new SeededRandom(seed);
    const timeoutMs = [800, 3_000, 8_000][random.below(3)];
    const recorders = new Map<string, RecordingClient>();
    const connect = (choice: number): RecordingClient => {
      const machine = machines[choice % machines.length];
      let recorder = recorders.get(machine.name);
      if (recorder === undefined) {
        recorder = this.#recorder(this.#world.connect([machine.clientUrl]).client, id, timeoutMs);
        recorders.set(machine.name, recorder);
        this.#clients.set(`client ${id} ${machine.name}`, recorder);
      }
      return recorder;
    };
    const isOver = (): boolean => this.#world.nowMs >= this.#plan.durationMs;
    await new KvClient({ id, random, connect, isOver, sleep: (ms) => this.#world.sleep(ms) }).run();
  }

  async #runKeeper(seed: number, position: number): Promise<void> {
    await this.#world.sleep(500);
    const id = 50 + position;
    await keepLeases({
      id,
      random: new SeededRandom(seed),
      connect: this.#connector(id),
      isOver: () => this.#world.nowMs >= this.#plan.durationMs,
      sleep: (ms) => this.#world.sleep(ms),
    });
  }

  async #runWatcher(seed: number, position: number): Promise<void> {
    await this.#world.sleep(500);
    const id = 100 + position;
    const random = new SeededRandom(seed);
    const isOver = (): boolean => this.#phase === "over";
    await runWatcher({
      id,
      position,
      random,
      connect: this.#connector(id),
      isOver,
      sleep: (ms) => this.#world.sleep(ms),
    });
  }

  #flags({ name, clientUrl, peerUrl }: Machine, cluster: string, state: "new" | "existing"): string[] {
    return [
      `--name=${name}`,
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=${cluster}`,
      `--initial-cluster-state=${state}`,
      ...this.#plan.flags,
    ];
  }

  #result(): SimulationResult {
    const { operations, watches } = this.#recording;
    const fromMs = (this.#failedAtMs ?? 0) - 5_000;
    return {
      violations: this.#violations,
      traceHash: this.#world.traceHash,
      virtualMs: this.#world.nowMs,
      events: this.#world.scheduler.eventCount,
      operations: operations.length,
      unknown: operations.filter(({ outcome }) => outcome.kind === "unknown").length,
      watchMessages: watches.reduce((sum, { messages }) => sum + messages.length, 0),
      boots: this.#world.machines.reduce((sum, { boots }) => sum + boots, 0),
      isUndecided: this.#isUndecided,
      failedAtMs: this.#failedAtMs,
      chronicle: this.#chronicle,
      logs: new Map(this.#world.machines.map(({ name, log }) => [name, log.lines(fromMs)])),
      hashComparisons: this.#operator.hashComparisons,
      backupsChecked: this.#operator.backupsChecked,
    };
  }
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** What a plan does to a disk: full, or a sync that fails. The member may end of it. */
function isDiskTrouble(error: unknown): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (/ENOSPC|EIO|no space left/.test(cause.message)) return true;
  }
  return false;
}

/** A member that joins needs the others, and may have been removed meanwhile. */
function mayRefuse(error: Error): boolean {
  return /could not (retrieve|fetch) cluster|cannot fetch cluster info|error validating peerURLs|removed|unmatched member|mismatched/i.test(
    error.message,
  );
}

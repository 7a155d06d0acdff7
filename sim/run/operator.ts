/**
 * The person at the console: starts machines that are down, adds, promotes, removes and replaces members, moves the
 * leader, compares hashes. One thing at a time and patiently, as the procedures in the operating guide say.
 */
import { methods } from "../../src/client/methods.ts";
import type { Client } from "../../src/client/client.ts";
import {
  DowngradeRequest_DowngradeAction,
  type Member,
  type MemberListResponse,
} from "../../src/wire/gen/etcdserverpb/rpc.ts";
import type { RangeResult, Violation } from "../history/history.ts";
import type { RecordingClient } from "../history/recorder.ts";
import type { Machine } from "../world/machine.ts";
import type { World } from "../world/world.ts";
import { restoreBackup } from "./restored-backup.ts";
import { checkImage } from "./storage-checks.ts";

const callMs = 4_000;
/** A step that does not work for so long is given up. */
const patienceMs = 40_000;
/** Keeps a majority within reach. */
const membersMax = 7;
const membersMin = 3;
/** By a compaction of the operator. */
const revisionsKept = 10;

export interface OperatorParts {
  readonly world: World;
  readonly flagsOf: (machine: Machine, cluster: string, state: "new" | "existing") => readonly string[];
  readonly report: (violation: Violation) => void;
  readonly tell: (line: string) => void;
  /** What a restored backup holds. */
  readonly onRestored: (result: RangeResult, times: { readonly call: number; readonly return: number }) => void;
  /** A client that writes down what it does, for what changes what others see. */
  readonly recorderOf: (machine: Machine) => RecordingClient;
  readonly isOver: () => boolean;
}

export class Operator {
  /** Machines whose member belongs to the cluster, or is about to. */
  readonly machines: Machine[];
  hashComparisons = 0;
  backupsChecked = 0;
  readonly #parts: OperatorParts;
  readonly #clients = new Map<string, Client>();
  /** Machines whose disk is damaged or gone: they may refuse to start, until they are replaced. */
  readonly #lost = new Set<Machine>();
  readonly #beingReplaced = new Set<Machine>();
  #queue: Promise<unknown> = Promise.resolve();
  #pending = 0;

  constructor(parts: OperatorParts, machines: readonly Machine[]) {
    this.#parts = parts;
    this.machines = [...machines];
  }

  get isBusy(): boolean {
    return this.#pending > 0;
  }

  /** Puts a job behind those that wait. Of those that can be left out, not more than three wait. */
  enqueue(name: string, job: () => Promise<void>, isNeeded = false): void {
    if (this.#pending >= 3 && !isNeeded) return;
    this.#pending += 1;
    const { tell, world } = this.#parts;
    const ended = (how: string): void => tell(`[${world.nowMs.toFixed(1)}] operator: ${name} ${how}`);
    this.#queue = this.#queue
      .then(job)
      // The cluster would not: the next job finds it as it is.
      .then(
        () => ended("is done"),
        (error: unknown) => ended(`is given up: ${error instanceof Error ? error.message : String(error)}`),
      )
      .finally(() => (this.#pending -= 1));
  }

  idle(): Promise<unknown> {
    return this.#queue;
  }

  clientOf(machine: Machine): Client {
    let client = this.#clients.get(machine.name);
    if (client === undefined) {
      ({ client } = this.#parts.world.connect([machine.clientUrl]));
      this.#clients.set(machine.name, client);
    }
    return client;
  }

  /** Asks one serving machine after the other until one gives an answer. */
  async #ask<T>(request: (client: Client) => Promise<T>): Promise<T> {
    const { world, isOver } = this.#parts;
    const giveUpMs = world.nowMs + patienceMs;
    for (let turn = 0; ; turn++) {
      const machine = this.machines[turn % this.machines.length];
      try {
        if (machine.isServing) return await request(this.clientOf(machine));
      } catch (error) {
        if (world.nowMs > giveUpMs || isOver()) throw error;
      }
      if (world.nowMs > giveUpMs) throw new Error("nobody answers");
      await world.sleep(300);
    }
  }

  async #list(): Promise<MemberListResponse> {
    return this.#ask((client) => client.call(methods.memberList, { linearizable: true }, { timeoutMs: callMs }));
  }

  async #memberOf(machine: Machine): Promise<Member | undefined> {
    const { members } = await this.#list();
    return members.find(({ peerURLs }) => peerURLs.includes(machine.peerUrl));
  }

  /** A new member: added as a learner, started, promoted when it has caught up, but not before so long. */
  async grow(learnsForMs = 0): Promise<void> {
    if (this.machines.length >= membersMax) return;
    const { world, flagsOf } = this.#parts;
    const machine = world.addMachine(`m${world.machines.length + 1}`);
    await this.#ask(async (client) => {
      if ((await this.#memberOf(machine)) !== undefined) return; // an answer was lost
      await client.call(methods.memberAdd, { peerURLs: [machine.peerUrl], isLearner: true }, { timeoutMs: callMs });
    });
    const { members } = await this.#list();
    const names = new Map([...this.machines, machine].map((one) => [one.peerUrl, one.name]));
    const cluster = members.map(({ name, peerURLs: [url] }) => `${name || names.get(url)}=${url}`).join(",");
    machine.flags = flagsOf(machine, cluster, "existing");
    this.machines.push(machine);
    void machine.boot();
    await world.sleep(learnsForMs);
    await this.#ask(async (client) => {
      const member = await this.#memberOf(machine);
      if (member?.isLearner !== true) return;
      await client.call(methods.memberPromote, { ID: member.ID }, { timeoutMs: callMs });
    });
  }

  /** Removes a member; its process ends by itself, or is ended. */
  async remove(machine: Machine): Promise<void> {
    if (!this.machines.includes(machine)) return;
    await this.#ask(async (client) => {
      const member = await this.#memberOf(machine);
      if (member === undefined) return;
      await client.call(methods.memberRemove, { ID: member.ID }, { timeoutMs: callMs });
    });
    this.machines.splice(this.machines.indexOf(machine), 1);
    await this.#parts.world.sleep(3_000);
    if (machine.isUp) machine.kill();
  }

  async shrink(machine: Machine): Promise<void> {
    if (this.machines.length > membersMin) await this.remove(machine);
  }

  /** The member of this machine is lost, or to be lost: another takes its place. */
  async replace(machine: Machine, isLost: boolean): Promise<void> {
    if (!this.machines.includes(machine)) return;
    if (isLost && machine.isUp) machine.kill();
    await this.remove(machine);
    if (!this.machines.includes(machine)) await this.grow();
  }

  /** The disk of this machine was damaged or lost; what is to be done shows when it starts. */
  markDamaged(machine: Machine): void {
    this.#lost.add(machine);
  }

  isDamaged(machine: Machine): boolean {
    return this.#lost.has(machine);
  }

  /** Whether the loss of one more member's data is survivable: nobody else's is damaged, lost, or being replaced. */
  get isWhole(): boolean {
    return (
      this.machines.length >= membersMin &&
      this.#beingReplaced.size === 0 &&
      !this.machines.some((one) => this.#lost.has(one))
    );
  }

  /** It does not start any more: tries to replace it until that works. */
  replaceLost(machine: Machine): void {
    if (this.#beingReplaced.has(machine)) return;
    this.#beingReplaced.add(machine);
    const attempt = async (): Promise<void> => {
      try {
        await this.replace(machine, true);
      } finally {
        if (!this.machines.includes(machine)) this.#beingReplaced.delete(machine);
        else if (!this.#parts.isOver()) {
          this.enqueue(`replacing ${machine.name}`, attempt, true);
          await this.#parts.world.sleep(1_000);
        }
      }
    };
    this.enqueue(`replacing ${machine.name}`, attempt, true);
  }

  async moveLeader(to: Machine): Promise<void> {
    const member = await this.#memberOf(to);
    const leader = this.machines.find((machine) => machine.member?.raft.isLeader === true);
    if (member === undefined || member.isLearner || leader === undefined) return;
    await this.clientOf(leader).call(methods.moveLeader, { targetID: member.ID }, { timeoutMs: callMs });
  }

  async defragment(machine: Machine): Promise<void> {
    await this.clientOf(machine).call(methods.defragment, {}, { timeoutMs: 20_000 });
  }

  /** Of all history but the newest, through this machine. */
  async compact(machine: Machine): Promise<void> {
    const client = this.#parts.recorderOf(machine);
    const outcome = await client.perform({ kind: "range", key: "key-0" });
    const revision = outcome.kind === "ok" ? outcome.result.revision - revisionsKept : 0;
    if (revision > 0) await client.perform({ kind: "compact", revision });
  }

  async downgrade(forMs: number): Promise<void> {
    const set = (action: DowngradeRequest_DowngradeAction, version: string): Promise<unknown> =>
      this.#ask((client) => client.call(methods.downgrade, { action, version }, { timeoutMs: callMs }));
    const { VALIDATE, ENABLE, CANCEL } = DowngradeRequest_DowngradeAction;
    await set(VALIDATE, "3.5.0");
    await set(ENABLE, "3.5.0");
    await this.#parts.world.sleep(forMs);
    await set(CANCEL, "");
  }

  /** A backup as `etcdctl snapshot save` takes it, checked as `etcdutl snapshot status` does, and restored. */
  async backUp(machine: Machine): Promise<void> {
    const { world, report, onRestored } = this.#parts;
    const call = world.nowMs;
    const stream = await this.clientOf(machine).open(methods.snapshot, { timeoutMs: 30_000 });
    await stream.send({});
    stream.halfClose();
    const blobs: Uint8Array[] = [];
    for await (const { blob } of stream) blobs.push(blob);
    const image = Buffer.concat(blobs);
    const problems = checkImage(image);
    const restored = problems.length === 0 ? await restoreBackup(image, world.scheduler) : undefined;
    this.backupsChecked += 1;
    problems.push(...(restored?.problems ?? []));
    if (problems.length > 0) {
      report({ checker: "storage", message: `the backup taken from ${machine.name} is not sound`, story: problems });
    }
    if (restored !== undefined) onRestored(restored.result, { call, return: world.nowMs });
  }

  /** All members that answer have the same hash at one revision, unless one has compacted more. */
  async compareHashes(): Promise<void> {
    const { header } = await this.#ask((client) =>
      client.call(methods.range, { key: Uint8Array.of(97) }, { timeoutMs: callMs }),
    );
    const revision = header?.revision ?? 0n;
    const answers = await Promise.all(
      this.machines
        .filter(({ isServing }) => isServing)
        .map(async (machine) => {
          try {
            const client = this.clientOf(machine);
            const { hash, compactRevision } = await client.call(methods.hashKv, { revision }, { timeoutMs: callMs });
            return { name: machine.name, hash, compactRevision };
          } catch {
            return undefined; // behind, compacted, or away
          }
        }),
    );
    const byCompaction = new Map<bigint, { name: string; hash: number }>();
    for (const answer of answers) {
      if (answer === undefined) continue;
      const { name, hash, compactRevision } = answer;
      const other = byCompaction.get(compactRevision);
      if (other === undefined) byCompaction.set(compactRevision, { name, hash });
      else {
        this.hashComparisons += 1;
        if (other.hash === hash) continue;
        const message = `at revision ${revision} (compacted at ${compactRevision}) ${other.name} has hash ${other.hash}, ${name} has ${hash}`;
        this.#parts.report({ checker: "hash", message, story: [] });
      }
    }
  }
}

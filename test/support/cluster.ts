/** Clusters of server processes, ours and Go's mixed: each member may be stopped, killed, and go on as another program. */
import { join } from "node:path";
import { methods } from "../../src/client/methods.ts";
import { withClient } from "./client.ts";
import { freePorts, patienceMs, type Ports, program, removeFolder, ServerProcess, temporaryFolder } from "./process.ts";

const within = { timeoutMs: patienceMs };

/** Lines of a member's log that a failed step shows. */
const lastLines = 12;

/** Flags of a member, by the program that it runs. */
export type Flags = readonly string[] | ((command: string) => readonly string[]);

export interface MemberStatus {
  readonly name: string;
  readonly memberId: bigint;
  readonly leaderId: bigint;
  readonly revision: number;
  readonly isLearner: boolean;
}

export class ClusterMember {
  readonly name: string;
  readonly ports: Ports;
  readonly dataDir: string;
  readonly endpoint: string;
  readonly peerUrl: string;
  process: ServerProcess | undefined;
  /** What its processes have logged before this one. */
  readonly #earlierLines: string[] = [];

  constructor(name: string, ports: Ports, dataDir: string) {
    this.name = name;
    this.ports = ports;
    this.dataDir = dataDir;
    this.endpoint = `http://127.0.0.1:${ports.client}`;
    this.peerUrl = `http://127.0.0.1:${ports.peer}`;
  }

  async status(): Promise<MemberStatus> {
    const { header, leader, isLearner } = await withClient(this.endpoint, (client) =>
      client.call(methods.status, {}, within),
    );
    const { memberId = 0n, revision = 0n } = header ?? {};
    return { name: this.name, memberId, leaderId: leader, revision: Number(revision), isLearner };
  }

  /** At a revision that this member waits for: HashKV speaks of what it has applied. */
  async hashKv(revision: number): Promise<{ hash: number; compactRevision: number }> {
    return withClient(this.endpoint, async (client) => {
      // A linearizable read is served only when all that was committed before is applied here.
      await client.call(methods.range, { key: Uint8Array.of(1) }, within);
      const { hash, compactRevision } = await client.call(methods.hashKv, { revision: BigInt(revision) }, within);
      return { hash, compactRevision: Number(compactRevision) };
    });
  }

  /** All that its processes have logged. */
  get lines(): readonly string[] {
    return [...this.#earlierLines, ...(this.process?.lines ?? [])];
  }

  async kill(): Promise<void> {
    await this.process?.kill();
    this.#forget();
  }

  async stop(): Promise<void> {
    await this.process?.stop();
    this.#forget();
  }

  #forget(): void {
    this.#earlierLines.push(...(this.process?.lines ?? []));
    this.process = undefined;
  }
}

export class TestCluster {
  readonly members: ClusterMember[] = [];
  readonly folder = temporaryFolder();
  readonly #flags: Flags;

  private constructor(flags: Flags) {
    this.#flags = flags;
  }

  /** Founds a cluster. @param commands - the program of each member; undefined: ours. */
  static async found(commands: readonly (string | undefined)[], flags: Flags = []): Promise<TestCluster> {
    const cluster = new TestCluster(flags);
    for (const position of commands.keys()) await cluster.#newMember(`m${position + 1}`);
    try {
      await Promise.all(cluster.members.map((member, position) => cluster.start(member, commands[position])));
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Tells the cluster of a new member and starts it. */
  async join(
    name: string,
    options: { command?: string | undefined; isLearner?: boolean } = {},
  ): Promise<ClusterMember> {
    const via = this.running();
    const member = await this.#newMember(name);
    await eventually(`${name} may be added`, () =>
      withClient(via.endpoint, (client) =>
        client.call(methods.memberAdd, { peerURLs: [member.peerUrl], isLearner: options.isLearner === true }, within),
      ),
    );
    await this.start(member, options.command, ["--initial-cluster-state=existing"]);
    return member;
  }

  /** Starts a member, on the data that it has, and waits until it serves. */
  async start(member: ClusterMember, command = program("etcd"), more: readonly string[] = []): Promise<void> {
    const args = [...this.#argsOf(member, command), ...more];
    member.process = await ServerProcess.launch({ command, dataDir: member.dataDir, ports: member.ports, args });
    if (!(await member.process.becomesReady())) {
      throw new Error(`${member.name} did not become ready:\n${member.process.lines.join("\n")}`);
    }
  }

  /** Starts a member of ours on the data that it has, and waits for nothing. */
  async launch(member: ClusterMember, env: Record<string, string>): Promise<void> {
    const args = this.#argsOf(member, program("etcd"));
    member.process = await ServerProcess.launch({ dataDir: member.dataDir, ports: member.ports, args, env });
  }

  #argsOf({ name }: ClusterMember, command: string): string[] {
    const initialCluster = this.members.map((member) => `${member.name}=${member.peerUrl}`).join(",");
    const flags = typeof this.#flags === "function" ? this.#flags(command) : this.#flags;
    return [`--name=${name}`, `--initial-cluster=${initialCluster}`, ...flags];
  }

  /** One that runs, and is none of `others`. */
  running(...others: ClusterMember[]): ClusterMember {
    const found = this.members.find((member) => member.process !== undefined && !others.includes(member));
    if (found === undefined) throw new Error("no member runs");
    return found;
  }

  /** Waits for a leader that all running members agree on. */
  async leader(): Promise<ClusterMember> {
    return eventually("there is a leader", async () => {
      const running = this.members.filter((member) => member.process !== undefined);
      const all = await Promise.all(running.map((member) => member.status()));
      const leader = all.find(({ memberId, leaderId }) => memberId === leaderId);
      if (leader === undefined || all.some(({ leaderId }) => leaderId !== leader.memberId)) {
        throw new Error("no agreement yet");
      }
      return running[all.indexOf(leader)];
    });
  }

  /** Asks until it leads: on a busy machine the members may elect another one meanwhile. */
  async moveLeader(to: ClusterMember): Promise<void> {
    const { memberId } = await to.status();
    await eventually(`${to.name} leads`, async () => {
      const leader = await this.leader();
      if (leader === to) return;
      await withClient(leader.endpoint, (client) => client.call(methods.moveLeader, { targetID: memberId }, within));
      throw new Error("not agreed yet");
    });
  }

  /** A part of a test. @throws when it fails, or takes longer: with what each member logged last. */
  async step<T>(what: string, action: () => Promise<T>, limitMs: number = 2 * patienceMs): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${limitMs} ms`)), limitMs);
    });
    try {
      return await Promise.race([action(), late]);
    } catch (error) {
      throw new Error(`${what}: ${reasonOf(error)}\n${this.#lastLines()}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  #lastLines(): string {
    return this.members
      .map(({ name, process, lines }) => {
        const state = process === undefined ? "is down" : `runs ${process.command}`;
        return `--- ${name} ${state}; it logged last:\n${lines.slice(-lastLines).join("\n")}`;
      })
      .join("\n");
  }

  /** HashKV of all running members at the newest revision that all have. */
  async hashes(): Promise<{ hash: number; compactRevision: number }[]> {
    const running = this.members.filter((member) => member.process !== undefined);
    const { revision } = await (await this.leader()).status();
    return Promise.all(running.map((member) => member.hashKv(revision)));
  }

  async remove(member: ClusterMember): Promise<void> {
    const { memberId } = await member.status();
    await withClient(this.running(member).endpoint, (client) =>
      client.call(methods.memberRemove, { ID: memberId }, within),
    );
    this.members.splice(this.members.indexOf(member), 1);
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    removeFolder(this.folder);
  }

  async #newMember(name: string): Promise<ClusterMember> {
    const [client, peer] = await freePorts(2);
    const member = new ClusterMember(name, { client, peer }, join(this.folder, name));
    this.members.push(member);
    return member;
  }
}

/** Tries until it does not throw. */
export async function eventually<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`gave up waiting until ${what}`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${reasonOf(error.cause)})`;
}

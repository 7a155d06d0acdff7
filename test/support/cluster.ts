/** Clusters of server processes, ours and Go's mixed: each member may be stopped, killed, and go on as another program. */
import { join } from "node:path";
import { methods } from "../../src/client/methods.ts";
import { withClient } from "./client.ts";
import { freePorts, patienceMs, type Ports, program, removeFolder, ServerProcess, temporaryFolder } from "./process.ts";

const within = { timeoutMs: patienceMs };

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

  async kill(): Promise<void> {
    await this.process?.kill();
    this.process = undefined;
  }

  async stop(): Promise<void> {
    await this.process?.stop();
    this.process = undefined;
  }
}

export class TestCluster {
  readonly members: ClusterMember[] = [];
  readonly folder = temporaryFolder();
  readonly #args: readonly string[];

  private constructor(args: readonly string[]) {
    this.#args = args;
  }

  /** Founds a cluster. @param commands - the program of each member; undefined: ours. */
  static async found(commands: readonly (string | undefined)[], args: readonly string[] = []): Promise<TestCluster> {
    const cluster = new TestCluster(args);
    for (const position of commands.keys()) await cluster.#newMember(`m${position + 1}`);
    await Promise.all(cluster.members.map((member, position) => cluster.start(member, commands[position])));
    return cluster;
  }

  /** Tells the cluster of a new member and starts it. */
  async join(name: string, options: { command?: string; isLearner?: boolean } = {}): Promise<ClusterMember> {
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
    const initialCluster = this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    member.process = await ServerProcess.launch({
      command,
      dataDir: member.dataDir,
      ports: member.ports,
      args: [`--name=${member.name}`, `--initial-cluster=${initialCluster}`, ...this.#args, ...more],
    });
    if (!(await member.process.becomesReady())) {
      throw new Error(`${member.name} did not become ready:\n${member.process.lines.join("\n")}`);
    }
  }

  /** Starts a member of ours on the data that it has, and waits for nothing. */
  async launch(member: ClusterMember, env: Record<string, string>): Promise<void> {
    const initialCluster = this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    member.process = await ServerProcess.launch({
      dataDir: member.dataDir,
      ports: member.ports,
      args: [`--name=${member.name}`, `--initial-cluster=${initialCluster}`, ...this.#args],
      env,
    });
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

  async moveLeader(to: ClusterMember): Promise<void> {
    const { memberId } = await to.status();
    const leader = await this.leader();
    if (leader === to) return;
    await withClient(leader.endpoint, (client) => client.call(methods.moveLeader, { targetID: memberId }, within));
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

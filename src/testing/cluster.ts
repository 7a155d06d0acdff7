/**
 * A cluster inside a test. Members are whole ones; their disks and the network between them are in memory, so that a
 * power failure or a partition is a method call.
 *
 * With the clock `"real"` clients of any kind connect to real ports. With the clock `"manual"` nothing moves by itself:
 * virtual time passes in {@link TestCluster.advance} and {@link TestCluster.run}, chance comes from the seed, and the
 * same test gives the same run each time, elections and timeouts included.
 *
 *     await using cluster = await startCluster({ size: 3, seed: 7, clock: "manual" });
 *     await cluster.run(cluster.client.put("greeting", "hello"));
 *     cluster.crash(cluster.leader());
 *     await cluster.advance(5_000);
 */
import { parseArguments } from "../cli/etcd/parse.ts";
import { type RunningMember, runMember } from "../cli/etcd/run-member.ts";
import { resolveSettings, type Settings } from "../cli/etcd/settings.ts";
import type { LogLevel, Logger } from "../platform/logger.ts";
import { createStderrLogger } from "../platform/node/index.ts";
import { VirtualDrive, VirtualInternet } from "../platform/virtual/index.ts";
import { manualHosts, realHosts, type Host, type Hosts } from "./hosts.ts";
import { TestClient } from "./test-client.ts";

const membersMax = 9;

export interface ClusterOptions {
  /** Members, 1 to 9; 3 when left out. */
  readonly size?: number;
  /** Of everything that is left to chance under the manual clock; 1 when left out. */
  readonly seed?: number;
  readonly clock?: "real" | "manual";
  /** Flags of every member beyond. */
  readonly flags?: readonly string[];
  /** What the members log on standard error; nothing when left out. */
  readonly logLevel?: LogLevel;
}

/** One member of the cluster: running, or down with its disk kept. */
export class ClusterMember {
  /** `m1`, `m2`, ... */
  readonly name: string;
  /** Where its clients connect: a real address under the real clock. */
  readonly endpoint: string;
  /** A client of this member alone. */
  readonly client: TestClient;
  readonly #settings: Settings;
  readonly #hosts: Hosts;
  readonly #drive: VirtualDrive;
  #host: Host | undefined;
  #running: RunningMember | undefined;
  #failure: Error | undefined;

  constructor(name: string, endpoint: string, settings: Settings, hosts: Hosts, seed: number) {
    this.name = name;
    this.endpoint = endpoint;
    this.#settings = settings;
    this.#hosts = hosts;
    this.#drive = new VirtualDrive({ seed });
    this.client = new TestClient({ endpoints: [endpoint], platform: hosts.client });
  }

  get isRunning(): boolean {
    return this.#running !== undefined && this.#failure === undefined;
  }

  /** What it believes: whether it leads. Two may believe it at a time, in different terms. */
  get isLeader(): boolean {
    return this.term > 0 && this.#running?.member.raft.leaderId === this.#running?.member.memberId;
  }

  /** Its raft term; 0 while it is down. */
  get term(): number {
    return this.isRunning ? (this.#running?.member.raft.term ?? 0) : 0;
  }

  /** @internal */
  async start(): Promise<void> {
    if (this.#running !== undefined) throw new Error(`Cannot start ${this.name}: it runs`);
    const host = this.#hosts.boot(this.name, this.#drive);
    this.#host = host;
    this.#failure = undefined;
    this.#running = await runMember({
      settings: this.#settings,
      platform: host.platform,
      onFatal: (error) => (this.#failure ??= error),
      onRemoved: () => (this.#failure ??= new Error(`${this.name} was removed from its cluster`)),
    });
  }

  /** @internal */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }

  /** @internal */
  crash(): void {
    this.#drive.crash();
    this.#host?.die();
    this.#running?.abandon();
    this.#running = undefined;
  }
}

export class TestCluster implements AsyncDisposable {
  readonly members: readonly ClusterMember[];
  /** A client of all members. */
  readonly client: TestClient;
  readonly #hosts: Hosts;
  readonly #internet: VirtualInternet;

  private constructor(members: readonly ClusterMember[], hosts: Hosts, internet: VirtualInternet) {
    this.members = members;
    this.#hosts = hosts;
    this.#internet = internet;
    this.client = new TestClient({ endpoints: members.map(({ endpoint }) => endpoint), platform: hosts.client });
  }

  /** @see startCluster */
  static async start(options: ClusterOptions): Promise<TestCluster> {
    const { size = 3, seed = 1, clock = "real", flags = [], logLevel } = options;
    if (!Number.isInteger(size) || size < 1 || size > membersMax) {
      throw new RangeError(`Cannot start a cluster of ${size} members: 1 to ${membersMax} are possible`);
    }
    const log = createStderrLogger(logLevel ?? "fatal", logLevel === undefined ? () => undefined : undefined);
    const internet = new VirtualInternet();
    const hosts = clock === "manual" ? manualHosts({ internet, seed, log }) : realHosts({ internet, log });
    const names = Array.from({ length: size }, (_, position) => `m${position + 1}`);
    const members: ClusterMember[] = [];
    for (const [position, name] of names.entries()) {
      const endpoint = await hosts.clientUrl(name);
      const settings = memberSettings({ name, names, endpoint, hosts, flags, log });
      members.push(new ClusterMember(name, endpoint, settings, hosts, seed * membersMax + position));
    }
    const cluster = new TestCluster(members, hosts, internet);
    await cluster.run(Promise.all(members.map((member) => member.start())));
    return cluster;
  }

  /** The leader of the newest term. @throws {Error} when nobody leads. */
  leader(): ClusterMember {
    const leaders = this.members.filter(({ isLeader }) => isLeader).sort((a, b) => b.term - a.term);
    if (leaders.length === 0) throw new Error("Cannot tell the leader: there is none now");
    return leaders[0];
  }

  /** Members that do not lead. */
  followers(): ClusterMember[] {
    const leader = this.leader();
    return this.members.filter((member) => member !== leader);
  }

  /** Cuts these members off from all others; clients still reach both sides. */
  partition(...members: readonly ClusterMember[]): void {
    for (const inside of members) {
      for (const outside of this.members) {
        if (!members.includes(outside))
          this.#internet.cut(this.#hosts.peerHost(inside.name), this.#hosts.peerHost(outside.name));
      }
    }
  }

  /** Ends every partition. */
  heal(): void {
    for (const [position, one] of this.members.entries()) {
      for (const other of this.members.slice(position + 1)) {
        this.#internet.heal(this.#hosts.peerHost(one.name), this.#hosts.peerHost(other.name));
      }
    }
  }

  /** The power of one member fails: it loses what it had not synced. */
  crash(member: ClusterMember): void {
    member.crash();
  }

  /** Stops one member in order. */
  async stop(member: ClusterMember): Promise<void> {
    await this.run(member.stop());
  }

  /** Starts a member that is down, on what its disk holds; resolves when it serves, for which it needs a leader. */
  async restart(member: ClusterMember): Promise<void> {
    await this.run(member.start());
  }

  /** Lets time pass: virtual time at once under the manual clock, real time else. */
  async advance(milliseconds: number): Promise<void> {
    await this.#hosts.advance(milliseconds);
  }

  /** Lets time pass until `promise` settles, and gives its result. Under the real clock it only waits. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.#hosts.run(promise);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heal();
    this.client.close();
    for (const { client } of this.members) client.close();
    // Nothing of it is kept: an orderly end would only hand leadership around.
    for (const member of this.members) member.crash();
    await this.#hosts.release();
  }
}

/**
 * Starts a cluster in this process and resolves when all members serve.
 *
 * @throws {RangeError} for a size that is not possible.
 * @throws {Error} with etcd's text for flags that are wrong.
 */
export function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  return TestCluster.start(options);
}

interface MemberPlan {
  readonly name: string;
  readonly names: readonly string[];
  readonly endpoint: string;
  readonly hosts: Hosts;
  readonly flags: readonly string[];
  readonly log: Logger;
}

function memberSettings({ name, names, endpoint, hosts, flags, log }: MemberPlan): Settings {
  const peerUrl = (of: string): string => `http://${hosts.peerHost(of)}:2380`;
  return resolveSettings(
    parseArguments([
      `--name=${name}`,
      "--data-dir=/etcd",
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peerUrl(name)}`,
      `--initial-advertise-peer-urls=${peerUrl(name)}`,
      `--initial-cluster=${names.map((of) => `${of}=${peerUrl(of)}`).join(",")}`,
      ...flags,
    ]),
    { environment: {}, log, readFile: () => "" },
  );
}

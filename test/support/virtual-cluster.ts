/** Members of one cluster in virtual time, each with a drive of its own, on a virtual network. */
import { createStderrLogger } from "../../src/platform/node/stderr-logger.ts";
import {
  createVirtualPlatform,
  Scheduler,
  VirtualDrive,
  VirtualInternet,
  type VirtualPlatform,
} from "../../src/platform/virtual/index.ts";
import { PeerServer } from "../../src/peer/server.ts";
import { memberConfig, type MemberConfig } from "../../src/server/config.ts";
import type { Member } from "../../src/server/member.ts";
import { startMember } from "../../src/server/start-member.ts";

const peerPort = 2380;

export class VirtualMember {
  readonly name: string;
  readonly host: string;
  readonly drive: VirtualDrive;
  readonly lines: string[] = [];
  platform!: VirtualPlatform;
  member!: Member;

  constructor(name: string, host: string, seed: number) {
    this.name = name;
    this.host = host;
    this.drive = new VirtualDrive({ seed });
  }

  get peerUrl(): string {
    return `http://${this.host}:${peerPort}`;
  }

  get isLeader(): boolean {
    return this.member.raft.isLeader;
  }

  said(text: string): boolean {
    return this.lines.some((line) => line.includes(text));
  }
}

export class VirtualCluster {
  readonly scheduler = new Scheduler();
  readonly internet = new VirtualInternet();
  readonly members: VirtualMember[];
  readonly #changes: Partial<MemberConfig>;
  #boots = 0;

  private constructor(size: number, changes: Partial<MemberConfig>) {
    this.#changes = changes;
    this.members = Array.from({ length: size }, (_, at) => new VirtualMember(`m${at}`, `10.0.0.${at + 1}`, at + 1));
  }

  /** Founds a cluster and waits until every member serves. */
  static async found(size: number, changes: Partial<MemberConfig> = {}): Promise<VirtualCluster> {
    const cluster = new VirtualCluster(size, changes);
    const { scheduler, members } = cluster;
    await scheduler.run(Promise.all(members.map((member) => cluster.start(member))));
    await scheduler.run(Promise.all(members.map(({ member }) => member.whenReady())));
    return cluster;
  }

  /** Starts a member on what its drive holds; it need not be ready when this resolves. */
  async start(target: VirtualMember): Promise<void> {
    const platform = createVirtualPlatform({
      scheduler: this.scheduler,
      drive: target.drive,
      internet: this.internet,
      host: target.host,
      seed: ++this.#boots,
      log: createStderrLogger("info", (line) => void target.lines.push(line)),
    });
    target.platform = platform;
    const config = memberConfig({
      name: target.name,
      dataDir: "/data",
      initialAdvertisePeerUrls: [target.peerUrl],
      initialCluster: this.members.map(({ name, peerUrl }) => ({ name, peerUrls: [peerUrl] })),
      ...this.#changes,
    });
    const server = new PeerServer(platform);
    target.member = await startMember(config, platform);
    target.member.registerPeerEndpoints(server);
    await platform.network.listen({ host: target.host, port: peerPort }, (connection) =>
      server.handleConnection(connection),
    );
  }

  /** The power of one member fails. */
  crash(target: VirtualMember): void {
    target.platform.clock.stop();
    target.drive.crash();
    for (const key of this.internet.listeners.keys()) {
      if (key.startsWith(`${target.host}:`)) this.internet.listeners.delete(key);
    }
  }

  /** Lets time pass until somebody of `among` leads and all of them know. */
  async leader(among: readonly VirtualMember[] = this.members): Promise<VirtualMember> {
    const found = (): VirtualMember | undefined => {
      const leader = among.find(({ isLeader }) => isLeader);
      const { memberId } = leader?.member ?? {};
      return among.every(({ member }) => member.raft.leaderId === memberId) ? leader : undefined;
    };
    await this.scheduler.runUntil(() => found() !== undefined);
    return found()!;
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.scheduler.run(promise);
  }
}

/**
 * A member that is only its voice: our raft core, with its log in memory, on our peer transport. It votes, follows and
 * leads beside a real etcd, but applies nothing except the membership.
 */
import { RawNode } from "../../src/raft/raw-node.ts";
import { MemoryStorage } from "../../src/raft/memory-storage.ts";
import { memberToJson, type Member } from "../../src/membership/member.ts";
import { PeerServer } from "../../src/peer/server.ts";
import { PeerTransport } from "../../src/peer/transport.ts";
import type { SnapshotImage } from "../../src/peer/types.ts";
import type { Listener } from "../../src/platform/network.ts";
import type { Timer } from "../../src/platform/clock.ts";
import { decodeConfChange } from "../../src/wire/raft/conf-change-codec.ts";
import { EntryType, MessageType, type Entry, type Message } from "../../src/wire/raft/types.ts";
import { listLogger, type LogLine } from "../support/peer-cluster.ts";
import { testPlatform } from "../support/member.ts";

export interface ScriptedMemberOptions {
  readonly self: Member;
  readonly others: readonly Member[];
  readonly clusterId: bigint;
  readonly serverVersion: string;
  readonly snapshotDirectory: string;
  /** Long: it leaves the first election to the others. */
  readonly electionTicks: number;
  /** False: it comes with nothing, and the leader brings it up. */
  readonly bootstraps: boolean;
}

const tickMs = 100;

export class ScriptedMember {
  readonly node: RawNode;
  readonly storage = new MemoryStorage();
  readonly transport: PeerTransport;
  readonly committed: Entry[] = [];
  readonly received = new Map<number, number>();
  readonly reports: { readonly peerId: bigint; readonly ok: boolean }[] = [];
  readonly lines: LogLine[] = [];
  lastSnapshot: Message | undefined;
  isRemoved = false;
  readonly #options: ScriptedMemberOptions;
  readonly #server: PeerServer;
  readonly #platform = testPlatform();
  #listener: Listener | undefined;
  #ticker: Timer | undefined;
  #isScheduled = false;

  constructor(options: ScriptedMemberOptions) {
    this.#options = options;
    const { self, clusterId, serverVersion, snapshotDirectory } = options;
    const platform = { ...this.#platform, log: listLogger(this.lines) };
    this.node = new RawNode({
      id: self.id,
      electionTicks: options.electionTicks,
      heartbeatTicks: 1,
      storage: this.storage,
      random: () => 0,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      messageBytesMax: 1 << 20,
      inflightCountMax: 512,
      checkQuorum: true,
      preVote: true,
    });
    this.transport = new PeerTransport({
      platform,
      local: { memberId: self.id, clusterId, serverVersion, minClusterVersion: "3.0.0", peerUrls: self.peerUrls },
      snapshotDirectory,
      dialTimeoutMs: 2000,
      handlers: {
        receive: (message) => this.#receive(message),
        isRemoved: () => false,
        reportUnreachable: (id) => this.node.reportUnreachable(id),
        reportSnapshot: (peerId, ok) => void this.reports.push({ peerId, ok }),
        removedFromCluster: () => (this.isRemoved = true),
      },
    });
    this.#server = new PeerServer(platform);
    this.transport.register(this.#server);
  }

  async start(): Promise<void> {
    const { self, others, bootstraps } = this.#options;
    const { hostname, port } = new URL(self.peerUrls[0]);
    this.#listener = await this.#platform.network.listen({ host: hostname, port: Number(port) }, (connection) =>
      this.#server.handleConnection(connection),
    );
    if (bootstraps) {
      const all = [self, ...others].toSorted((a, b) => (a.id < b.id ? -1 : 1));
      this.node.bootstrap(all.map((member) => ({ id: member.id, context: Buffer.from(memberToJson(member)) })));
    }
    for (const { id, peerUrls } of others) this.transport.addPeer(id, peerUrls);
    this.#ticker = this.#platform.clock.setTicker(() => {
      this.node.tick();
      this.#schedule();
    }, tickMs);
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#ticker?.cancel();
    this.#server.close();
    await this.transport.stop();
    await this.#listener?.close();
  }

  /** Does something to the core, then what the core asks for. */
  act(action: (node: RawNode) => void): void {
    action(this.node);
    this.#schedule();
  }

  sendSnapshot(message: Message, image: SnapshotImage): void {
    this.transport.sendSnapshot(message, image);
  }

  #receive(message: Message): boolean {
    this.received.set(message.type, (this.received.get(message.type) ?? 0) + 1);
    if (message.type === MessageType.Snap) this.lastSnapshot = message;
    try {
      this.node.step(message);
    } catch {
      return false; // what the core cannot use now
    }
    this.#schedule();
    return true;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#platform.clock.nextTurn(() => {
      this.#isScheduled = false;
      while (this.node.hasReady()) this.#work();
    });
  }

  #work(): void {
    const ready = this.node.ready();
    if (ready.snapshot !== undefined && ready.snapshot.metadata.index > 0) this.storage.applySnapshot(ready.snapshot);
    this.storage.append(ready.entries);
    if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState);
    this.transport.send(ready.messages.filter(({ type }) => type !== MessageType.Snap));
    for (const entry of ready.committedEntries) {
      this.committed.push(entry);
      if (entry.type === EntryType.ConfChange) this.node.applyConfChange(decodeConfChange(entry.data));
    }
    this.node.advance();
  }
}

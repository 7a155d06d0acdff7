/**
 * The other members, as this one reaches them: who they are follows the membership, messages go out through the
 * transport, and snapshots on their way out are put together here.
 *
 * How long a peer has been reachable decides some questions of safety: whether a change of the group may be made now, and
 * whether a request that timed out may have been lost on the way. Source: etcd server/etcdserver/cluster_util.go,
 * server/etcdserver/server.go.
 */
import type { Member } from "../membership/member.ts";
import type { Membership } from "../membership/membership.ts";
import { formatVersion, minClusterVersion, serverVersion } from "../membership/version.ts";
import type { PeerServer } from "../peer/server.ts";
import { PeerTransport } from "../peer/transport.ts";
import type { PeerHandlers } from "../peer/types.ts";
import type { Platform } from "../platform/platform.ts";
import { type ConfChange, ConfChangeType, type Message, MessageType } from "../wire/raft/types.ts";
import type { MemberConfig } from "./config.ts";
import { peerDial } from "./peer-dial.ts";
import { checkReceivedDatabase } from "./received-database.ts";
import type { SnapshotSource } from "./snapshot-source.ts";

/** Longest time beyond the election timeout that a connection to a peer may take to open; etcd's. */
const DIAL_MARGIN_MS = 1_000;

export interface PeersParts {
  readonly config: MemberConfig;
  readonly platform: Platform;
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly membership: Membership;
  readonly snapshotDirectory: string;
  readonly snapshots: SnapshotSource;
  readonly handlers: PeerHandlers;
}

export class Peers {
  readonly #parts: PeersParts;
  readonly #transport: PeerTransport;

  constructor(parts: PeersParts) {
    const { config, platform, memberId, clusterId, snapshotDirectory, handlers } = parts;
    this.#parts = parts;
    this.#transport = new PeerTransport({
      platform,
      local: {
        memberId,
        clusterId,
        serverVersion: formatVersion(serverVersion),
        minClusterVersion: formatVersion(minClusterVersion),
        peerUrls: config.initialAdvertisePeerUrls,
      },
      handlers,
      snapshotDirectory,
      checkDatabase: (path, index) => checkReceivedDatabase(platform.disk, path, index),
      dialTimeoutMs: peerDialTimeoutMs(config),
      dial: peerDial(config, platform),
    });
  }

  /** Serves the raft endpoints on the peer port. */
  register(server: PeerServer): void {
    this.#transport.register(server);
  }

  get metrics(): PeerTransport["metrics"] {
    return this.#transport.metrics;
  }

  /** Dials all members. */
  start(): void {
    for (const member of this.#others()) this.#transport.addPeer(member.id, member.peerUrls);
  }

  /** Members of a cluster that is being joined: they can be answered, before our own log says that they exist. */
  addRemotes(members: readonly Member[]): void {
    for (const member of members) this.#transport.addRemote(member.id, member.peerUrls);
  }

  /** A change of the group took effect. @param member - as it is now; undefined when it was removed. */
  changed({ type, nodeId }: ConfChange, member: Member | undefined): void {
    if (nodeId === this.#parts.memberId) return;
    if (member === undefined) this.#transport.removePeer(nodeId);
    else if (type === ConfChangeType.UpdateNode) this.#transport.updatePeer(nodeId, member.peerUrls);
    else this.#transport.addPeer(nodeId, member.peerUrls);
  }

  /** The membership was read again, from a snapshot. */
  reset(): void {
    this.#transport.removeAllPeers();
    this.start();
  }

  send(messages: readonly Message[]): void {
    const { membership, handlers, snapshots } = this.#parts;
    const plain: Message[] = [];
    for (const message of messages) {
      if (membership.isRemoved(message.to)) continue;
      if (message.type !== MessageType.Snap) plain.push(message);
      else if (!snapshots.send(message, this.#transport)) handlers.reportSnapshot(message.to, false);
    }
    if (plain.length > 0) this.#transport.send(plain);
  }

  async stop(): Promise<void> {
    await this.#transport.stop();
  }

  get activeCount(): number {
    return this.#transport.activePeers();
  }

  /** Monotonic time since which the peer can be reached; undefined while it cannot. */
  activeSince(id: bigint): number | undefined {
    return this.#transport.activeSince(id);
  }

  isConnectedSince(id: bigint, sinceMs: number): boolean {
    const activeSinceMs = this.#transport.activeSince(id);
    return activeSinceMs !== undefined && activeSinceMs < sinceMs;
  }

  /** How many of `members` were reachable all the time since then; this member always is. */
  countConnectedSince(members: readonly Member[], sinceMs: number): number {
    const { memberId } = this.#parts;
    return members.filter(({ id }) => id === memberId || this.isConnectedSince(id, sinceMs)).length;
  }

  /** The one of `members` that has been reachable for the longest time; never this one. */
  longestConnected(members: readonly Member[]): bigint | undefined {
    let longest: bigint | undefined;
    let oldestMs = Infinity;
    for (const { id } of members) {
      const sinceMs = id === this.#parts.memberId ? undefined : this.#transport.activeSince(id);
      if (sinceMs === undefined || sinceMs >= oldestMs) continue;
      oldestMs = sinceMs;
      longest = id;
    }
    return longest;
  }

  #others(): Member[] {
    return this.#parts.membership.members().filter(({ id }) => id !== this.#parts.memberId);
  }
}

export function peerDialTimeoutMs(config: MemberConfig): number {
  return DIAL_MARGIN_MS + config.electionTimeoutMs;
}

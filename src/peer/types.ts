/** What the peer transport is given and what it tells; see `transport.ts`. */
import type { Address, Connection } from "../platform/network.ts";
import type { Platform } from "../platform/platform.ts";
import type { Message } from "../wire/raft/types.ts";

/** This member, as it introduces itself to the others. */
export interface LocalMember {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** Semantic version, such as `3.6.14`. */
  readonly serverVersion: string;
  /** Oldest cluster version that this member can serve: `3.0.0`. */
  readonly minClusterVersion: string;
  /** Own advertised peer URLs, by which a member that does not know us yet can answer. */
  readonly peerUrls: readonly string[];
}

/** How the transport reaches the member. All are called inside a turn of the event loop and must not throw. */
export interface PeerHandlers {
  /**
   * A raft message arrived; it is owned by the receiver. Its sender is not removed and it is addressed to us. A `Snap`
   * comes when its database lies, durable, in the snapshot directory.
   *
   * @returns false when it was dropped (overloaded, stopping).
   */
  receive(message: Message): boolean;
  /** True for a member that was removed from the cluster. */
  isRemoved(memberId: bigint): boolean;
  /** A message to this peer was lost; the core probes it from now on. */
  reportUnreachable(memberId: bigint): void;
  /** The end of what {@link PeerTransport.sendSnapshot} began. */
  reportSnapshot(memberId: bigint, ok: boolean): void;
  /** A peer says that this member was removed from the cluster: it must stop. May be called again. */
  removedFromCluster(error: Error): void;
}

/** Opens a connection to a peer; TLS replaces it. `url` is a peer URL, `address` what its host and port are. */
export type Dial = (url: URL, address: Address, timeoutMs: number) => Promise<Connection>;

export interface PeerTransportOptions {
  readonly platform: Platform;
  readonly local: LocalMember;
  readonly handlers: PeerHandlers;
  /** Where received databases go: `<data dir>/member/snap`. It exists. */
  readonly snapshotDirectory: string;
  /**
   * Looks at a received database before raft hears of it; `index` is the snapshot's. Throws when it is none, or not whole:
   * then it is refused, and nothing has changed. Default: anything is taken.
   */
  readonly checkDatabase?: (path: string, index: number) => void;
  /** etcd: one second more than the election timeout. */
  readonly dialTimeoutMs: number;
  /** Default: plain connections of the platform. */
  readonly dial?: Dial | undefined;
}

/** The database that goes with a snapshot message. The transport closes it exactly once, whatever happens. */
export interface SnapshotImage {
  /** Bytes of the whole image. */
  readonly size: number;
  /** Fills the start of `target` with bytes from `position` on; resolves to the count, short only at the end. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** `sent` tells whether the peer has taken it. */
  close(sent: boolean): void;
}

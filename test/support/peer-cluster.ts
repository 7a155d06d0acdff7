/** Peer transports without members: what they receive is recorded, on a network and a clock that the test moves. */
import type { Logger } from "../../src/platform/logger.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { PeerServer } from "../../src/peer/server.ts";
import { PeerTransport } from "../../src/peer/transport.ts";
import type { LocalMember } from "../../src/peer/types.ts";
import type { Message } from "../../src/wire/raft/types.ts";

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Collects lines. */
export function listLogger(lines: LogLine[]): Logger {
  const at =
    (level: string) =>
    (message: string, fields = {}): void =>
      void lines.push({ level, message, fields });
  const logger: Logger = {
    enabled: () => true,
    log: (level, message, fields) => at(level)(message, fields),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    fatal: at("fatal"),
    withCaller: () => logger,
  };
  return logger;
}

/** One transport and what it told. */
export class TestPeer {
  readonly received: Message[] = [];
  readonly unreachable: bigint[] = [];
  readonly snapshots: { readonly peerId: bigint; readonly ok: boolean }[] = [];
  readonly removed = new Set<bigint>();
  readonly lines: LogLine[] = [];
  removedErrors = 0;
  accepts = true;
  readonly transport: PeerTransport;
  readonly server: PeerServer;
  readonly local: LocalMember;

  constructor(platform: Omit<Platform, "log">, local: LocalMember, snapshotDirectory: string) {
    const withLog: Platform = { ...platform, log: listLogger(this.lines) };
    this.local = local;
    this.transport = new PeerTransport({
      platform: withLog,
      local,
      snapshotDirectory,
      dialTimeoutMs: 2000,
      handlers: {
        receive: (message) => {
          if (this.accepts) this.received.push(message);
          return this.accepts;
        },
        isRemoved: (id) => this.removed.has(id),
        reportUnreachable: (id) => void this.unreachable.push(id),
        reportSnapshot: (peerId, ok) => void this.snapshots.push({ peerId, ok }),
        removedFromCluster: () => void this.removedErrors++,
      },
    });
    this.server = new PeerServer(withLog);
    this.transport.register(this.server);
  }

  has(message: string): boolean {
    return this.lines.some((line) => line.message === message);
  }
}

export function localMember(memberId: bigint, peerUrl: string, changes: Partial<LocalMember> = {}): LocalMember {
  return {
    memberId,
    clusterId: 0xc1n,
    serverVersion: "3.6.14",
    minClusterVersion: "3.0.0",
    peerUrls: [peerUrl],
    ...changes,
  };
}

/** Whether a peer can be reached, since when, and who needs to know. Source: etcd rafthttp/peer_status.go. */
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { formatId } from "../membership/member.ts";
import type { PeerCounters } from "./metrics.ts";

export class PeerStatus {
  /** Monotonic time since which the peer is active; undefined while it is not. */
  activeSinceMs: number | undefined;
  readonly #peerId: bigint;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counters: PeerCounters;

  constructor(parts: { peerId: bigint; clock: Clock; log: Logger; counters: PeerCounters }) {
    this.#peerId = parts.peerId;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#counters = parts.counters;
  }

  get isActive(): boolean {
    return this.activeSinceMs !== undefined;
  }

  activate(): void {
    if (this.isActive) return;
    this.#log.info("peer became active", { "peer-id": formatId(this.#peerId) });
    this.activeSinceMs = this.#clock.monotonic();
    this.#counters.active = 1;
  }

  /** @param action - what failed, as in `dial`; `source` - on which channel. */
  deactivate(action: string, source: string, reason: string): void {
    const error = `failed to ${action} ${formatId(this.#peerId)} on ${source} (${reason})`;
    if (!this.isActive) {
      this.#log.debug("peer deactivated again", { "peer-id": formatId(this.#peerId), error });
      return;
    }
    this.#log.warn("peer became inactive (message send to peer failed)", { "peer-id": formatId(this.#peerId), error });
    this.activeSinceMs = undefined;
    this.#counters.active = 0;
    this.#counters.disconnects++;
  }

  /** The peer is no more; nobody failed. */
  retire(): void {
    this.activeSinceMs = undefined;
    this.#counters.active = 0;
  }
}

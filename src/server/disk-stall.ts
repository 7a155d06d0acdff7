/**
 * A log whose writes have stopped. Heartbeats and linearizable reads do not wait for the disk here, so nobody would notice
 * a leader that cannot write any more: it would keep its place and hold up the cluster for as long as the disk does. So:
 *
 *     no write of the log has ended for an election timeout, and some are waiting
 *       ├─ this member begins no campaign until one ends
 *       └─ it leads, and the others are a majority without it
 *            ├─ hand over to the one with the most of the log; an election timeout later to the next
 *            └─ nobody is left to try: resign, and let the others elect
 *
 * Where the others are no majority without it, it goes on leading: nothing could be written under another leader, and
 * reads at least are served here. Nothing of this touches safety: what is not durable here has never counted as ours.
 *
 * Time is counted in ticks, not milliseconds: a process that was suspended finds its writes done before the next few
 * ticks and was not let down by its disk. etcd's leader stops sending heartbeats while it waits for the disk, and is
 * replaced for that. See docs/decisions/0008-stalled-disk.md.
 */
import { formatId, type Member } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import type { RawNode } from "../raft/raw-node.ts";

export interface DiskStallParts {
  readonly node: Pick<RawNode, "id" | "isLeader" | "status" | "transferLeader" | "resign" | "holdCampaigns">;
  readonly log: Logger;
  /** Ticks of an election timeout. */
  readonly electionTicks: number;
  /** Writes of the log. */
  readonly saves: { readonly savesInFlight: number; readonly savesFinished: number };
  readonly voters: () => readonly Member[];
  /** Whether the member can be reached now. */
  readonly isConnected: (id: bigint) => boolean;
}

/** How often each came to pass. */
export interface DiskStallCounters {
  /** Stalls noticed, whatever this member was. */
  readonly stalls: number;
  /** Handovers begun because of one. */
  readonly handovers: number;
  readonly resignations: number;
}

export class DiskStall {
  readonly #parts: DiskStallParts;
  readonly #counters = { stalls: 0, handovers: 0, resignations: 0 };
  #finished = 0;
  /** Ticks since a write ended, while some wait. */
  #ticks = 0;
  /** Whom this stall was answered by handing over to. */
  readonly #tried = new Set<bigint>();

  constructor(parts: DiskStallParts) {
    this.#parts = parts;
  }

  get counters(): DiskStallCounters {
    return this.#counters;
  }

  get isStalled(): boolean {
    return this.#ticks >= this.#parts.electionTicks;
  }

  /** Call once a tick, before the core's own. */
  tick(): void {
    const { saves, electionTicks } = this.#parts;
    if (saves.savesInFlight === 0 || saves.savesFinished !== this.#finished) return this.#wrote();
    this.#ticks++;
    if (this.#ticks % electionTicks !== 0) return;
    if (this.#ticks === electionTicks) this.#begin();
    this.#giveUpLeading();
  }

  #wrote(): void {
    const { node, saves, log } = this.#parts;
    if (this.isStalled) {
      node.holdCampaigns(false);
      this.#tried.clear();
      log.info("the disk writes again", { "local-member-id": formatId(node.id), "stalled-ticks": this.#ticks });
    }
    this.#finished = saves.savesFinished;
    this.#ticks = 0;
  }

  #begin(): void {
    const { node, saves, log, electionTicks } = this.#parts;
    this.#counters.stalls++;
    node.holdCampaigns(true);
    log.warn("no write of the log has ended for an election timeout; the disk is stalled", {
      "local-member-id": formatId(node.id),
      "is-leader": node.isLeader,
      "waiting-writes": saves.savesInFlight,
      "stalled-ticks": electionTicks,
    });
  }

  #giveUpLeading(): void {
    const { node, log, voters, isConnected } = this.#parts;
    if (!node.isLeader) return;
    const all = voters();
    const others = all.filter(({ id }) => id !== node.id && isConnected(id));
    const fields = { "local-member-id": formatId(node.id), "connected-voters": others.length };
    if (others.length <= all.length / 2) {
      return log.warn("goes on leading with a stalled disk; the others are no majority without this member", fields);
    }
    const target = this.#mostCaughtUp(others);
    if (target === undefined) {
      this.#counters.resignations++;
      log.warn("stops leading with a stalled disk; no other member took over", fields);
      return node.resign();
    }
    this.#tried.add(target);
    this.#counters.handovers++;
    log.warn("hands leadership over because of a stalled disk", {
      ...fields,
      "transferee-member-id": formatId(target),
    });
    node.transferLeader(target);
  }

  /** The one that has the most of the log, of those not tried yet. */
  #mostCaughtUp(members: readonly Member[]): bigint | undefined {
    const { progress } = this.#parts.node.status();
    let best: bigint | undefined;
    let bestMatch = -1;
    for (const { id } of members) {
      const match = progress.get(id)?.match ?? -1;
      if (this.#tried.has(id) || match <= bestMatch) continue;
      best = id;
      bestMatch = match;
    }
    return best;
  }
}

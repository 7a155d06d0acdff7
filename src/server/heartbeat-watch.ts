/**
 * Notices that this leader sends heartbeats late: its event loop was blocked, or the machine did not let it run.
 * Source: etcd server/etcdserver/raft.go (`processMessages`), pkg/contention.
 */
import { formatDuration } from "../base/duration.ts";
import { formatId } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import { type Message, MessageType } from "../wire/raft/types.ts";

/** A heartbeat is late after so many intervals. */
const LATE_INTERVALS = 2;

export class HeartbeatWatch {
  /** Heartbeats that were sent late; only grows. */
  late = 0;
  /** Longest time between two heartbeats to one member since this one leads; 0 before there were two. */
  longestGapMs = 0;
  readonly #intervalMs: number;
  readonly #log: Logger;
  /** Member → when the last heartbeat went to it. */
  readonly #sentMs = new Map<bigint, number>();

  constructor(intervalMs: number, log: Logger) {
    this.#intervalMs = intervalMs;
    this.#log = log;
  }

  /** Leadership changed: there is nothing to be late for. */
  reset(): void {
    this.#sentMs.clear();
    this.longestGapMs = 0;
  }

  /** Messages are about to leave. */
  sending(messages: readonly Message[], nowMs: number): void {
    for (let index = 0; index < messages.length; index++) {
      if (messages[index].type === MessageType.Heartbeat) this.#observe(messages[index].to, nowMs);
    }
  }

  #observe(to: bigint, nowMs: number): void {
    const expectedMs = LATE_INTERVALS * this.#intervalMs;
    const sinceMs = nowMs - (this.#sentMs.get(to) ?? nowMs);
    this.#sentMs.set(to, nowMs);
    if (sinceMs > this.longestGapMs) this.longestGapMs = sinceMs;
    if (sinceMs <= expectedMs) return;
    this.late++;
    this.#log.warn(
      "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk",
      {
        to: formatId(to),
        "heartbeat-interval": formatDuration(this.#intervalMs),
        "expected-duration": formatDuration(expectedMs),
        "exceeded-duration": formatDuration(sinceMs - expectedMs),
      },
    );
  }
}

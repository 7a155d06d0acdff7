/**
 * Reads waiting for proof that this leader still leads: each is confirmed by a quorum of heartbeat answers that carry
 * its context, and a confirmation covers all older ones. Mirrors etcd-io/raft read_only.go.
 */
import { asBuffer, emptyBytes } from "../base/bytes.ts";
import type { Message } from "../wire/raft/types.ts";

/** Reads waiting at a time; further requests are dropped, and their senders ask again. etcd sends one per member. */
export const PENDING_READS_MAX = 4096;

/** A confirmed read: once `index` is applied, the request `context` may be answered from the state machine. */
export interface ReadState {
  readonly index: number;
  /** What the application gave with its request; it tells requests apart. */
  readonly context: Uint8Array;
}

export interface PendingRead {
  /** The `ReadIndex` message; its one entry holds the context. */
  readonly request: Message;
  /** The commit index when the request came. */
  readonly index: number;
  /** Who confirmed. All values are true: the shape is that of votes. */
  readonly acks: Map<bigint, boolean>;
}

export class ReadOnly {
  /** Ascending in time; the key is the context's bytes. */
  readonly #pending = new Map<string, PendingRead>();

  /** Adds a request, unless its context is waiting already. False if there is no room. */
  add(index: number, request: Message): boolean {
    const key = keyOf(contextOf(request));
    if (this.#pending.has(key)) return true;
    if (this.#pending.size >= PENDING_READS_MAX) return false;
    this.#pending.set(key, { request, index, acks: new Map() });
    return true;
  }

  /** Records that `id` answered a heartbeat with this context. Returns who did so far, or `undefined` if unknown. */
  acknowledge(id: bigint, context: Uint8Array): ReadonlyMap<bigint, boolean> | undefined {
    const acks = this.#pending.get(keyOf(context))?.acks;
    acks?.set(id, true);
    return acks;
  }

  /** Takes out the request with this context and all older ones, oldest first. */
  advance(context: Uint8Array): PendingRead[] {
    const last = keyOf(context);
    if (!this.#pending.has(last)) return [];
    const confirmed: PendingRead[] = [];
    for (const [key, read] of this.#pending) {
      confirmed.push(read);
      this.#pending.delete(key);
      if (key === last) break;
    }
    return confirmed;
  }

  /** The context of the newest request, or empty bytes: heartbeats carry it, in case the first ones were lost. */
  lastContext(): Uint8Array {
    let last: Uint8Array = emptyBytes;
    for (const read of this.#pending.values()) last = contextOf(read.request);
    return last;
  }
}

/** The context in a `ReadIndex` message. */
export function contextOf(request: Message): Uint8Array {
  return request.entries[0].data;
}

function keyOf(context: Uint8Array): string {
  return asBuffer(context).toString("latin1");
}

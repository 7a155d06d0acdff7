/**
 * All watches of the proxy, by range: watches of one range share a watch at a member where none misses anything by it.
 * One that begins now gets a watch of its own, as only the member knows where "now" is, and changes to another as soon as
 * it has been told.
 *
 * @see etcd server/proxy/grpcproxy/watch_ranges.go, watch_broadcasts.go
 */
import type { Clock } from "../../platform/clock.ts";
import * as rpc from "../../wire/gen/etcdserverpb/rpc.ts";
import type { Event } from "../../wire/gen/mvccpb/kv.ts";
import { Broadcast, type BroadcastListener, type Receiver } from "./broadcast.ts";
import type { KeyRange } from "./key-range.ts";
import { messageBytes } from "./messages.ts";
import type { Namespace } from "./namespace.ts";
import { callerKey, type Upstream } from "./upstream.ts";
import { WatchUpstream } from "./watch-upstream.ts";

/** A broadcast with so many receivers is not given up for another one, as in etcd. */
const popularReceivers = 5;

export class WatchHub {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  readonly #namespace: Namespace | undefined;
  /** Streams by caller. */
  readonly #streams = new Map<string, WatchUpstream>();
  readonly #groups = new Map<string, Set<Broadcast>>();
  readonly #broadcastOf = new Map<Receiver, Broadcast>();
  readonly #listener: BroadcastListener;
  /** Events that cost members nothing, since they were sent for another watch already. */
  coalescedEvents = 0;

  constructor(upstream: Upstream, clock: Clock, namespace: Namespace | undefined) {
    this.#upstream = upstream;
    this.#clock = clock;
    this.#namespace = namespace;
    this.#listener = {
      advanced: (broadcast) => this.#coalesce(broadcast),
      ended: (broadcast, orphans) => this.#ended(broadcast, orphans),
      coalesced: (count) => {
        this.coalescedEvents += count;
      },
      inward: (event: Event) => (namespace === undefined ? event : namespace.event(event)),
    };
  }

  /** Watches that share another one's watch at a member. */
  get coalescedWatchers(): number {
    return this.#broadcastOf.size - this.broadcastCount;
  }

  /** Watches at members. */
  get broadcastCount(): number {
    let count = 0;
    for (const broadcasts of this.#groups.values()) count += broadcasts.size;
    return count;
  }

  add(watch: Receiver): void {
    const fitting = this.#fitting(watch);
    if (fitting === undefined) this.#start(watch);
    else if (fitting.user === callerKey(watch.caller)) this.#join(watch, fitting);
    else void this.#joinIfPermitted(watch);
  }

  remove(watch: Receiver): void {
    const broadcast = this.#broadcastOf.get(watch);
    this.#broadcastOf.delete(watch);
    if (broadcast === undefined) return;
    broadcast.leave(watch);
    if (broadcast.receivers.size === 0) this.#stop(broadcast);
  }

  /** The stream that serves a watch, or would serve one of this caller. */
  streamOf(watch: Receiver): WatchUpstream | undefined {
    return this.#broadcastOf.get(watch)?.upstream;
  }

  #fitting(watch: Receiver): Broadcast | undefined {
    for (const broadcast of this.#groups.get(groupOf(watch.range)) ?? []) {
      if (broadcast.fits(watch)) return broadcast;
    }
    return undefined;
  }

  /** A watch may share that of another user if the members let its own read the keys; they check new watches themselves. */
  async #joinIfPermitted(watch: Receiver): Promise<void> {
    const range = this.#outward(watch.range);
    const key = range.key.length === 0 ? Uint8Array.of(0) : range.key;
    const request = rpc.RangeRequest.fromPartial({ ...range, key, serializable: true, countOnly: true, limit: 1n });
    let isPermitted = true;
    try {
      await this.#upstream.unary("/etcdserverpb.KV/Range", messageBytes(rpc.RangeRequest, request), watch.caller);
    } catch {
      // A watch of its own is refused with the member's words.
      isPermitted = false;
    }
    if (watch.isGone) return;
    const fitting = isPermitted ? this.#fitting(watch) : undefined;
    if (fitting === undefined) this.#start(watch);
    else this.#join(watch, fitting);
  }

  #join(watch: Receiver, broadcast: Broadcast): void {
    this.#broadcastOf.set(watch, broadcast);
    broadcast.join(watch);
  }

  #start(watch: Receiver): void {
    const key = callerKey(watch.caller);
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      stream = new WatchUpstream(this.#upstream, this.#clock, watch.caller);
      this.#streams.set(key, stream);
    }
    const group = groupOf(watch.range);
    const broadcast = new Broadcast(stream, this.#listener, { range: this.#outward(watch.range), group, first: watch });
    this.#broadcastOf.set(watch, broadcast);
    const broadcasts = this.#groups.get(group);
    if (broadcasts === undefined) this.#groups.set(group, new Set([broadcast]));
    else broadcasts.add(broadcast);
  }

  #outward(range: KeyRange): KeyRange {
    return this.#namespace === undefined ? range : this.#namespace.watchRange(range);
  }

  #coalesce(broadcast: Broadcast): void {
    if (broadcast.receivers.size >= popularReceivers || broadcast.receivers.size === 0) return;
    for (const other of this.#groups.get(broadcast.group) ?? []) {
      if (!other.mayTakeOver(broadcast)) continue;
      for (const receiver of broadcast.receivers) {
        other.receivers.add(receiver);
        this.#broadcastOf.set(receiver, other);
      }
      broadcast.receivers.clear();
      this.#stop(broadcast);
      return;
    }
  }

  #stop(broadcast: Broadcast): void {
    this.#forget(broadcast);
    broadcast.stop();
    this.#forgetStreams();
  }

  #ended(broadcast: Broadcast, orphans: readonly Receiver[]): void {
    for (const receiver of broadcast.receivers) this.#broadcastOf.delete(receiver);
    this.#forget(broadcast);
    this.#forgetStreams();
    for (const orphan of orphans) {
      this.#broadcastOf.delete(orphan);
      this.#start(orphan);
    }
  }

  #forget(broadcast: Broadcast): void {
    const broadcasts = this.#groups.get(broadcast.group);
    broadcasts?.delete(broadcast);
    if (broadcasts?.size === 0) this.#groups.delete(broadcast.group);
  }

  #forgetStreams(): void {
    for (const [key, stream] of this.#streams) if (stream.size === 0) this.#streams.delete(key);
  }
}

function groupOf({ key, rangeEnd }: KeyRange): string {
  return `${Buffer.from(key).toString("base64")} ${Buffer.from(rangeEnd).toString("base64")}`;
}

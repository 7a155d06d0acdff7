/**
 * One watch at a member whose events go to any number of the proxy's watches of the same range. Each of these knows from
 * which revision on it wants events, so that it can change from one broadcast to another without missing or repeating any.
 *
 * @see etcd server/proxy/grpcproxy/watch_broadcast.go, watcher.go
 */
import { emptyBytes } from "../../base/bytes.ts";
import type { GrpcError } from "../../grpc/status.ts";
import { WatchResponse, type ResponseHeader } from "../../wire/gen/etcdserverpb/rpc.ts";
import { type Event, Event_EventType } from "../../wire/gen/mvccpb/kv.ts";
import type { KeyRange } from "./key-range.ts";
import { callerKey, type Caller } from "./upstream.ts";
import type { MemberWatch, WatchUpstream } from "./watch-upstream.ts";

/** A watch of a client of the proxy, as far as broadcasts know it. */
export interface Receiver {
  /** As the client names it. */
  readonly range: KeyRange;
  /** On whose behalf it was asked for. */
  readonly caller: Caller;
  /** The client has cancelled it, or is gone. */
  readonly isGone: boolean;
  /** Least revision of the next event that it is to get; 0 until it is known where "now" is. */
  nextRevision: bigint;
  readonly wantsProgress: boolean;
  readonly wantsPrevious: boolean;
  readonly dropsPuts: boolean;
  readonly dropsDeletes: boolean;
  /** @param head - all but the id and the events. @param events - encoded, shared with others; empty: none. */
  deliver(head: WatchResponse, events: Uint8Array): void;
  failed(error: GrpcError): void;
}

/** What broadcasts tell of themselves. */
export interface BroadcastListener {
  /** It was given something new; others may take over its receivers. */
  advanced(broadcast: Broadcast): void;
  /**
   * It is over: the member cancelled it, or cannot be asked any more. `orphans` have not been told: what ended it may
   * concern only whoever opened it.
   */
  ended(broadcast: Broadcast, orphans: readonly Receiver[]): void;
  /** Events were given to several receivers at the cost of one. */
  coalesced(count: number): void;
  /** Changes an event of a member into one for clients. */
  inward(event: Event): Event;
}

export class Broadcast implements MemberWatch {
  readonly range: KeyRange;
  /** The broadcasts of one range as clients name it have one group. */
  readonly group: string;
  readonly receivers = new Set<Receiver>();
  /** Whose credentials opened it. */
  readonly user: string;
  readonly #upstream: WatchUpstream;
  readonly #listener: BroadcastListener;
  /** All below has been told; 0 until it is known where "now" is. */
  nextRevision: bigint;
  #header: ResponseHeader | undefined;

  /** @param range - as the members know it. */
  constructor(
    upstream: WatchUpstream,
    listener: BroadcastListener,
    { range, group, first }: { range: KeyRange; group: string; first: Receiver },
  ) {
    this.#upstream = upstream;
    this.#listener = listener;
    this.range = range;
    this.group = group;
    this.user = callerKey(first.caller);
    this.nextRevision = first.nextRevision;
    this.receivers.add(first);
    upstream.add(this);
  }

  get isCreated(): boolean {
    return this.#header !== undefined;
  }

  get upstream(): WatchUpstream {
    return this.#upstream;
  }

  /** Whether a receiver would miss nothing here. One that begins now may join only before it is known where that is. */
  fits({ nextRevision }: Receiver): boolean {
    if (nextRevision === 0n || this.nextRevision === 0n) return nextRevision === this.nextRevision;
    return this.nextRevision <= nextRevision;
  }

  /** Takes a receiver that {@link fits}; it is told at once that it is created, unless the member will say so. */
  join(receiver: Receiver): void {
    this.receivers.add(receiver);
    if (this.#header === undefined) return;
    receiver.deliver({ ...emptyResponse, header: this.#header, created: true }, emptyBytes);
  }

  /** Whether all receivers of `other` can go on here. */
  mayTakeOver(other: Broadcast): boolean {
    return other !== this && this.isCreated && other.isCreated && other.nextRevision >= this.nextRevision;
  }

  leave(receiver: Receiver): void {
    this.receivers.delete(receiver);
  }

  stop(): void {
    this.#upstream.cancel(this);
  }

  response(response: WatchResponse): void {
    const isFirst = this.#header === undefined;
    // Created anew after a loss: the receivers know nothing of it.
    if (response.created && !isFirst && !response.canceled) return;
    const { header } = response;
    const event = response.events.at(-1)?.kv?.modRevision;
    const current = (header?.revision ?? 0n) + 1n;
    // The answer to a creation tells nothing of events between where the watch begins and now.
    if (event !== undefined) this.nextRevision = event + 1n;
    else if (!response.canceled && (!response.created || this.nextRevision === 0n)) {
      if (current > this.nextRevision) this.nextRevision = current;
    }
    this.#header = header ?? emptyHeader;
    if (this.receivers.size > 1) this.#listener.coalesced(this.receivers.size - 1);
    if (!response.canceled) {
      this.#broadcast(response, current);
      this.#listener.advanced(this);
      return;
    }
    const orphans = response.compactRevision === 0n ? this.#takeOrphans() : [];
    this.#broadcast({ ...response, created: response.created && isFirst }, current);
    this.#listener.ended(this, orphans);
  }

  failed(error: GrpcError): void {
    const orphans = this.#takeOrphans();
    for (const receiver of this.receivers) receiver.failed(error);
    this.#listener.ended(this, orphans);
  }

  #takeOrphans(): Receiver[] {
    const orphans = [...this.receivers].filter(({ caller }) => callerKey(caller) !== this.user);
    for (const orphan of orphans) this.receivers.delete(orphan);
    return orphans;
  }

  #broadcast(response: WatchResponse, current: bigint): void {
    const inward = response.events.map((event) => this.#listener.inward(event));
    const last = response.events.at(-1)?.kv?.modRevision;
    const head: WatchResponse = { ...response, events: [] };
    const isProgress = !response.created && !response.canceled && inward.length === 0;
    const encoded = new Map<string, Uint8Array>();
    for (const receiver of this.receivers) {
      if (isProgress && (!receiver.wantsProgress || current < receiver.nextRevision)) continue;
      let events: Uint8Array = emptyBytes;
      if (inward.length > 0) {
        const { nextRevision, wantsPrevious, dropsPuts, dropsDeletes } = receiver;
        const from = inward.findIndex(({ kv }) => (kv?.modRevision ?? 0n) >= nextRevision);
        if (from < 0) continue;
        const key = `${from} ${wantsPrevious} ${dropsPuts} ${dropsDeletes}`;
        events = encoded.get(key) ?? eventsFor(receiver, inward.slice(from));
        encoded.set(key, events);
      }
      if (receiver.nextRevision === 0n) receiver.nextRevision = current;
      if (last !== undefined && last >= receiver.nextRevision) receiver.nextRevision = last + 1n;
      const isEmpty = !isProgress && !response.created && !response.canceled && events.length === 0;
      if (!isEmpty) receiver.deliver(head, events);
    }
  }
}

function eventsFor({ wantsPrevious, dropsPuts, dropsDeletes }: Receiver, events: readonly Event[]): Uint8Array {
  const wanted = events.filter(({ type }) => !(type === Event_EventType.PUT ? dropsPuts : dropsDeletes));
  const shown = wantsPrevious ? wanted : wanted.map((event) => ({ ...event, prevKv: undefined }));
  return shown.length === 0 ? emptyBytes : WatchResponse.encode({ ...emptyResponse, events: shown }).finish();
}

const emptyHeader: ResponseHeader = { clusterId: 0n, memberId: 0n, revision: 0n, raftTerm: 0n };

/** A response that says nothing. */
export const emptyResponse: WatchResponse = {
  header: undefined,
  watchId: 0n,
  created: false,
  canceled: false,
  compactRevision: 0n,
  cancelReason: "",
  fragment: false,
  events: [],
};

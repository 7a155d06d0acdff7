/**
 * One watch stream to a member, shared by all watches of callers that may share it. A stream that is lost is opened again
 * and its watches go on behind what they were given last.
 *
 * Creation is one at a time, as a member's answer to a creation that it refuses carries no id to tell it by.
 */
import type { ClientStream } from "../../grpc/client.ts";
import type { GrpcError } from "../../grpc/status.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import { Code, reasons } from "../../wire/errors.ts";
import {
  WatchCreateRequest,
  WatchRequest,
  WatchResponse,
  type ResponseHeader,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import { grpcErrorOf } from "./forward.ts";
import type { KeyRange } from "./key-range.ts";
import { nobody, type Caller, type Upstream } from "./upstream.ts";

const watchPath = "/etcdserverpb.Watch/Watch";
/** Pause before a lost stream is opened again. */
const reopenMs = 100;
/** The id of answers that concern all watches of a stream. */
export const allWatches = -1n;

/** A watch at a member. */
export interface MemberWatch {
  readonly range: KeyRange;
  /** Where it begins, or goes on after a loss; 0: now. */
  readonly nextRevision: bigint;
  /** Created (each time it is), events, progress; `canceled` is the last. */
  response(response: WatchResponse): void;
  /** The stream cannot be had any more; nothing follows. */
  failed(error: GrpcError): void;
}

export class WatchUpstream {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  readonly #caller: Caller;
  #stream: ClientStream | undefined;
  #isOpening = false;
  #reopening: Timer | undefined;
  /** Waiting for their creation; the first one has been asked for. */
  #pending: MemberWatch[] = [];
  readonly #running = new Map<bigint, MemberWatch>();
  /** Who waits to hear how far all watches are. */
  #progressWaiters: ((header: ResponseHeader | undefined) => void)[] = [];

  constructor(upstream: Upstream, clock: Clock, caller: Caller) {
    this.#upstream = upstream;
    this.#clock = clock;
    // A stream outlives the call that it was first opened for.
    this.#caller = { ...nobody, credentials: caller.credentials, requiresLeader: caller.requiresLeader };
  }

  /** Watches that are asked for or running. */
  get size(): number {
    return this.#pending.length + this.#running.size;
  }

  add(watch: MemberWatch): void {
    this.#pending.push(watch);
    if (this.#stream === undefined) void this.#open();
    else if (this.#pending.length === 1) this.#createNext();
  }

  /** Nothing is told to `watch` any more. */
  cancel(watch: MemberWatch): void {
    if (this.#pending[0] === watch && this.#stream !== undefined) {
      // It has been asked for: its answer must be met.
      this.#pending[0] = ignored;
    } else this.#pending = this.#pending.filter((other) => other !== watch);
    for (const [watchId, other] of this.#running) {
      if (other !== watch) continue;
      this.#running.delete(watchId);
      this.#send({ cancelRequest: { watchId } });
    }
    if (this.#running.size === 0 && this.#pending.every((other) => other === ignored)) this.#close();
  }

  /** Calls back when the member says that all watches have been told everything up to a revision. */
  requestProgress(told: (header: ResponseHeader | undefined) => void): void {
    if (this.#stream === undefined) return;
    this.#progressWaiters.push(told);
    this.#send({ progressRequest: {} });
  }

  #close(): void {
    this.#reopening?.cancel();
    this.#reopening = undefined;
    this.#pending = [];
    this.#progressWaiters = [];
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
  }

  async #open(): Promise<void> {
    if (this.#isOpening || this.#reopening !== undefined) return;
    this.#isOpening = true;
    let stream: ClientStream;
    try {
      stream = await this.#upstream.stream(watchPath, this.#caller);
    } catch (error) {
      this.#isOpening = false;
      this.#lost(error);
      return;
    }
    this.#isOpening = false;
    if (this.size === 0) {
      stream.cancel();
      return;
    }
    this.#stream = stream;
    this.#createNext();
    try {
      for await (const bytes of stream) {
        if (this.#stream !== stream) return;
        this.#dispatch(WatchResponse.decode(bytes));
      }
      if (this.#stream === stream) this.#reopenLater();
    } catch (error) {
      if (this.#stream === stream) this.#lost(error);
    }
  }

  #createNext(): void {
    const [watch] = this.#pending;
    if (watch === undefined) return;
    const createRequest = WatchCreateRequest.create({
      ...watch.range,
      startRevision: watch.nextRevision,
      progressNotify: true,
      prevKv: true,
    });
    this.#send({ createRequest });
  }

  /** A message that cannot be sent is the stream's loss, which the reading side notices. */
  #send(request: Partial<WatchRequest>): void {
    const bytes = WatchRequest.encode({
      createRequest: undefined,
      cancelRequest: undefined,
      progressRequest: undefined,
      ...request,
    }).finish();
    this.#stream?.send(bytes).catch(() => undefined);
  }

  #dispatch(response: WatchResponse): void {
    if (response.created) this.#created(response);
    else if (response.watchId === allWatches) {
      const waiters = this.#progressWaiters;
      this.#progressWaiters = [];
      for (const told of waiters) told(response.header);
    } else {
      const watch = this.#running.get(response.watchId);
      if (response.canceled) this.#running.delete(response.watchId);
      watch?.response(response);
    }
  }

  #created(response: WatchResponse): void {
    const watch = this.#pending.shift();
    if (watch === ignored && !response.canceled) this.#send({ cancelRequest: { watchId: response.watchId } });
    else if (watch !== undefined && !response.canceled) this.#running.set(response.watchId, watch);
    watch?.response(response);
    this.#createNext();
  }

  /** What a new stream can repair is repaired, anything else ends all watches. */
  #lost(cause: unknown): void {
    const error = grpcErrorOf(cause);
    const isNoLeader = error.message === reasons.noLeader.message;
    if ((error.code === Code.Unavailable || error.code === Code.Internal) && !isNoLeader) {
      this.#reopenLater();
      return;
    }
    const watches = [...this.#running.values(), ...this.#pending];
    this.#running.clear();
    this.#close();
    for (const watch of watches) watch.failed(error);
  }

  #reopenLater(): void {
    this.#stream = undefined;
    this.#progressWaiters = [];
    const others = this.#pending.filter((watch) => watch !== ignored);
    this.#pending = [...this.#running.values(), ...others];
    this.#running.clear();
    if (this.#pending.length === 0) return;
    this.#reopening = this.#clock.setTimer(() => {
      this.#reopening = undefined;
      void this.#open();
    }, reopenMs);
  }
}

/** Stands for a watch that was cancelled while its creation was under way. */
const ignored: MemberWatch = {
  range: { key: new Uint8Array(0), rangeEnd: new Uint8Array(0) },
  nextRevision: 0n,
  response: () => undefined,
  failed: () => undefined,
};

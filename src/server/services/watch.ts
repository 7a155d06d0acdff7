/**
 * `etcdserverpb.Watch`: one bidirectional stream carries any number of watches. Events come from the hub encoded and
 * shared; here each response gets its own head and, when asked for, is cut into fragments.
 *
 * @see etcd server/etcdserver/api/v3rpc/watch.go; compat: api.md section 6.
 */
import { copyBytes } from "../../base/bytes.ts";
import type { StreamCall } from "../../grpc/calls.ts";
import type { WatchHub } from "../../mvcc/watch/watch-hub.ts";
import { WatchRefused, type WatchSink, type WatchStream } from "../../mvcc/watch/watch-stream.ts";
import type { Watcher } from "../../mvcc/watch/watcher.ts";
import type { Timer } from "../../platform/clock.ts";
import {
  WatchCreateRequest_FilterType,
  WatchRequest,
  type WatchCreateRequest,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import { EtcdError, statusText } from "../../wire/errors.ts";
import type { WatchResponse } from "../../wire/hot/types.ts";
import { encodeWatchResponseHead } from "../../wire/hot/watch.ts";
import { decodeRequest } from "../../wire/wire-error.ts";
import type { LeaderGuard } from "./leader-guard.ts";
import type { ServiceContext } from "./service-context.ts";
import { MessageGate, type MethodRegistry } from "./token-gate.ts";
import { WatchAnswers } from "./watch-answer.ts";

/** Bytes that may wait for a client before its watches fall back to history. */
const waitingBytesMax = 1024 * 1024;
/** gRPC's share on top of the largest request: a fragment may be as large as both. */
const fragmentOverheadBytes = 512 * 1024;
/** Shortest pause between progress notifications. */
const progressIntervalMinMs = 100;

const noEvents: readonly Uint8Array[] = [];

export class WatchService {
  readonly #context: ServiceContext;
  readonly #hub: WatchHub;
  readonly #guard: LeaderGuard;
  readonly #answers: WatchAnswers;

  constructor(context: ServiceContext, hub: WatchHub, guard: LeaderGuard) {
    this.#context = context;
    this.#hub = hub;
    this.#guard = guard;
    this.#answers = new WatchAnswers(context);
  }

  register(server: MethodRegistry): void {
    server.bidi("/etcdserverpb.Watch/Watch", (call) => {
      if (!this.#context.admit(call, "stream")) return;
      const session = new WatchSession(this.#context, this.#hub, this.#answers, call);
      this.#guard.watch(call);
      const gate = new MessageGate(this.#context.member, this.#context.callers, call);
      call.onMessage((bytes) =>
        gate.pass(bytes, (message) => this.#context.attemptRequest(call, "watch", () => session.request(message))),
      );
      // A client that sends no more goes on receiving, as in etcd: only cancelling ends the stream.
      call.onDrain(() => session.resume());
      call.onClose(() => session.close());
    });
  }
}

/** What a watch of this stream asked for beside its range. */
interface WatchSettings {
  readonly fragment: boolean;
  readonly progressNotify: boolean;
  /** Something was sent since the last progress interval: the next notification is skipped. */
  hasNews: boolean;
}

class WatchSession implements WatchSink {
  readonly #context: ServiceContext;
  readonly #call: StreamCall;
  readonly #stream: WatchStream;
  readonly #settings = new Map<bigint, WatchSettings>();
  readonly #answers: WatchAnswers;
  readonly #fragmentBytesMax: number;
  #progress: Timer | undefined;
  /** Whom events came for last, and what it asked for: most streams have one watch, and need no look-up then. */
  #lastWatcher: Watcher | undefined;
  #lastSettings: WatchSettings | undefined;

  constructor(context: ServiceContext, hub: WatchHub, answers: WatchAnswers, call: StreamCall) {
    this.#context = context;
    this.#answers = answers;
    this.#call = call;
    this.#stream = hub.openStream(this);
    this.#fragmentBytesMax = context.member.config.maxRequestBytes + fragmentOverheadBytes;
  }

  get hasRoom(): boolean {
    return this.#call.bufferedBytes < waitingBytesMax && !this.#call.isCrowded;
  }

  request(bytes: Uint8Array): void {
    const { createRequest, cancelRequest, progressRequest } = decodeRequest(
      (input: Uint8Array) => WatchRequest.decode(input),
      bytes,
    );
    if (createRequest !== undefined) this.#create(createRequest);
    else if (cancelRequest !== undefined) this.#cancel(cancelRequest.watchId);
    else if (progressRequest !== undefined) this.#answerProgress();
  }

  resume(): void {
    this.#stream.resume();
  }

  close(): void {
    this.#progress?.cancel();
    this.#stream.close();
  }

  deliver(watcher: Watcher, revision: number, events: readonly Uint8Array[]): void {
    const settings = watcher === this.#lastWatcher ? this.#lastSettings : this.#recall(watcher);
    if (settings === undefined) return;
    settings.hasNews = true;
    this.#context.member.platform.failpoints?.beforeSendWatchResponse?.hit();
    if (settings.fragment) return this.#sendFragments(watcher.id, revision, events);
    this.#answers.send(this.#call, watcher.id, revision, events);
  }

  #forget(id: bigint): void {
    this.#lastWatcher = undefined;
    this.#settings.delete(id);
  }

  #recall(watcher: Watcher): WatchSettings | undefined {
    this.#lastWatcher = watcher;
    this.#lastSettings = this.#settings.get(watcher.id);
    return this.#lastSettings;
  }

  compacted(watcher: Watcher, compactRevision: number): void {
    this.#forget(watcher.id);
    this.#send({ watchId: watcher.id, canceled: true, compactRevision }, 0);
  }

  #create(request: WatchCreateRequest): void {
    const { filters, startRevision } = request;
    const key = request.key.length === 0 ? new Uint8Array(1) : copyBytes(request.key);
    let watcher: Watcher;
    try {
      if (startRevision >= 0n) this.#requirePermission(key, request.rangeEnd);
      watcher = this.#stream.watch(request.watchId, {
        key,
        rangeEnd: copyBytes(request.rangeEnd),
        startRevision: saturate(startRevision),
        prevKv: request.prevKv,
        noPut: filters.includes(WatchCreateRequest_FilterType.NOPUT),
        noDelete: filters.includes(WatchCreateRequest_FilterType.NODELETE),
      });
    } catch (error) {
      if (!(error instanceof WatchRefused)) throw error;
      const { currentRevision } = this.#context.member.store;
      this.#send({ watchId: -1n, created: true, canceled: true, cancelReason: error.message }, currentRevision);
      return;
    }
    this.#lastWatcher = undefined;
    this.#settings.set(watcher.id, {
      fragment: request.fragment,
      progressNotify: request.progressNotify,
      hasNews: false,
    });
    if (request.progressNotify) this.#startProgress();
    this.#send({ watchId: watcher.id, created: true }, this.#context.member.store.currentRevision);
  }

  /** As etcd, when a watch is made: whoever loses the permission keeps the watches there are. */
  #requirePermission(key: Uint8Array, rangeEnd: Uint8Array): void {
    const { callers, member } = this.#context;
    if (!member.auth.isEnabled) return;
    try {
      member.auth.requireRead(callers.of(this.#call), key, rangeEnd);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      throw new WatchRefused(statusText(error.code, error.message));
    }
  }

  #cancel(id: bigint): void {
    if (!this.#stream.cancel(id)) return;
    this.#forget(id);
    this.#send({ watchId: id, canceled: true }, this.#context.member.store.currentRevision);
  }

  #answerProgress(): void {
    const revision = this.#stream.progress();
    if (revision !== undefined) this.#send({ watchId: -1n }, revision);
  }

  /** One period for the stream, with a random share on top so that streams do not come together. */
  #startProgress(): void {
    if (this.#progress !== undefined) return;
    const { config, platform } = this.#context.member;
    const interval = Math.max(config.watchProgressNotifyIntervalMs, progressIntervalMinMs);
    const jitter = platform.random.float() * (interval / 10);
    this.#progress = platform.clock.setTicker(() => this.#notifyProgress(), interval + jitter);
  }

  #notifyProgress(): void {
    for (const [id, settings] of this.#settings) {
      if (!settings.progressNotify) continue;
      const watcher = this.#stream.watchers.get(id);
      const revision = watcher === undefined || settings.hasNews ? undefined : this.#stream.progress(watcher);
      settings.hasNews = false;
      if (revision !== undefined) this.#send({ watchId: id }, revision);
    }
  }

  #sendFragments(watchId: bigint, revision: number, events: readonly Uint8Array[]): void {
    let start = 0;
    while (start < events.length) {
      let bytes = events[start].length;
      let end = start + 1;
      while (end < events.length && bytes + events[end].length < this.#fragmentBytesMax) bytes += events[end++].length;
      this.#send({ watchId, events: events.slice(start, end), fragment: end < events.length }, revision);
      start = end;
    }
  }

  #send(response: Partial<WatchResponse> & { watchId: bigint }, revision: number): void {
    const { events = noEvents } = response;
    const head = encodeWatchResponseHead(
      {
        watchId: response.watchId,
        created: response.created ?? false,
        canceled: response.canceled ?? false,
        compactRevision: response.compactRevision ?? 0,
        cancelReason: response.cancelReason ?? "",
        fragment: response.fragment ?? false,
        events,
      },
      this.#context.header(revision),
    );
    let size = head.length;
    for (const event of events) size += event.length;
    this.#call.sendParts([head, ...events], size);
  }
}

function saturate(value: bigint): number {
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  if (value > limit) return Number.MAX_SAFE_INTEGER;
  return value < -limit ? -Number.MAX_SAFE_INTEGER : Number(value);
}

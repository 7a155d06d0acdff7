/**
 * `etcdserverpb.Watch` through the proxy: the watches of one client's stream.
 *
 * @see etcd server/proxy/grpcproxy/watch.go
 */
import type { StreamCall } from "../../grpc/calls.ts";
import { GrpcError } from "../../grpc/status.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import { cancelReasons, Code } from "../../wire/errors.ts";
import {
  WatchCreateRequest_FilterType as Filter,
  WatchRequest,
  WatchResponse,
  type ResponseHeader,
  type WatchCreateRequest,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import { emptyResponse, type Receiver } from "./broadcast.ts";
import { failCall } from "./forward.ts";
import { isPossible, type KeyRange } from "./key-range.ts";
import { readMessage } from "./messages.ts";
import { callerOf, type Caller } from "./upstream.ts";
import type { WatchHub } from "./watch-hub.ts";
import { allWatches, type WatchUpstream } from "./watch-upstream.ts";

/** What may wait for a client that takes its events slowly. It is told to come again then, and goes on where it was. */
const waitingBytesMax = 32 << 20;

/** Id of answers to creations that are refused. */
const noWatch = -1n;

export function registerWatch(server: GrpcServer, hub: WatchHub): void {
  server.bidi("/etcdserverpb.Watch/Watch", (call) => {
    const stream = new WatchStream(call, hub);
    call.onMessage((bytes) => stream.receive(bytes));
    call.onClose(() => stream.close());
  });
}

class WatchStream {
  readonly #call: StreamCall;
  readonly #hub: WatchHub;
  readonly #caller: Caller;
  readonly #watches = new Map<bigint, ClientWatch>();
  #nextId = 0n;

  constructor(call: StreamCall, hub: WatchHub) {
    this.#call = call;
    this.#hub = hub;
    const { credentials, requiresLeader } = callerOf(call);
    this.#caller = { credentials, requiresLeader };
  }

  /** @param bytes - borrowed. */
  receive(bytes: Uint8Array): void {
    let request: WatchRequest;
    try {
      request = readMessage(WatchRequest, bytes.slice());
    } catch (error) {
      failCall(this.#call, error);
      return;
    }
    if (request.createRequest !== undefined) this.#create(request.createRequest);
    else if (request.cancelRequest !== undefined) this.#cancel(request.cancelRequest.watchId);
    else if (request.progressRequest !== undefined) this.#askProgress();
  }

  close(): void {
    for (const watch of this.#watches.values()) {
      watch.isGone = true;
      this.#hub.remove(watch);
    }
    this.#watches.clear();
  }

  #create(request: WatchCreateRequest): void {
    const range: KeyRange = { key: request.key, rangeEnd: request.rangeEnd };
    const problem =
      request.startRevision < 0n
        ? cancelReasons.compacted
        : !isPossible(range)
          ? cancelReasons.emptyRange
          : this.#watches.has(request.watchId) && request.watchId !== 0n
            ? cancelReasons.duplicateWatchId
            : undefined;
    if (problem !== undefined) {
      this.#send({ ...emptyResponse, watchId: noWatch, created: true, canceled: true, cancelReason: problem });
      return;
    }
    const watch = new ClientWatch(this.#idFor(request), request, this.#caller, {
      send: (response, events) => this.#send(response, events),
      over: (ended) => this.#watches.delete(ended.id),
      failed: (error) => failCall(this.#call, error),
    });
    this.#watches.set(watch.id, watch);
    this.#hub.add(watch);
  }

  #idFor({ watchId }: WatchCreateRequest): bigint {
    if (watchId !== 0n) return watchId;
    while (this.#watches.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  #cancel(id: bigint): void {
    const watch = this.#watches.get(id);
    if (watch === undefined) return;
    this.#watches.delete(id);
    watch.isGone = true;
    this.#hub.remove(watch);
    this.#send({ ...emptyResponse, header: watch.lastHeader, watchId: id, canceled: true });
  }

  /** Tells the client how far all its watches are once every stream that serves one of them has said how far it is. */
  #askProgress(): void {
    const streams = new Set<WatchUpstream>();
    for (const watch of this.#watches.values()) {
      const stream = this.#hub.streamOf(watch);
      // One that is not created yet has been told nothing: the client cannot be told of all.
      if (stream === undefined || !watch.isCreated) return;
      streams.add(stream);
    }
    let least: ResponseHeader | undefined;
    let waiting = streams.size;
    for (const stream of streams) {
      stream.requestProgress((header) => {
        if (header !== undefined && (least === undefined || header.revision < least.revision)) least = header;
        waiting--;
        if (waiting === 0) this.#send({ ...emptyResponse, header: least, watchId: allWatches });
      });
    }
  }

  #send(response: WatchResponse, events?: Uint8Array): void {
    const head = WatchResponse.encode(response).finish();
    // Fields of one message may lie apart: the events, encoded once, are put behind what differs between watches.
    if (events === undefined || events.length === 0) this.#call.send(head);
    else this.#call.sendParts([head, events], head.length + events.length);
    if (this.#call.bufferedBytes <= waitingBytesMax) return;
    failCall(this.#call, new GrpcError(Code.Unavailable, "the client takes its events too slowly; watch again"));
  }
}

interface WatchOutput {
  send(response: WatchResponse, events: Uint8Array): void;
  over(watch: ClientWatch): void;
  failed(error: GrpcError): void;
}

class ClientWatch implements Receiver {
  readonly id: bigint;
  readonly range: KeyRange;
  readonly caller: Caller;
  readonly wantsProgress: boolean;
  readonly wantsPrevious: boolean;
  readonly dropsPuts: boolean;
  readonly dropsDeletes: boolean;
  nextRevision: bigint;
  isGone = false;
  isCreated = false;
  lastHeader: ResponseHeader | undefined;
  readonly #output: WatchOutput;

  constructor(id: bigint, request: WatchCreateRequest, caller: Caller, output: WatchOutput) {
    this.id = id;
    this.range = { key: request.key, rangeEnd: request.rangeEnd };
    this.caller = caller;
    this.wantsProgress = request.progressNotify;
    this.wantsPrevious = request.prevKv;
    this.dropsPuts = request.filters.includes(Filter.NOPUT);
    this.dropsDeletes = request.filters.includes(Filter.NODELETE);
    this.nextRevision = request.startRevision;
    this.#output = output;
  }

  deliver(head: WatchResponse, events: Uint8Array): void {
    if (this.isGone) return;
    // It may be created again, as part of another broadcast: the client knows of it already.
    if (head.created && this.isCreated && !head.canceled) return;
    const created = head.created && !this.isCreated;
    this.isCreated = true;
    if (head.header !== undefined) this.lastHeader = head.header;
    const isRefused = created && head.canceled;
    if (head.canceled) {
      this.isGone = true;
      this.#output.over(this);
    }
    this.#output.send({ ...head, created, watchId: isRefused ? noWatch : this.id }, events);
  }

  failed(error: GrpcError): void {
    if (!this.isGone) this.#output.failed(error);
  }
}

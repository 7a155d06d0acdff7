/**
 * `Lease/LeaseKeepAlive` through the proxy: renewals of all clients of a caller go over one stream to a member, and those
 * of one lease that come while one is under way are answered with it.
 *
 * @see etcd server/proxy/grpcproxy/lease.go
 */
import type { StreamCall } from "../../grpc/calls.ts";
import type { ClientStream } from "../../grpc/client.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import { GrpcError } from "../../grpc/status.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import { Code, reasons } from "../../wire/errors.ts";
import { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../../wire/gen/etcdserverpb/rpc.ts";
import { failCall, grpcErrorOf } from "./forward.ts";
import { messageBytes, readMessage } from "./messages.ts";
import { callerKey, callerOf, nobody, type Caller, type Upstream } from "./upstream.ts";

const path = "/etcdserverpb.Lease/LeaseKeepAlive";
/** Pause before a lost stream is opened again. */
const reopenMs = 100;
/** How long renewals wait for a member before their clients are told to look elsewhere. */
const giveUpMs = 5000;
/** Renewals that may wait for answers on one stream. */
const waitingMax = 100_000;

export function registerKeepAlive(server: GrpcServer, upstream: Upstream, clock: Clock): void {
  const streams = new Map<string, KeepAliveStream>();
  server.bidi(path, (call) => {
    const caller = callerOf(call);
    const key = callerKey(caller);
    let stream = streams.get(key);
    if (stream === undefined) {
      stream = new KeepAliveStream(upstream, clock, caller);
      streams.set(key, stream);
    }
    const shared = stream;
    shared.clients++;
    call.onMessage((bytes) => {
      try {
        shared.renew(readMessage(LeaseKeepAliveRequest, bytes).ID, call);
      } catch (error) {
        failCall(call, error);
      }
    });
    call.onHalfClose(() => shared.finish(call));
    call.onClose(() => {
      shared.clients--;
      if (shared.clients > 0) return;
      streams.delete(key);
      shared.close();
    });
  });
}

class KeepAliveStream {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  readonly #caller: Caller;
  /** Lease → whose streams wait for its answer, as often as they asked. */
  readonly #waiting = new Map<bigint, StreamCall[]>();
  /** Clients that will ask nothing more. */
  readonly #finishing = new Set<StreamCall>();
  #waitingCount = 0;
  #stream: ClientStream | undefined;
  #isOpening = false;
  #reopening: Timer | undefined;
  #lostSince: number | undefined;
  #isClosed = false;
  /** Open streams of clients. */
  clients = 0;

  constructor(upstream: Upstream, clock: Clock, { credentials, requiresLeader }: Caller) {
    this.#upstream = upstream;
    this.#clock = clock;
    this.#caller = { ...nobody, credentials, requiresLeader };
  }

  renew(leaseId: bigint, call: StreamCall): void {
    if (this.#waitingCount >= waitingMax) {
      call.fail(Code.ResourceExhausted, "too many renewals wait for a member");
      return;
    }
    this.#waitingCount++;
    const waiting = this.#waiting.get(leaseId);
    if (waiting !== undefined) {
      waiting.push(call);
      return;
    }
    this.#waiting.set(leaseId, [call]);
    if (this.#stream === undefined) void this.#open();
    else this.#ask(leaseId);
  }

  /** The client ends its side: its stream ends once it has all answers. */
  finish(call: StreamCall): void {
    this.#finishing.add(call);
    this.#endFinished();
  }

  close(): void {
    this.#isClosed = true;
    this.#reopening?.cancel();
    this.#stream?.cancel();
  }

  async #open(): Promise<void> {
    if (this.#isOpening || this.#reopening !== undefined) return;
    this.#isOpening = true;
    try {
      const stream = await this.#upstream.stream(path, this.#caller);
      this.#isOpening = false;
      if (this.#isClosed) {
        stream.cancel();
        return;
      }
      this.#stream = stream;
      for (const leaseId of this.#waiting.keys()) this.#ask(leaseId);
      for await (const bytes of stream) this.#answered(bytes);
      this.#lost(new GrpcError(Code.Unavailable, "the member has ended the stream"));
    } catch (error) {
      this.#isOpening = false;
      this.#lost(error);
    }
  }

  /** A message that cannot be sent is the stream's loss, which the reading side notices. */
  #ask(ID: bigint): void {
    this.#stream?.send(messageBytes(LeaseKeepAliveRequest, { ID })).catch(() => undefined);
  }

  #answered(bytes: Uint8Array): void {
    this.#lostSince = undefined;
    const { ID } = LeaseKeepAliveResponse.decode(bytes);
    const waiting = this.#waiting.get(ID) ?? [];
    this.#waiting.delete(ID);
    this.#waitingCount -= waiting.length;
    for (const call of waiting) if (!call.cancelled) call.send(bytes);
    this.#endFinished();
  }

  #endFinished(): void {
    for (const call of this.#finishing) {
      const isWaiting = [...this.#waiting.values()].some((calls) => calls.includes(call));
      if (isWaiting && !call.cancelled) continue;
      this.#finishing.delete(call);
      call.end();
    }
  }

  #lost(cause: unknown): void {
    const error = grpcErrorOf(cause);
    this.#stream = undefined;
    if (this.#isClosed) return;
    const now = this.#clock.monotonic();
    this.#lostSince ??= now;
    const isPassing = error.code === Code.Unavailable && error.message !== reasons.noLeader.message;
    if (isPassing && now - this.#lostSince < giveUpMs) {
      this.#reopening = this.#clock.setTimer(() => {
        this.#reopening = undefined;
        if (this.#waiting.size > 0) void this.#open();
      }, reopenMs);
      return;
    }
    const waiting = new Set([...this.#waiting.values()].flat());
    this.#waiting.clear();
    this.#waitingCount = 0;
    this.#lostSince = undefined;
    for (const call of waiting) failCall(call, error);
  }
}

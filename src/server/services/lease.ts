/** `etcdserverpb.Lease`. Keep-alives do not go through the log: the primary renews them in memory. */
import { requireLeaseRead, requireLeaseWrite } from "../../auth/request-permissions.ts";
import type { StreamCall, UnaryCall } from "../../grpc/calls.ts";
import { EtcdError } from "../../wire/errors.ts";
import {
  LeaseGrantRequest,
  LeaseGrantResponse,
  LeaseLeasesRequest,
  LeaseLeasesResponse,
  LeaseRevokeRequest,
  LeaseRevokeResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import {
  decodeLeaseKeepAliveRequest,
  sizeOfLeaseKeepAliveResponse,
  writeLeaseKeepAliveResponse,
} from "../../wire/hot/lease-keep-alive.ts";
import { decodeRequest } from "../../wire/wire-error.ts";
import { LEASE_GRANT_COST_BYTES } from "../quota.ts";
import type { LeaderGuard } from "./leader-guard.ts";
import type { ServiceContext } from "./service-context.ts";
import { MessageGate, type MethodRegistry } from "./token-gate.ts";

const positive63 = (1n << 63n) - 1n;
/** Renewals of one stream that wait for an answer; more would only be a client that does not read. */
const waitingRenewalsMax = 10_000;

export class LeaseService {
  readonly #context: ServiceContext;
  readonly #guard: LeaderGuard;

  constructor(context: ServiceContext, guard: LeaderGuard) {
    this.#context = context;
    this.#guard = guard;
  }

  register(server: MethodRegistry): void {
    const { unary } = bound(this.#context);
    server.unary(
      "/etcdserverpb.Lease/LeaseGrant",
      unary(LeaseGrantRequest, LeaseGrantResponse, (request, reply, call) => this.#grant(request, reply, call)),
    );
    server.unary(
      "/etcdserverpb.Lease/LeaseRevoke",
      unary(LeaseRevokeRequest, LeaseRevokeResponse, (request, reply, call) => this.#revoke(request, reply, call)),
    );
    server.unary(
      "/etcdserverpb.Lease/LeaseTimeToLive",
      unary(LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, async (request, reply, call) => {
        reply(await this.#timeToLivePermitted(request, call));
      }),
    );
    server.unary(
      "/etcdserverpb.Lease/LeaseLeases",
      unary(LeaseLeasesRequest, LeaseLeasesResponse, (_request, reply, call) => reply(this.#leases(call))),
    );
    server.bidi("/etcdserverpb.Lease/LeaseKeepAlive", (call) => this.#keepAlive(call));
  }

  #grant(request: LeaseGrantRequest, reply: (answer: LeaseGrantResponse) => void, call: UnaryCall): void {
    const { member } = this.#context;
    if (!member.quota.isAvailable(LEASE_GRANT_COST_BYTES)) {
      member.raiseNoSpaceAlarm();
      throw new EtcdError("noSpace");
    }
    // The id is chosen before the log, so that every member grants the same one.
    while (request.ID === 0n) request.ID = member.nextRequestId() & positive63;
    member.propose(
      "leaseGrant",
      LeaseGrantRequest.encode(request).finish(),
      this.#context.settle(call, "leaseGrant", ({ leaseId, ttlSeconds, revision }) =>
        reply({ header: this.#context.coldHeader(revision), ID: leaseId, TTL: BigInt(ttlSeconds), error: "" }),
      ),
      this.#context.callers.of(call),
    );
  }

  #revoke(request: LeaseRevokeRequest, reply: (answer: LeaseRevokeResponse) => void, call: UnaryCall): void {
    this.#context.member.propose(
      "leaseRevoke",
      LeaseRevokeRequest.encode(request).finish(),
      this.#context.settle(call, "leaseRevoke", ({ revision }) =>
        reply({ header: this.#context.coldHeader(revision) }),
      ),
      this.#context.callers.of(call),
    );
  }

  /** Times may be asked by anybody known, keys by who may read them all, also when the answer has come. */
  async #timeToLivePermitted(request: LeaseTimeToLiveRequest, call: UnaryCall): Promise<LeaseTimeToLiveResponse> {
    const { callers, leases, member } = this.#context;
    const { auth } = member;
    if (!auth.isEnabled || !request.keys) return this.#timeToLive(request);
    const { revision } = auth;
    requireLeaseRead(auth, leases, callers.of(call), request.ID);
    const answer = await this.#timeToLive(request);
    if (auth.isEnabled && revision !== auth.revision) throw new EtcdError("authOldRevision");
    return answer;
  }

  /** A lease that is not there is an answer as well. */
  async #timeToLive({ ID, keys }: LeaseTimeToLiveRequest): Promise<LeaseTimeToLiveResponse> {
    try {
      const left = await this.#context.member.leaseTimeToLive(ID, keys);
      return {
        header: this.#context.coldHeader(),
        ID,
        TTL: BigInt(left.ttlSeconds),
        grantedTTL: BigInt(left.grantedTtlSeconds),
        keys: [...left.keys],
      };
    } catch (error) {
      if (!(error instanceof EtcdError) || error.reason !== "leaseNotFound") throw error;
      return { header: this.#context.coldHeader(), ID, TTL: -1n, grantedTTL: 0n, keys: [] };
    }
  }

  /** Whoever may read the keys of all leases may know of all leases. */
  #leases(call: UnaryCall): LeaseLeasesResponse {
    const { auth, lessor, platform } = this.#context.member;
    if (auth.isEnabled) {
      const caller = this.#context.callers.of(call);
      for (const id of lessor.leaseIds()) requireLeaseRead(auth, this.#context.leases, caller, id);
    }
    const now = platform.clock.monotonic();
    const left = (id: bigint): number => lessor.remainingSeconds(id, now) ?? 0;
    const ids = lessor.leaseIds().sort((a, b) => left(a) - left(b) || (a < b ? -1 : 1));
    return { header: this.#context.coldHeader(), leases: ids.map((ID) => ({ ID })) };
  }

  #keepAlive(call: StreamCall): void {
    if (!this.#context.admit(call, "stream")) return;
    this.#guard.watch(call);
    const renewals = new Renewals(this.#context, call);
    const gate = new MessageGate(this.#context.member, this.#context.callers, call);
    call.onMessage((bytes) =>
      gate.pass(bytes, (message) =>
        this.#context.attemptRequest(call, "lease-keepalive", () => renewals.request(message)),
      ),
    );
    call.onHalfClose(() => gate.after(() => renewals.finish()));
    call.onClose(() => renewals.close());
  }
}

/** Answers the renewals of one stream in the order in which they came. */
class Renewals {
  readonly #context: ServiceContext;
  readonly #call: StreamCall;
  readonly #waiting: bigint[] = [];
  #isBusy = false;
  #isFinished = false;
  #isClosed = false;

  constructor(context: ServiceContext, call: StreamCall) {
    this.#context = context;
    this.#call = call;
  }

  request(bytes: Uint8Array): void {
    const id = decodeRequest(decodeLeaseKeepAliveRequest, bytes);
    if (this.#waiting.length >= waitingRenewalsMax) throw new EtcdError("tooManyRequests");
    this.#waiting.push(id);
    this.#next();
  }

  /** The client sends no more: end after the last answer. */
  finish(): void {
    this.#isFinished = true;
    this.#next();
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
  }

  #next(): void {
    while (!this.#isBusy && !this.#isClosed) {
      const id = this.#waiting.shift();
      if (id === undefined) {
        if (this.#isFinished) this.#call.end();
        return;
      }
      this.#renew(id);
    }
  }

  #renew(id: bigint): void {
    this.#context.attemptRequest(this.#call, "lease-keepalive", () => {
      this.#requirePermission(id);
      this.#renewPermitted(id);
    });
  }

  /** Whoever may write all keys of a lease may keep it alive. */
  #requirePermission(id: bigint): void {
    const { callers, leases, member } = this.#context;
    if (!member.auth.isEnabled) return;
    callers.require(this.#call);
    requireLeaseWrite(member.auth, leases, callers.of(this.#call), id);
  }

  #renewPermitted(id: bigint): void {
    // As in etcd the header is made before the renewal.
    const header = this.#context.header(this.#context.member.store.currentRevision);
    const ttlAtOnce = this.#context.member.renewLeaseAtOnce(id);
    if (ttlAtOnce !== undefined) return this.#answer(id, ttlAtOnce, header);
    this.#isBusy = true;
    let isAtOnce = true;
    this.#context.member.renewLease(id, (error, ttlSeconds) => {
      this.#isBusy = false;
      if (this.#isClosed) return;
      if (error !== undefined && error.reason !== "leaseNotFound") return this.#context.fail(this.#call, error);
      this.#answer(id, error === undefined ? ttlSeconds : 0, header);
      if (!isAtOnce) this.#next();
    });
    isAtOnce = false;
  }

  #answer(id: bigint, ttlSeconds: number, header: Uint8Array): void {
    const answer = new Uint8Array(sizeOfLeaseKeepAliveResponse(id, ttlSeconds, header));
    writeLeaseKeepAliveResponse(id, ttlSeconds, header, answer, 0);
    this.#call.send(answer);
  }
}

function bound(context: ServiceContext): Pick<ServiceContext, "unary"> {
  return { unary: context.unary.bind(context) };
}

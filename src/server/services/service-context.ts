/**
 * What every service shares: the member, response headers, the checks that every call passes first, and how errors
 * become statuses.
 */
import type { Caller } from "../../auth/caller.ts";
import { type LeasedKeys, requireTxn } from "../../auth/request-permissions.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import { DiskError } from "../../platform/disk.ts";
import { Code, EtcdError } from "../../wire/errors.ts";
import type { ResponseHeader } from "../../wire/gen/etcdserverpb/rpc.ts";
import { HeaderEncoder } from "../../wire/hot/response-header.ts";
import type { TxnRequest } from "../../wire/hot/types.ts";
import { decodeRequest } from "../../wire/wire-error.ts";
import { assert } from "../../base/assert.ts";
import type { ApplyResult } from "../apply/result.ts";
import type { Member, ProposalCallback } from "../member.ts";
import { Callers } from "./callers.ts";
import { permissionFor } from "./method-permissions.ts";
import { ServiceMetrics } from "./service-metrics.ts";

/** Codec of one message, as generated. */
export interface MessageCodec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** The result whose `kind` may be `Kind`. */
type ResultOf<Kind, Result = ApplyResult> = Result extends { readonly kind: infer K }
  ? Kind extends K
    ? Result
    : never
  : never;

type AnyCall = Pick<UnaryCall, "fail" | "metadata" | "path" | "tls">;

/** What a learner serves. Of ranges only serializable ones: see KvService. */
const learnerMethods = new Set([
  "/etcdserverpb.Maintenance/Status",
  "/etcdserverpb.Maintenance/Snapshot",
  "/etcdserverpb.KV/Range",
]);

export class ServiceContext {
  readonly member: Member;
  /** Calls by kind and client API version, for `etcd_server_client_requests_total`: `unary 3.6` → count. */
  readonly clientRequests = new Map<string, number>();
  readonly metrics = new ServiceMetrics();
  readonly callers: Callers;
  /** For the permissions of who touches a lease. */
  readonly leases: LeasedKeys;
  readonly #headers: HeaderEncoder;
  /** Version of the last call, which is nearly always that of the next, and its keys in `clientRequests`. */
  #version = "";
  #versionKeys = { unary: "unary ", stream: "stream " };

  constructor(member: Member) {
    this.member = member;
    this.callers = new Callers(member);
    this.leases = { keysOf: (leaseId) => member.lessor.attachedKeys(leaseId) };
    this.#headers = new HeaderEncoder({ clusterId: member.clusterId, memberId: member.memberId });
  }

  /** The encoded header field of an answer; shared, not to be changed. */
  header(revision: number): Uint8Array {
    return this.#headers.encode(revision, this.member.raft.term);
  }

  /** The header of a message that generated code encodes; revision as etcd fills it in, the store's unless given. */
  coldHeader(revision: number = this.member.store.currentRevision): ResponseHeader {
    const { clusterId, memberId, raft } = this.member;
    return { clusterId, memberId, revision: BigInt(revision), raftTerm: BigInt(raft.term) };
  }

  /** Whether the call may go on; it has failed otherwise. */
  admit(call: AnyCall, kind: "unary" | "stream"): boolean {
    this.member.platform.failpoints?.afterIsMemberExist?.hit();
    if (this.member.raft.isLearner && !learnerMethods.has(call.path)) {
      this.fail(call, new EtcdError("notSupportedForLearner"));
      return false;
    }
    const version = call.metadata("client-api-version") ?? "unknown";
    if (version !== this.#version) {
      if (!isUtf8(version)) {
        this.fail(call, new EtcdError("invalidClientApiVersion"));
        return false;
      }
      this.#version = version;
      this.#versionKeys = { unary: `unary ${version}`, stream: `stream ${version}` };
    }
    const key = this.#versionKeys[kind];
    this.clientRequests.set(key, (this.clientRequests.get(key) ?? 0) + 1);
    if (call.metadata("hasleader") === "true" && this.member.raft.leaderId === 0n) {
      this.fail(call, new EtcdError("noLeader"));
      return false;
    }
    return !this.member.auth.isEnabled || this.#isPermitted(call);
  }

  #isPermitted(call: AnyCall): boolean {
    try {
      const permission = permissionFor(call.path);
      if (permission === "admin") this.callers.requireAdmin(call);
      else if (permission === "caller") this.callers.require(call);
      return true;
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      this.fail(call, error);
      return false;
    }
  }

  /** For a read that is served past the log. @throws {EtcdError} */
  requireRead(caller: Caller, key: Uint8Array, rangeEnd: Uint8Array): void {
    if (!this.member.auth.isEnabled) return;
    this.member.auth.requireRead(caller, key, rangeEnd);
    this.requireCurrent(caller);
  }

  /**
   * What is served past the log is served at the caller's auth revision exactly: a signed token may name a later one, of
   * changes that this member has not seen. @throws {EtcdError} `authOldRevision`.
   */
  requireCurrent({ revision }: Caller): void {
    if (revision !== 0 && revision !== this.member.auth.revision) throw new EtcdError("authOldRevision");
  }

  /** Everything a transaction asks for. @throws {EtcdError} */
  requireTxn(caller: Caller, request: TxnRequest): void {
    const { auth } = this.member;
    if (auth.isEnabled) requireTxn(auth, this.leases, caller, request);
  }

  fail(call: AnyCall, error: EtcdError): void {
    call.fail(error.code, error.message);
  }

  /** Runs a step of a call; an operational error becomes the call's status, anything else is a bug and goes up. */
  attempt(call: AnyCall, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      this.fail(call, error);
    }
  }

  /** As {@link attempt} for a request of a stream; counts those that fail. */
  attemptRequest(call: AnyCall, api: "watch" | "lease-keepalive", step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      this.metrics.streamFailed(api);
      this.fail(call, error);
    }
  }

  /**
   * As {@link attempt} for a step that takes time. What the disk refuses to such a step (a copy for which there is no
   * room) harms nobody else, so the client is told; a failing log or commit is fatal where it happens.
   */
  attemptLater(call: AnyCall, step: () => Promise<void>): void {
    step().catch((error: unknown) => {
      if (error instanceof EtcdError) this.fail(call, error);
      else if (error instanceof DiskError) call.fail(Code.Unknown, error.message);
      else this.#raise(error);
    });
  }

  /** A handler of a unary method off the hot path: decodes, runs, and encodes what `reply` is given. */
  unary<Request, Response>(
    request: MessageCodec<Request>,
    response: MessageCodec<Response>,
    handle: (request: Request, reply: (answer: Response) => void, call: UnaryCall) => void | Promise<void>,
  ): (call: UnaryCall, bytes: Uint8Array) => void {
    return (call, bytes) => {
      if (!this.admit(call, "unary")) return;
      this.attempt(call, () => {
        const decoded = decodeRequest((input: Uint8Array) => request.decode(input), bytes);
        const pending = handle(decoded, (answer) => call.respond(response.encode(answer).finish()), call);
        if (pending !== undefined) this.attemptLater(call, () => pending);
      });
    };
  }

  /** A callback for `propose`: fails the call on error, else hands on the result, which is of the proposal's kind. */
  settle<Kind extends ApplyResult["kind"]>(
    call: AnyCall,
    kind: Kind,
    then: (result: ResultOf<Kind>) => void,
  ): ProposalCallback {
    return (error, result) => {
      if (error !== undefined) return this.fail(call, error);
      assert(result?.kind === kind, "result of another kind of proposal");
      then(result as ResultOf<Kind>);
    };
  }

  /** A bug found in a promise: make it surface as an uncaught error, not as an unhandled rejection of somebody else. */
  #raise(error: unknown): void {
    this.member.platform.clock.nextTurn(() => {
      throw error;
    });
  }
}

/** Metadata comes as one character a byte. */
function isUtf8(text: string): boolean {
  if (/^[\x20-\x7e]*$/.test(text)) return true;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(text, "latin1"));
    return true;
  } catch {
    return false;
  }
}

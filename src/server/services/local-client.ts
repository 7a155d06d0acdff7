/**
 * Key-value requests of the member to itself, with promises: what the Lock and Election services are made of. Everything
 * goes through the same doors as a client's request. Errors keep etcd's text and lose their code: those services answer
 * `Unknown`, because in etcd the inner client's error is not mapped.
 */
import { copyBytes, emptyBytes } from "../../base/bytes.ts";
import type { UnaryCall, StreamCall } from "../../grpc/calls.ts";
import type { WatchHub } from "../../mvcc/watch/watch-hub.ts";
import type { WatchSink } from "../../mvcc/watch/watch-stream.ts";
import { EtcdError } from "../../wire/errors.ts";
import { LeaseGrantRequest } from "../../wire/gen/etcdserverpb/rpc.ts";
import { decodeKeyValue } from "../../wire/hot/key-value.ts";
import { encodeDeleteRangeRequest } from "../../wire/hot/kv-requests.ts";
import { encodeTxnRequest } from "../../wire/hot/txn-request.ts";
import {
  CompareResult,
  CompareTarget,
  SortOrder,
  SortTarget,
  type Compare,
  type KeyValue,
  type RangeRequest,
  type RequestOp,
  type ResponseOp,
} from "../../wire/hot/types.ts";
import type { ApplyResult, DeleteRangeResult, LeaseGrantResult, TxnResult } from "../apply/result.ts";
import type { Member, ProposalCallback } from "../member.ts";
import type { IdentifiedCall } from "./callers.ts";
import type { ServiceContext } from "./service-context.ts";

const positive63 = (1n << 63n) - 1n;

/** The caller of a recipe; ends its waiting when it goes away. */
export type RecipeCall = Pick<UnaryCall | StreamCall, "cancelled"> & { onOver(callback: () => void): void };

/** The caller went away while a recipe waited. */
export class CallerGone extends Error {
  override readonly name = "CallerGone";
}

export interface TxnOutcome {
  readonly revision: number;
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

export class LocalClient {
  readonly #context: ServiceContext;
  readonly #member: Member;
  readonly #hub: WatchHub;
  readonly #call: IdentifiedCall;

  /** @param call - in whose name everything is asked: its token is looked at with every request. */
  constructor(context: ServiceContext, hub: WatchHub, call: IdentifiedCall) {
    this.#context = context;
    this.#member = context.member;
    this.#hub = hub;
    this.#call = call;
  }

  async txn(compare: Compare[], success: RequestOp[], failure: RequestOp[] = []): Promise<TxnOutcome> {
    const request = { compare, success, failure };
    this.#context.requireTxn(this.#context.callers.of(this.#call), request);
    const { revision, response } = await this.#propose<TxnResult>("txn", encodeTxnRequest(request));
    return { revision, ...response };
  }

  async delete(key: Uint8Array): Promise<{ revision: number }> {
    const request = { key, rangeEnd: emptyBytes, prevKv: false };
    const { revision } = await this.#propose<DeleteRangeResult>("deleteRange", encodeDeleteRangeRequest(request));
    return { revision };
  }

  async grant(ttlSeconds: number): Promise<bigint> {
    this.#context.callers.require(this.#call);
    const ID = this.#member.nextRequestId() & positive63;
    const request = LeaseGrantRequest.encode({ ID, TTL: BigInt(ttlSeconds) }).finish();
    const { leaseId } = await this.#propose<LeaseGrantResult>("leaseGrant", request);
    return leaseId;
  }

  /** A linearizable read; owned pairs and the store's revision. */
  async range(request: RangeRequest): Promise<{ kvs: KeyValue[]; revision: number }> {
    await new Promise<void>((resolve, reject) => {
      this.#member.readIndex((error) => (error === undefined ? resolve() : reject(error)));
    });
    this.#member.auth.requireRead(this.#context.callers.of(this.#call), request.key, request.rangeEnd);
    const { response, revision } = this.#member.store.range(request);
    return { kvs: response.kvs.map((kv) => decodeKeyValue(copyBytes(kv))), revision };
  }

  /**
   * Resolves when something happens in the range at `startRevision` or later.
   *
   * @throws {CallerGone} when the caller goes away first. @throws {EtcdError} when it may not read the range.
   */
  waitForChange(
    range: { key: Uint8Array; rangeEnd: Uint8Array },
    startRevision: number,
    call: RecipeCall,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (call.cancelled) return reject(new CallerGone());
      this.#member.auth.requireRead(this.#context.callers.of(this.#call), range.key, range.rangeEnd);
      const sink: WatchSink = {
        hasRoom: true,
        deliver: () => settle(resolve),
        // What was waited for lies in compacted history: it has happened.
        compacted: () => settle(resolve),
      };
      const stream = this.#hub.openStream(sink);
      const settle = (action: () => void): void => {
        stream.close();
        action();
      };
      call.onOver(() => settle(() => reject(new CallerGone())));
      stream.watch(0n, { ...range, startRevision, prevKv: false, noPut: false, noDelete: false });
    });
  }

  #propose<Result extends ApplyResult>(kind: Parameters<Member["propose"]>[0], request: Uint8Array): Promise<Result> {
    return new Promise((resolve, reject) => {
      const answer: ProposalCallback = (error, result) => {
        if (error === undefined) resolve(ownedPairs(result as Result));
        else reject(error);
      };
      this.#member.propose(kind, request, answer, this.#context.callers.of(this.#call));
    });
  }
}

/** The store's bytes may be used before the loop turns; a promise resolves within the same turn, but its reader may wait. */
function ownedPairs<Result extends ApplyResult>(result: Result): Result {
  if (result.kind !== "txn") return result;
  const responses = result.response.responses.map((op) =>
    op.kind === "range" ? { ...op, range: { ...op.range, kvs: op.range.kvs.map(copyBytes) } } : op,
  );
  return { ...result, response: { ...result.response, responses } };
}

export function createRevisionIs(key: Uint8Array, createRevision: number): Compare {
  return {
    result: CompareResult.Equal,
    target: CompareTarget.Create,
    key,
    rangeEnd: emptyBytes,
    operand: 5,
    version: 0,
    createRevision,
    modRevision: 0,
    value: emptyBytes,
    lease: 0n,
  };
}

export function rangeOf(key: Uint8Array, changes: Partial<RangeRequest> = {}): RangeRequest {
  return {
    key,
    rangeEnd: emptyBytes,
    limit: 0,
    revision: 0,
    sortOrder: SortOrder.None,
    sortTarget: SortTarget.Key,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
    ...changes,
  };
}

export function get(range: RangeRequest): RequestOp {
  return { kind: "range", range };
}

export function put(key: Uint8Array, value: Uint8Array, lease: bigint): RequestOp {
  return { kind: "put", put: { key, value, lease, prevKv: false, ignoreValue: false, ignoreLease: false } };
}

/** Pairs of a range answer inside a transaction. */
export function pairsOf(op: ResponseOp | undefined): KeyValue[] {
  return op?.kind === "range" ? op.range.kvs.map(decodeKeyValue) : [];
}

/** Why a recipe failed, as these services report it. */
export function recipeMessage(error: unknown): string | undefined {
  return error instanceof EtcdError ? error.message : undefined;
}

/** `etcdserverpb.KV`: the hot path. Requests are views of the socket's bytes; what goes on later is copied first. */
import { copyBytes } from "../../base/bytes.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import type { Answer } from "../../mvcc/txn.ts";
import { EtcdError } from "../../wire/errors.ts";
import { CompactionRequest, CompactionResponse } from "../../wire/gen/etcdserverpb/rpc.ts";
import {
  canonicalDeleteRangeRequest,
  canonicalPutRequest,
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
} from "../../wire/hot/kv-requests.ts";
import {
  sizeOfDeleteRangeResponse,
  sizeOfPutResponse,
  sizeOfRangeResponse,
  writeDeleteRangeResponse,
  writePutResponse,
  writeRangeResponse,
} from "../../wire/hot/kv-responses.ts";
import { canonicalTxnRequest, decodeTxnRequest } from "../../wire/hot/txn-request.ts";
import { sizeOfTxnResponse, writeTxnResponse } from "../../wire/hot/txn-response.ts";
import type { PutRequest, RangeRequest, RangeResponse, TxnRequest, TxnResponse } from "../../wire/hot/types.ts";
import { decodeRequest } from "../../wire/wire-error.ts";
import type { DeleteRangeResult, PutResult, TxnResult } from "../apply/result.ts";
import type { ProposalCallback } from "../member.ts";
import { putCost, txnCost } from "../quota.ts";
import { respondBigRange } from "./big-range.ts";
import type { ServiceContext } from "./service-context.ts";
import type { MethodRegistry } from "./token-gate.ts";
import type { PutSummary } from "./request-text.ts";
import {
  checkDeleteRange,
  checkPut,
  checkRange,
  checkTxn,
  hasRange,
  hasRevisionRange,
  isReadOnly,
  isSerializable,
} from "./txn-check.ts";

/**
 * Answers up to this size are made in one piece, in less than a millisecond; larger ones under flow control
 * (big-range.ts), which looks at every pair twice.
 */
const onePieceBytesMax = 512 * 1024;
/** Transactions up to this size are kept until they are answered, to be shown should they turn out slow. */
const notedTxnBytesMax = 4096;

export class KvService {
  readonly #context: ServiceContext;

  constructor(context: ServiceContext) {
    this.#context = context;
  }

  register(server: MethodRegistry): void {
    const hot = (handle: (call: UnaryCall, bytes: Uint8Array) => void) => (call: UnaryCall, bytes: Uint8Array) => {
      if (this.#context.admit(call, "unary")) this.#context.attempt(call, () => handle(call, bytes));
    };
    server.unary(
      "/etcdserverpb.KV/Range",
      hot((call, bytes) => this.#range(call, bytes)),
    );
    server.unary(
      "/etcdserverpb.KV/Put",
      hot((call, bytes) => this.#put(call, bytes)),
    );
    server.unary(
      "/etcdserverpb.KV/DeleteRange",
      hot((call, bytes) => this.#deleteRange(call, bytes)),
    );
    server.unary(
      "/etcdserverpb.KV/Txn",
      hot((call, bytes) => this.#txn(call, bytes)),
    );
    server.unary(
      "/etcdserverpb.KV/Compact",
      this.#context.unary(CompactionRequest, CompactionResponse, (request, reply, call) =>
        this.#compact(request, reply, call),
      ),
    );
  }

  #range(call: UnaryCall, bytes: Uint8Array): void {
    const request = decodeRequest(decodeRangeRequest, bytes);
    if (!request.serializable && this.#context.member.raft.isLearner) throw new EtcdError("notSupportedForLearner");
    checkRange(request);
    call.request = request;
    if (request.serializable) return this.#answerRange(call, request);
    let isConfirmed = false;
    this.#context.member.readIndex((error) => {
      isConfirmed = true;
      if (error !== undefined) return this.#context.fail(call, error);
      this.#context.attempt(call, () => this.#answerRange(call, request));
    });
    if (isConfirmed) return;
    // The socket's bytes are gone when this returns.
    request.key = copyBytes(request.key);
    request.rangeEnd = copyBytes(request.rangeEnd);
  }

  #answerRange(call: UnaryCall, request: RangeRequest): void {
    if (call.cancelled) return;
    const caller = this.#context.callers.of(call);
    this.#context.requireRead(caller, request.key, request.rangeEnd);
    const answer = this.#rangeWithin(request);
    if (answer === undefined) return respondBigRange(this.#context, call, request, caller);
    const { response, revision } = answer;
    const header = this.#context.header(revision);
    call.response = response.count;
    call.respondWith(sizeOfRangeResponse(response, header), (target, offset) =>
      writeRangeResponse(response, header, target, offset),
    );
  }

  #rangeWithin(request: RangeRequest): Answer<RangeResponse> | undefined {
    const { metrics, member } = this.#context;
    const { clock } = member.platform;
    const startedMs = metrics.rangeBegins(clock);
    try {
      const answer = member.store.rangeWithin(request, onePieceBytesMax);
      metrics.rangeEnds(clock, startedMs, true);
      return answer;
    } catch (error) {
      metrics.rangeEnds(clock, startedMs, false);
      throw error;
    }
  }

  #put(call: UnaryCall, bytes: Uint8Array): void {
    const { member } = this.#context;
    const request = decodeRequest(decodePutRequest, bytes);
    this.#requireSpace(putCost(request));
    checkPut(request);
    call.request = summaryOf(request);
    const answer: ProposalCallback = (error, result) => {
      if (error !== undefined) return this.#context.fail(call, error);
      const { revision, response } = result as PutResult;
      const header = this.#context.header(revision);
      call.respondWith(sizeOfPutResponse(response, header), (target, offset) =>
        writePutResponse(response, header, target, offset),
      );
    };
    member.propose("put", canonicalPutRequest(bytes, request), answer, this.#context.callers.of(call));
  }

  #deleteRange(call: UnaryCall, bytes: Uint8Array): void {
    const request = decodeRequest(decodeDeleteRangeRequest, bytes);
    checkDeleteRange(request);
    call.request = { ...request, key: copyBytes(request.key), rangeEnd: copyBytes(request.rangeEnd) };
    const answer: ProposalCallback = (error, result) => {
      if (error !== undefined) return this.#context.fail(call, error);
      const { revision, response } = result as DeleteRangeResult;
      call.response = response.deleted;
      const header = this.#context.header(revision);
      call.respondWith(sizeOfDeleteRangeResponse(response, header), (target, offset) =>
        writeDeleteRangeResponse(response, header, target, offset),
      );
    };
    const canonical = canonicalDeleteRangeRequest(bytes, request);
    this.#context.member.propose("deleteRange", canonical, answer, this.#context.callers.of(call));
  }

  #txn(call: UnaryCall, bytes: Uint8Array): void {
    const { member } = this.#context;
    const request = decodeRequest(decodeTxnRequest, bytes);
    this.#requireSpace(txnCost(request));
    checkTxn(request, member.config.maxTxnOps);
    // From the shared pool: a buffer of its own would cost more than the rest of this function.
    if (bytes.length <= notedTxnBytesMax) call.request = Buffer.from(bytes);
    if (isReadOnly(request)) return this.#readTxn(call, request, bytes);
    // Members that do not answer the client skip ranges at the top, so whether they fail is decided before the log.
    const caller = this.#context.callers.of(call);
    if (member.auth.isEnabled && hasRange(request)) this.#context.requireTxn(caller, request);
    if (hasRevisionRange(request)) member.store.checkTxn(request);
    const answer: ProposalCallback = (error, result) => {
      if (error !== undefined) return this.#context.fail(call, error);
      const { revision, response } = result as TxnResult;
      this.#respondTxn(call, revision, response);
    };
    member.propose("txn", canonicalTxnRequest(bytes, request), answer, caller);
  }

  #readTxn(call: UnaryCall, request: TxnRequest, bytes: Uint8Array): void {
    const { member } = this.#context;
    const answer = (readable: TxnRequest): void => {
      if (call.cancelled) return;
      const caller = this.#context.callers.of(call);
      this.#context.requireTxn(caller, readable);
      this.#context.requireCurrent(caller);
      const { revision, response } = member.store.readTxn(readable);
      this.#respondTxn(call, revision, response);
    };
    if (isSerializable(request)) return answer(request);
    let hasReturned = false;
    let owned: Uint8Array | undefined;
    member.readIndex((error) => {
      if (error !== undefined) return this.#context.fail(call, error);
      this.#context.attempt(call, () => answer(owned === undefined ? request : decodeTxnRequest(owned)));
      hasReturned = true;
    });
    if (!hasReturned) owned = copyBytes(bytes);
  }

  #respondTxn(call: UnaryCall, revision: number, response: TxnResponse): void {
    const header = this.#context.header(revision);
    call.response = response.succeeded;
    call.respondWith(sizeOfTxnResponse(response, header), (target, offset) =>
      writeTxnResponse(response, header, target, offset),
    );
  }

  #compact(request: CompactionRequest, reply: (answer: CompactionResponse) => void, call: UnaryCall): void {
    const { member } = this.#context;
    const bytes = CompactionRequest.encode(request).finish();
    member.propose(
      "compaction",
      bytes,
      this.#context.settle(call, "compaction", (result) => {
        const answer = (): void => reply({ header: this.#context.coldHeader(result.revision) });
        if (request.physical) result.whenPhysicallyDone(answer);
        else answer();
      }),
      this.#context.callers.of(call),
    );
  }

  /** The same check is made when the entry is applied; this one saves the log from what cannot succeed. */
  #requireSpace(costBytes: number): void {
    const { member } = this.#context;
    if (member.quota.isAvailable(costBytes)) return;
    member.raiseNoSpaceAlarm();
    throw new EtcdError("noSpace");
  }
}

/** What is kept of a put until it is answered: all but the value. */
function summaryOf({ key, value, lease, prevKv, ignoreValue, ignoreLease }: PutRequest): PutSummary {
  return { key: copyBytes(key), valueBytes: value.length, lease, prevKv, ignoreValue, ignoreLease };
}

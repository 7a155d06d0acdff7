/** Between requests of a history and messages of etcd's API. */
import { Code, reasons } from "../../src/wire/errors.ts";
import { ClientError } from "../../src/client/client-error.ts";
import { Event_EventType, type KeyValue } from "../../src/wire/gen/mvccpb/kv.ts";
import * as rpc from "../../src/wire/gen/etcdserverpb/rpc.ts";
import type {
  Compare,
  FailureReason,
  KvRequest,
  KvResult,
  Outcome,
  Pair,
  PutRequest,
  RangeRequest,
  TxnRequest,
  WatchEvent,
  WatchMessage,
} from "./history.ts";

/** Bytes of a key or value; each character is a byte. */
export function toBytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

export function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

export function toRangeMessage(request: RangeRequest): rpc.RangeRequest {
  return rpc.RangeRequest.fromPartial({
    key: toBytes(request.key),
    rangeEnd: toBytes(request.end ?? ""),
    revision: BigInt(request.revision ?? 0),
    limit: BigInt(request.limit ?? 0),
    serializable: request.isSerializable === true,
  });
}

/** Puts ask for the pair before, as it tells much about the order. */
export function toPutMessage({ key, value, lease }: PutRequest): rpc.PutRequest {
  return rpc.PutRequest.fromPartial({
    key: toBytes(key),
    value: toBytes(value),
    lease: BigInt(lease ?? 0),
    prevKv: true,
  });
}

export function toTxnMessage(request: TxnRequest): rpc.TxnRequest {
  return rpc.TxnRequest.fromPartial({
    compare: request.compare.map(toCompareMessage),
    success: request.success.map(toOperation),
    failure: request.failure.map(toOperation),
  });
}

function toOperation(request: KvRequest): rpc.RequestOp {
  switch (request.kind) {
    case "range":
      return { requestRange: toRangeMessage(request) };
    case "put":
      return { requestPut: toPutMessage(request) };
    case "delete": {
      const fields = { key: toBytes(request.key), rangeEnd: toBytes(request.end ?? "") };
      return { requestDeleteRange: rpc.DeleteRangeRequest.fromPartial(fields) };
    }
    case "txn":
      return { requestTxn: toTxnMessage(request) };
  }
}

const comparisons = { "=": "EQUAL", "!=": "NOT_EQUAL", "<": "LESS", ">": "GREATER" } as const;
const targets = { value: "VALUE", modRevision: "MOD", createRevision: "CREATE", version: "VERSION" } as const;

function toCompareMessage({ key, target, is, to }: Compare): rpc.Compare {
  return rpc.Compare.fromPartial({
    key: toBytes(key),
    result: rpc.Compare_CompareResult[comparisons[is]],
    target: rpc.Compare_CompareTarget[targets[target]],
    ...(target === "value" ? { value: toBytes(String(to)) } : { [target]: BigInt(to) }),
  });
}

const revisionOf = (header: rpc.ResponseHeader | undefined): number => Number(header?.revision ?? 0n);

export function fromRange({ header, kvs, count }: rpc.RangeResponse): KvResult {
  return { kind: "range", revision: revisionOf(header), pairs: kvs.map(toPair), count: Number(count) };
}

export function fromPut({ header, prevKv }: rpc.PutResponse): KvResult {
  return { kind: "put", revision: revisionOf(header), previous: prevKv === undefined ? null : toPair(prevKv) };
}

export function fromDelete({ header, deleted }: rpc.DeleteRangeResponse): KvResult {
  return { kind: "delete", revision: revisionOf(header), deleted: Number(deleted) };
}

export function fromTxn({ header, succeeded, responses }: rpc.TxnResponse): KvResult {
  return { kind: "txn", revision: revisionOf(header), succeeded, responses: responses.map(fromOperation) };
}

function fromOperation({ responseRange, responsePut, responseDeleteRange, responseTxn }: rpc.ResponseOp): KvResult {
  if (responseRange !== undefined) return fromRange(responseRange);
  if (responsePut !== undefined) return fromPut(responsePut);
  if (responseDeleteRange !== undefined) return fromDelete(responseDeleteRange);
  if (responseTxn !== undefined) return fromTxn(responseTxn);
  throw new Error("an answer of a transaction is empty");
}

export function toPair({ key, value, createRevision, modRevision, version, lease }: KeyValue): Pair {
  return {
    key: toText(key),
    value: toText(value),
    createRevision: Number(createRevision),
    modRevision: Number(modRevision),
    version: Number(version),
    lease: String(lease),
  };
}

export function toWatchMessage(response: rpc.WatchResponse, at: number): WatchMessage {
  const revision = revisionOf(response.header);
  if (response.canceled) return { kind: "cancelled", at, compactRevision: Number(response.compactRevision) };
  if (response.created) return { kind: "created", at, revision };
  if (response.events.length === 0) return { kind: "progress", at, revision };
  const events = response.events.map(({ type, kv, prevKv }): WatchEvent => {
    if (kv === undefined) throw new Error("an event has no pair");
    const { key, value, modRevision, createRevision, version } = toPair(kv);
    const previous = prevKv === undefined ? {} : { previous: pick(toPair(prevKv)) };
    if (type === Event_EventType.DELETE) return { type: "delete", key, modRevision, ...previous };
    return { type: "put", key, value, modRevision, createRevision, version, ...previous };
  });
  return { kind: "events", at, revision, events, ...(response.fragment ? { isFragment: true } : {}) };
}

function pick({ value, modRevision }: Pair): { value: string; modRevision: number } {
  return { value, modRevision };
}

/** Refusals that a model can check. `leaseExists` is not among them: our own first attempt may have made it. */
const checked: ReadonlyMap<string, FailureReason> = new Map([
  [reasons.compacted.message, "compacted"],
  [reasons.futureRevision.message, "futureRevision"],
  [reasons.leaseNotFound.message, "leaseNotFound"],
]);

/** Refusals before anything was proposed, or by all members alike. */
const certain: ReadonlySet<string> = new Set([
  reasons.noSpace.message,
  reasons.tooManyRequests.message,
  reasons.notSupportedForLearner.message,
  reasons.corrupt.message,
  reasons.tooManyOps.message,
  reasons.duplicateKey.message,
]);

/**
 * What an error says about what happened: when in doubt, nothing.
 *
 * @param isRepeated - the client may have sent the request before, and the error is of a later attempt.
 */
export function outcomeOfError(error: unknown, isRepeated: boolean): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ClientError)) return { kind: "unknown", message };
  const { description, code } = error;
  const reason = checked.get(description);
  // A lease that is not there to be revoked may have been revoked by the attempt before.
  if (reason !== undefined && !isRepeated) return { kind: "failed", reason, message };
  // No connection in all the time: nothing was sent.
  const neverSent = !isRepeated && code === Code.DeadlineExceeded && description.startsWith("latest balancer error");
  if (neverSent || certain.has(description)) return { kind: "failed", reason: "other", message };
  return { kind: "unknown", message };
}

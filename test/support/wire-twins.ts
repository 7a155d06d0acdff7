/**
 * The generated codecs are the slow, obvious twins of the hand-written ones. Here messages of the former become the
 * shapes of the latter, so that tests can hold both against each other.
 */
import fc from "fast-check";
import * as pb from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { KeyValue } from "../../src/wire/gen/mvccpb/kv.ts";
import type * as hot from "../../src/wire/hot/types.ts";

const NUMBER_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** What an int64 becomes in the hot shapes. */
export function saturate(value: bigint | undefined): number {
  const given = value ?? 0n;
  if (given > NUMBER_MAX) return Number.MAX_SAFE_INTEGER;
  return given < -NUMBER_MAX ? -Number.MAX_SAFE_INTEGER : Number(given);
}

/** Plain arrays: a `Buffer` and a `Uint8Array` of the same bytes are the same. */
export function bytesOf(value: Uint8Array | undefined): Uint8Array {
  return new Uint8Array(value ?? []);
}

export function rangeTwin(m: pb.RangeRequest): hot.RangeRequest {
  return {
    key: bytesOf(m.key),
    rangeEnd: bytesOf(m.rangeEnd),
    limit: saturate(m.limit),
    revision: saturate(m.revision),
    sortOrder: m.sortOrder,
    sortTarget: m.sortTarget,
    serializable: m.serializable,
    keysOnly: m.keysOnly,
    countOnly: m.countOnly,
    minModRevision: saturate(m.minModRevision),
    maxModRevision: saturate(m.maxModRevision),
    minCreateRevision: saturate(m.minCreateRevision),
    maxCreateRevision: saturate(m.maxCreateRevision),
  };
}

export function putTwin({ key, value, lease, prevKv, ignoreValue, ignoreLease }: pb.PutRequest): hot.PutRequest {
  return { key: bytesOf(key), value: bytesOf(value), lease, prevKv, ignoreValue, ignoreLease };
}

export function deleteRangeTwin({ key, rangeEnd, prevKv }: pb.DeleteRangeRequest): hot.DeleteRangeRequest {
  return { key: bytesOf(key), rangeEnd: bytesOf(rangeEnd), prevKv };
}

export function txnTwin(m: pb.TxnRequest): hot.TxnRequest {
  return { compare: m.compare.map(compareTwin), success: m.success.map(opTwin), failure: m.failure.map(opTwin) };
}

function opTwin(op: pb.RequestOp): hot.RequestOp {
  if (op.requestRange !== undefined) return { kind: "range", range: rangeTwin(op.requestRange) };
  if (op.requestPut !== undefined) return { kind: "put", put: putTwin(op.requestPut) };
  if (op.requestDeleteRange !== undefined) {
    return { kind: "deleteRange", deleteRange: deleteRangeTwin(op.requestDeleteRange) };
  }
  return op.requestTxn === undefined ? { kind: "none" } : { kind: "txn", txn: txnTwin(op.requestTxn) };
}

function compareTwin(m: pb.Compare): hot.Compare {
  const operands = [m.version, m.createRevision, m.modRevision, m.value, m.lease];
  const given = operands.findIndex((operand) => operand !== undefined);
  return {
    result: m.result,
    target: m.target,
    key: bytesOf(m.key),
    rangeEnd: bytesOf(m.rangeEnd),
    operand: (given < 0 ? 0 : given + 4) as hot.CompareOperand,
    version: saturate(m.version),
    createRevision: saturate(m.createRevision),
    modRevision: saturate(m.modRevision),
    value: bytesOf(m.value),
    lease: m.lease ?? 0n,
  };
}

export function rangeResponseTwin(m: pb.RangeResponse): hot.RangeResponse {
  return { kvs: m.kvs.map((kv) => KeyValue.encode(kv).finish()), more: m.more, count: saturate(m.count) };
}

export function putResponseTwin(m: pb.PutResponse): hot.PutResponse {
  return { prevKv: m.prevKv && KeyValue.encode(m.prevKv).finish() };
}

export function deleteRangeResponseTwin(m: pb.DeleteRangeResponse): hot.DeleteRangeResponse {
  return { deleted: saturate(m.deleted), prevKvs: m.prevKvs.map((kv) => KeyValue.encode(kv).finish()) };
}

export function txnResponseTwin(m: pb.TxnResponse): hot.TxnResponse {
  return { succeeded: m.succeeded, responses: m.responses.map(responseOpTwin) };
}

function responseOpTwin(op: pb.ResponseOp): hot.ResponseOp {
  const range = op.responseRange;
  if (range !== undefined) {
    return { kind: "range", revision: saturate(range.header?.revision), range: rangeResponseTwin(range) };
  }
  const put = op.responsePut;
  if (put !== undefined) return { kind: "put", revision: saturate(put.header?.revision), put: putResponseTwin(put) };
  const deleteRange = op.responseDeleteRange;
  if (deleteRange !== undefined) {
    const revision = saturate(deleteRange.header?.revision);
    return { kind: "deleteRange", revision, deleteRange: deleteRangeResponseTwin(deleteRange) };
  }
  if (op.responseTxn === undefined) throw new Error("an answer in a transaction is of one of four kinds");
  return { kind: "txn", txn: txnResponseTwin(op.responseTxn) };
}

// Arbitrary messages. int64 stays within ±(2^53 - 1), beyond which the hot shapes saturate.

const bytes = fc.uint8Array({ maxLength: 40 });
const int64 = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 127n, 128n, 2n ** 32n, -(2n ** 32n), NUMBER_MAX, -NUMBER_MAX),
  fc.bigInt(-NUMBER_MAX, NUMBER_MAX),
);
export const counter = fc.oneof(fc.constantFrom(0n, 1n, 2n ** 31n, NUMBER_MAX), fc.bigInt(0n, NUMBER_MAX));
export const id = fc.oneof(
  fc.constantFrom(0n, -1n, 2n ** 63n - 1n, -(2n ** 63n)),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
);
const enumeration = fc.oneof(fc.nat({ max: 5 }), fc.constantFrom(-1, 2 ** 31 - 1, -(2 ** 31)));
const bool = fc.boolean();

export const rangeRequest = fc
  .record({
    key: bytes,
    rangeEnd: bytes,
    limit: int64,
    revision: int64,
    sortOrder: enumeration,
    sortTarget: enumeration,
    serializable: bool,
    keysOnly: bool,
    countOnly: bool,
    minModRevision: int64,
    maxModRevision: int64,
    minCreateRevision: int64,
    maxCreateRevision: int64,
  })
  .map((m) => m as pb.RangeRequest);

export const putRequest: fc.Arbitrary<pb.PutRequest> = fc.record({
  key: bytes,
  value: bytes,
  lease: id,
  prevKv: bool,
  ignoreValue: bool,
  ignoreLease: bool,
});

export const deleteRangeRequest: fc.Arbitrary<pb.DeleteRangeRequest> = fc.record({
  key: bytes,
  rangeEnd: bytes,
  prevKv: bool,
});

const compare = fc
  .record({
    result: enumeration,
    target: enumeration,
    key: bytes,
    rangeEnd: bytes,
    operand: fc.oneof(
      fc.constant({}),
      fc.record({ version: int64 }),
      fc.record({ createRevision: int64 }),
      fc.record({ modRevision: int64 }),
      fc.record({ value: bytes }),
      fc.record({ lease: id }),
    ),
  })
  .map(({ operand, ...rest }) => ({ ...rest, ...operand }) as pb.Compare);

export const txnRequest: fc.Arbitrary<pb.TxnRequest> = fc.letrec<{ txn: pb.TxnRequest; op: pb.RequestOp }>((tie) => ({
  op: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant({}),
    rangeRequest.map((requestRange) => ({ requestRange })),
    putRequest.map((requestPut) => ({ requestPut })),
    deleteRangeRequest.map((requestDeleteRange) => ({ requestDeleteRange })),
    tie("txn").map((requestTxn) => ({ requestTxn })),
  ),
  txn: fc.record({
    compare: fc.array(compare, { maxLength: 3 }),
    success: fc.array(tie("op"), { maxLength: 3 }),
    failure: fc.array(tie("op"), { maxLength: 2 }),
  }),
})).txn;

export const keyValue: fc.Arbitrary<KeyValue> = fc.record({
  key: bytes,
  createRevision: counter,
  modRevision: counter,
  version: counter,
  value: fc.uint8Array({ maxLength: 200 }),
  lease: id,
});

const innerHeader = counter.map((revision) => pb.ResponseHeader.create({ revision }));

const rangeBody = { kvs: fc.array(keyValue, { maxLength: 4 }), more: bool, count: counter };
const putBody = { prevKv: fc.option(keyValue, { nil: undefined }) };
const deleteRangeBody = { deleted: counter, prevKvs: fc.array(keyValue, { maxLength: 4 }) };

export const rangeResponse: fc.Arbitrary<pb.RangeResponse> = fc.record({
  header: fc.constant(undefined),
  ...rangeBody,
});
export const putResponse: fc.Arbitrary<pb.PutResponse> = fc.record({ header: fc.constant(undefined), ...putBody });
export const deleteRangeResponse: fc.Arbitrary<pb.DeleteRangeResponse> = fc.record({
  header: fc.constant(undefined),
  ...deleteRangeBody,
});

/** As a nested answer: its header is there, but empty. */
const nestedTxn = fc.letrec<{ txn: pb.TxnResponse; op: pb.ResponseOp }>((tie) => ({
  op: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.record({ header: innerHeader, ...rangeBody }).map((responseRange) => ({ responseRange })),
    fc.record({ header: innerHeader, ...putBody }).map((responsePut) => ({ responsePut })),
    fc.record({ header: innerHeader, ...deleteRangeBody }).map((responseDeleteRange) => ({ responseDeleteRange })),
    tie("txn").map((responseTxn) => ({ responseTxn })),
  ),
  txn: fc.record({
    header: fc.constant(pb.ResponseHeader.create()),
    succeeded: bool,
    responses: fc.array(tie("op"), { maxLength: 3 }),
  }),
})).txn;

export const txnResponse: fc.Arbitrary<pb.TxnResponse> = nestedTxn.map((m) => ({ ...m, header: undefined }));

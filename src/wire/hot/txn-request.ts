/** TxnRequest by hand, nested transactions included. Views and canonical form as in kv-requests.ts. */
import { emptyBytes } from "../../base/bytes.ts";
import { EtcdError } from "../errors.ts";
import * as rpc from "../gen/etcdserverpb/rpc.ts";
import {
  readDeleteRangeRequest,
  readPutRequest,
  readRangeRequest,
  sizeOfDeleteRangeRequest,
  sizeOfPutRequest,
  sizeOfRangeRequest,
  writeDeleteRangeRequest,
  writePutRequest,
  writeRangeRequest,
} from "./kv-requests.ts";
import type { Compare, CompareOperand, RequestOp, TxnRequest } from "./types.ts";
import { WireReader } from "./wire-reader.ts";
import {
  sizeOfBytesField,
  sizeOfLength,
  sizeOfNumberField,
  sizeOfVarint,
  sizeOfVarint64,
  writeBytes,
  writeBytesField,
  writeNumberField,
  writeVarint,
  writeVarint64,
} from "./wire-writer.ts";

/**
 * Nesting beyond this is refused before the stack is. Each level takes at least one from what `--max-txn-ops` (128)
 * allows, so that etcd refuses it as well, with the same error.
 */
export const txnDepthMax = 512;
/** The generated codec nests 100 messages and no more; a transaction in a transaction takes two. */
const generatedDepthMax = 48;

const txnFields = [undefined, "Compare", "Success", "Failure"];
const opFields = [undefined, "RequestRange", "RequestPut", "RequestDeleteRange", "RequestTxn"];
const compareFields: (string | undefined)[] = [
  undefined,
  "Result",
  "Target",
  "Key",
  "Version",
  "CreateRevision",
  "ModRevision",
  "Value",
  "Lease",
];
compareFields[64] = "RangeEnd";

const none: RequestOp = { kind: "none" };

/** @throws {WireError}; {EtcdError} `tooManyOps` for absurd nesting. */
export function decodeTxnRequest(bytes: Uint8Array): TxnRequest {
  return readTxnRequest(new WireReader(bytes), 0);
}

export function readTxnRequest(reader: WireReader, depth: number): TxnRequest {
  if (depth > txnDepthMax) throw new EtcdError("tooManyOps");
  const request: TxnRequest = { compare: [], success: [], failure: [] };
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 0x0a || tag === 0x12 || tag === 0x1a) {
      const outer = reader.enter();
      if (tag === 0x0a) request.compare.push(readCompare(reader));
      else if (tag === 0x12) request.success.push(readRequestOp(reader, depth));
      else request.failure.push(readRequestOp(reader, depth));
      reader.leave(outer);
    } else {
      reader.unknown(tag, txnFields);
    }
  }
  return request;
}

function readRequestOp(reader: WireReader, depth: number): RequestOp {
  let op = none;
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a && tag !== 0x22) {
      reader.unknown(tag, opFields);
      continue;
    }
    const outer = reader.enter();
    if (tag === 0x0a) op = { kind: "range", range: readRangeRequest(reader) };
    else if (tag === 0x12) op = { kind: "put", put: readPutRequest(reader) };
    else if (tag === 0x1a) op = { kind: "deleteRange", deleteRange: readDeleteRangeRequest(reader) };
    else op = { kind: "txn", txn: readTxnRequest(reader, depth + 1) };
    reader.leave(outer);
  }
  return op;
}

function readCompare(reader: WireReader): Compare {
  const compare: Compare = {
    result: 0,
    target: 0,
    key: emptyBytes,
    rangeEnd: emptyBytes,
    operand: 0,
    version: 0,
    createRevision: 0,
    modRevision: 0,
    value: emptyBytes,
    lease: 0n,
  };
  while (reader.hasMore) {
    const tag = reader.tag();
    switch (tag) {
      case 0x08:
        compare.result = reader.int32();
        break;
      case 0x10:
        compare.target = reader.int32();
        break;
      case 0x1a:
        compare.key = reader.view();
        break;
      case 0x20:
        setOperand(compare, 4);
        compare.version = reader.int64();
        break;
      case 0x28:
        setOperand(compare, 5);
        compare.createRevision = reader.int64();
        break;
      case 0x30:
        setOperand(compare, 6);
        compare.modRevision = reader.int64();
        break;
      case 0x3a:
        setOperand(compare, 7);
        compare.value = reader.view();
        break;
      case 0x40:
        setOperand(compare, 8);
        compare.lease = reader.bigInt64();
        break;
      case 0x202:
        compare.rangeEnd = reader.view();
        break;
      default:
        reader.unknown(tag, compareFields);
    }
  }
  return compare;
}

/** The last member of the oneof counts; an earlier one is forgotten. */
function setOperand(compare: Compare, operand: CompareOperand): void {
  if (compare.operand !== 0) {
    compare.version = compare.createRevision = compare.modRevision = 0;
    compare.value = emptyBytes;
    compare.lease = 0n;
  }
  compare.operand = operand;
}

export function sizeOfTxnRequest(request: TxnRequest): number {
  let size = 0;
  for (const compare of request.compare) size += sizeOfLength(sizeOfCompare(compare));
  for (const op of request.success) size += sizeOfLength(sizeOfRequestOp(op));
  for (const op of request.failure) size += sizeOfLength(sizeOfRequestOp(op));
  return size;
}

export function writeTxnRequest(request: TxnRequest, target: Uint8Array, offset: number): number {
  let at = offset;
  for (const compare of request.compare) {
    target[at] = 0x0a;
    at = writeCompare(compare, target, writeVarint(target, at + 1, sizeOfCompare(compare)));
  }
  for (const op of request.success) at = writeRequestOp(op, target, at, 0x12);
  for (const op of request.failure) at = writeRequestOp(op, target, at, 0x1a);
  return at;
}

export function encodeTxnRequest(request: TxnRequest): Uint8Array {
  const target = new Uint8Array(sizeOfTxnRequest(request));
  writeTxnRequest(request, target, 0);
  return target;
}

/** As `canonicalPutRequest`. */
export function canonicalTxnRequest(bytes: Uint8Array, decoded: TxnRequest): Uint8Array {
  if (bytes.length === sizeOfTxnRequest(decoded)) return bytes;
  // Deep and superfluous at once: encode what was decoded. Numbers beyond 2^53 come out saturated, which compares the same.
  if (depthOf(decoded) > generatedDepthMax) return encodeTxnRequest(decoded);
  return rpc.TxnRequest.encode(rpc.TxnRequest.decode(bytes)).finish();
}

function depthOf(request: TxnRequest): number {
  let inner = 0;
  for (const ops of [request.success, request.failure]) {
    for (const op of ops) if (op.kind === "txn") inner = Math.max(inner, depthOf(op.txn));
  }
  return inner + 1;
}

function sizeOfRequestOp(op: RequestOp): number {
  return op.kind === "none" ? 0 : sizeOfLength(sizeOfInner(op));
}

function sizeOfInner(op: Exclude<RequestOp, { kind: "none" }>): number {
  switch (op.kind) {
    case "range":
      return sizeOfRangeRequest(op.range);
    case "put":
      return sizeOfPutRequest(op.put);
    case "deleteRange":
      return sizeOfDeleteRangeRequest(op.deleteRange);
    default:
      return sizeOfTxnRequest(op.txn);
  }
}

function writeRequestOp(op: RequestOp, target: Uint8Array, offset: number, tag: number): number {
  target[offset] = tag;
  let at = writeVarint(target, offset + 1, sizeOfRequestOp(op));
  if (op.kind === "none") return at;
  const inner = sizeOfInner(op);
  target[at] = op.kind === "range" ? 0x0a : op.kind === "put" ? 0x12 : op.kind === "deleteRange" ? 0x1a : 0x22;
  at = writeVarint(target, at + 1, inner);
  switch (op.kind) {
    case "range":
      return writeRangeRequest(op.range, target, at);
    case "put":
      return writePutRequest(op.put, target, at);
    case "deleteRange":
      return writeDeleteRangeRequest(op.deleteRange, target, at);
    default:
      return writeTxnRequest(op.txn, target, at);
  }
}

function sizeOfCompare(compare: Compare): number {
  const rangeEnd = compare.rangeEnd.length === 0 ? 0 : 1 + sizeOfLength(compare.rangeEnd.length);
  return (
    sizeOfNumberField(compare.result) +
    sizeOfNumberField(compare.target) +
    sizeOfBytesField(compare.key) +
    sizeOfOperand(compare) +
    rangeEnd
  );
}

/** A member of a oneof that was given is written even when it is zero. */
function sizeOfOperand(compare: Compare): number {
  switch (compare.operand) {
    case 4:
      return 1 + sizeOfVarint(compare.version);
    case 5:
      return 1 + sizeOfVarint(compare.createRevision);
    case 6:
      return 1 + sizeOfVarint(compare.modRevision);
    case 7:
      return sizeOfLength(compare.value.length);
    case 8:
      return 1 + sizeOfVarint64(compare.lease);
    default:
      return 0;
  }
}

function writeCompare(compare: Compare, target: Uint8Array, offset: number): number {
  let at = writeNumberField(target, offset, 0x08, compare.result);
  at = writeNumberField(target, at, 0x10, compare.target);
  at = writeBytesField(target, at, 0x1a, compare.key);
  at = writeOperand(compare, target, at);
  if (compare.rangeEnd.length === 0) return at;
  target[at] = 0x82;
  return writeBytes(target, at + 1, 0x04, compare.rangeEnd);
}

function writeOperand(compare: Compare, target: Uint8Array, offset: number): number {
  if (compare.operand === 0) return offset;
  if (compare.operand === 7) return writeBytes(target, offset, 0x3a, compare.value);
  target[offset] = compare.operand << 3;
  if (compare.operand === 8) return writeVarint64(target, offset + 1, compare.lease);
  const value =
    compare.operand === 4 ? compare.version : compare.operand === 5 ? compare.createRevision : compare.modRevision;
  return writeVarint(target, offset + 1, value);
}

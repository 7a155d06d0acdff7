/**
 * Codec of TxnRequest, with the compares and operations in it.
 *
 *     TxnRequest  1 compare*  2 success*  3 failure*
 *     RequestOp   one of 1 range  2 put  3 delete_range  4 txn
 *     Compare     1 result  2 target  3 key  one of (4 version  5 create  6 mod  7 value  8 lease)  64 range_end
 *
 * A member of a one-of is written even when it is zero or empty: being there is what it says. When several are given the
 * last one counts.
 */
import { emptyBytes } from "../../base/bytes.ts";
import { EtcdError } from "../errors.ts";
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
import { Reader } from "./reader.ts";
import type { Compare, CompareOperand, RequestOp, TxnRequest } from "./types.ts";
import {
  allocate,
  copyInto,
  sizeOfBigInt64,
  sizeOfDelimited,
  sizeOfInt64,
  writeBigInt64,
  writeBytes,
  writeInt64Field,
  writeVarint,
} from "./writer.ts";

/**
 * Deepest nesting of transactions. etcd has no limit in its decoder, but each level needs an operation of the one above
 * and takes from the count that `--max-txn-ops` (128) allows, so deeper ones are refused anyhow. Bounds our stack.
 */
export const txnDepthMax = 512;

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

/**
 * @throws {WireError} when the bytes are no such message. Byte fields of the result are views of `bytes`.
 * @throws {EtcdError} `tooManyOps` when nested deeper than {@link txnDepthMax}.
 */
export function decodeTxnRequest(bytes: Uint8Array): TxnRequest {
  return readTxnRequest(new Reader(bytes), 1);
}

/** Owned, exact size, canonical. */
export function encodeTxnRequest(request: TxnRequest): Uint8Array {
  const target = allocate(sizeOfTxnRequest(request));
  writeTxnRequest(request, target, 0);
  return target;
}

/** The bytes to put into the log: see `canonicalPutRequest` (kv-requests.ts). */
export function canonicalTxnRequest(bytes: Uint8Array, request: TxnRequest): Uint8Array {
  return sizeOfTxnRequest(request) === bytes.length ? bytes : encodeTxnRequest(request);
}

/** Reads up to the reader's end. `depth` is 1 at the top. */
export function readTxnRequest(reader: Reader, depth: number): TxnRequest {
  if (depth > txnDepthMax) throw new EtcdError("tooManyOps");
  const request: TxnRequest = { compare: [], success: [], failure: [] };
  while (reader.position < reader.end) {
    const tag = reader.tag("TxnRequest");
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a) {
      reader.skip(tag, txnFields);
      continue;
    }
    const outer = reader.enter();
    if (tag === 0x0a) request.compare.push(readCompare(reader));
    else if (tag === 0x12) request.success.push(readOp(reader, depth));
    else request.failure.push(readOp(reader, depth));
    reader.leave(outer);
  }
  return request;
}

function readOp(reader: Reader, depth: number): RequestOp {
  let op = none;
  while (reader.position < reader.end) {
    const tag = reader.tag("RequestOp");
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a && tag !== 0x22) {
      reader.skip(tag, opFields);
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

function readCompare(reader: Reader): Compare {
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
  while (reader.position < reader.end) {
    const tag = reader.tag("Compare");
    if (tag === 0x08) compare.result = reader.int32();
    else if (tag === 0x10) compare.target = reader.int32();
    else if (tag === 0x1a) compare.key = reader.bytes();
    else if (tag === 0x202) compare.rangeEnd = reader.bytes();
    else if (tag === 0x20 || tag === 0x28 || tag === 0x30 || tag === 0x3a || tag === 0x40) {
      if (compare.operand !== 0) clearOperand(compare);
      compare.operand = (tag >>> 3) as CompareOperand;
      if (tag === 0x20) compare.version = reader.int64();
      else if (tag === 0x28) compare.createRevision = reader.int64();
      else if (tag === 0x30) compare.modRevision = reader.int64();
      else if (tag === 0x3a) compare.value = reader.bytes();
      else compare.lease = reader.bigInt64();
    } else reader.skip(tag, compareFields);
  }
  return compare;
}

function clearOperand(compare: Compare): void {
  compare.version = 0;
  compare.createRevision = 0;
  compare.modRevision = 0;
  compare.value = emptyBytes;
  compare.lease = 0n;
}

export function sizeOfTxnRequest(request: TxnRequest): number {
  let size = 0;
  for (const compare of request.compare) size += 1 + sizeOfDelimited(sizeOfCompare(compare));
  for (const op of request.success) size += 1 + sizeOfDelimited(sizeOfOp(op));
  for (const op of request.failure) size += 1 + sizeOfDelimited(sizeOfOp(op));
  return size;
}

function sizeOfOp(op: RequestOp): number {
  return op.kind === "none" ? 0 : 1 + sizeOfDelimited(sizeOfOpBody(op));
}

function sizeOfOpBody(op: Exclude<RequestOp, { kind: "none" }>): number {
  switch (op.kind) {
    case "range":
      return sizeOfRangeRequest(op.range);
    case "put":
      return sizeOfPutRequest(op.put);
    case "deleteRange":
      return sizeOfDeleteRangeRequest(op.deleteRange);
    case "txn":
      return sizeOfTxnRequest(op.txn);
  }
}

function sizeOfCompare(compare: Compare): number {
  let size = sizeOfOperand(compare);
  if (compare.result !== 0) size += 1 + sizeOfInt64(compare.result);
  if (compare.target !== 0) size += 1 + sizeOfInt64(compare.target);
  if (compare.key.length > 0) size += 1 + sizeOfDelimited(compare.key.length);
  if (compare.rangeEnd.length > 0) size += 2 + sizeOfDelimited(compare.rangeEnd.length);
  return size;
}

function sizeOfOperand(compare: Compare): number {
  switch (compare.operand) {
    case 0:
      return 0;
    case 4:
      return 1 + sizeOfInt64(compare.version);
    case 5:
      return 1 + sizeOfInt64(compare.createRevision);
    case 6:
      return 1 + sizeOfInt64(compare.modRevision);
    case 7:
      return 1 + sizeOfDelimited(compare.value.length);
    case 8:
      return 1 + sizeOfBigInt64(compare.lease);
  }
}

/** Writes `sizeOfTxnRequest(request)` bytes; returns the offset behind them. */
export function writeTxnRequest(request: TxnRequest, target: Uint8Array, offset: number): number {
  let end = offset;
  for (const compare of request.compare) {
    target[end] = 0x0a;
    end = writeCompare(compare, target, writeVarint(target, end + 1, sizeOfCompare(compare)));
  }
  for (const op of request.success) end = writeOp(op, target, end, 0x12);
  for (const op of request.failure) end = writeOp(op, target, end, 0x1a);
  return end;
}

function writeOp(op: RequestOp, target: Uint8Array, offset: number, tag: number): number {
  target[offset] = tag;
  if (op.kind === "none") return writeVarint(target, offset + 1, 0);
  const size = sizeOfOpBody(op);
  let end = writeVarint(target, offset + 1, 1 + sizeOfDelimited(size));
  target[end] = op.kind === "range" ? 0x0a : op.kind === "put" ? 0x12 : op.kind === "deleteRange" ? 0x1a : 0x22;
  end = writeVarint(target, end + 1, size);
  switch (op.kind) {
    case "range":
      return writeRangeRequest(op.range, target, end);
    case "put":
      return writePutRequest(op.put, target, end);
    case "deleteRange":
      return writeDeleteRangeRequest(op.deleteRange, target, end);
    case "txn":
      return writeTxnRequest(op.txn, target, end);
  }
}

function writeCompare(compare: Compare, target: Uint8Array, offset: number): number {
  let end = offset;
  if (compare.result !== 0) end = writeInt64Field(target, end, 0x08, compare.result);
  if (compare.target !== 0) end = writeInt64Field(target, end, 0x10, compare.target);
  if (compare.key.length > 0) end = writeBytes(target, end, 0x1a, compare.key);
  end = writeOperand(compare, target, end);
  if (compare.rangeEnd.length > 0) {
    end = writeVarint(target, end, 0x202);
    end = copyInto(target, writeVarint(target, end, compare.rangeEnd.length), compare.rangeEnd);
  }
  return end;
}

function writeOperand(compare: Compare, target: Uint8Array, offset: number): number {
  switch (compare.operand) {
    case 0:
      return offset;
    case 4:
      return writeInt64Field(target, offset, 0x20, compare.version);
    case 5:
      return writeInt64Field(target, offset, 0x28, compare.createRevision);
    case 6:
      return writeInt64Field(target, offset, 0x30, compare.modRevision);
    case 7:
      return writeBytes(target, offset, 0x3a, compare.value);
    case 8:
      target[offset] = 0x40;
      return writeBigInt64(target, offset + 1, compare.lease);
  }
}

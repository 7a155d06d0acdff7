/**
 * Encoder of TxnResponse.
 *
 *     TxnResponse  1 header  2 succeeded  3 responses*
 *     ResponseOp   one of 1 range  2 put  3 delete_range  4 txn
 *
 * The answers inside carry a header with the revision alone, that of a nested transaction is there but empty: etcd fills
 * in the outermost header only.
 */
import {
  sizeOfDeleteRangeBody,
  sizeOfPutBody,
  sizeOfRangeBody,
  writeDeleteRangeBody,
  writePutBody,
  writeRangeBody,
} from "./kv-responses.ts";
import { sizeOfInnerHeader, writeInnerHeader } from "./response-header.ts";
import type { ResponseOp, TxnResponse } from "./types.ts";
import { copyInto, sizeOfDelimited, writeTrue, writeVarint } from "./writer.ts";

export function sizeOfTxnResponse(response: TxnResponse, header: Uint8Array): number {
  return header.length + sizeOfTxnBody(response);
}

/** Returns the offset behind the answer. */
export function writeTxnResponse(
  response: TxnResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  return writeTxnBody(response, target, copyInto(target, offset, header));
}

function sizeOfTxnBody(response: TxnResponse): number {
  let size = response.succeeded ? 2 : 0;
  for (const op of response.responses) size += 1 + sizeOfDelimited(1 + sizeOfDelimited(sizeOfOpBody(op)));
  return size;
}

function sizeOfOpBody(op: ResponseOp): number {
  switch (op.kind) {
    case "range":
      return sizeOfInnerHeader(op.revision) + sizeOfRangeBody(op.range);
    case "put":
      return sizeOfInnerHeader(op.revision) + sizeOfPutBody(op.put);
    case "deleteRange":
      return sizeOfInnerHeader(op.revision) + sizeOfDeleteRangeBody(op.deleteRange);
    case "txn":
      return sizeOfInnerHeader(0) + sizeOfTxnBody(op.txn);
  }
}

function writeTxnBody(response: TxnResponse, target: Uint8Array, offset: number): number {
  let end = response.succeeded ? writeTrue(target, offset, 0x10) : offset;
  for (const op of response.responses) end = writeOp(op, target, end);
  return end;
}

function writeOp(op: ResponseOp, target: Uint8Array, offset: number): number {
  const size = sizeOfOpBody(op);
  target[offset] = 0x1a;
  const start = writeVarint(target, offset + 1, 1 + sizeOfDelimited(size));
  target[start] = op.kind === "range" ? 0x0a : op.kind === "put" ? 0x12 : op.kind === "deleteRange" ? 0x1a : 0x22;
  const body = writeVarint(target, start + 1, size);
  switch (op.kind) {
    case "range":
      return writeRangeBody(op.range, target, writeInnerHeader(op.revision, target, body));
    case "put":
      return writePutBody(op.put, target, writeInnerHeader(op.revision, target, body));
    case "deleteRange":
      return writeDeleteRangeBody(op.deleteRange, target, writeInnerHeader(op.revision, target, body));
    case "txn":
      return writeTxnBody(op.txn, target, writeInnerHeader(0, target, body));
  }
}

/** TxnResponse. Answers inside it have a header with the revision alone; that of a nested transaction is there and empty. */
import {
  sizeOfDeleteRangeResponse,
  sizeOfPutResponse,
  sizeOfRangeResponse,
  writeDeleteRangeResponse,
  writePutResponse,
  writeRangeResponse,
} from "./kv-responses.ts";
import type { ResponseOp, TxnResponse } from "./types.ts";
import {
  sizeOfBoolField,
  sizeOfLength,
  sizeOfNumberField,
  writeBoolField,
  writeNumberField,
  writeVarint,
} from "./wire-writer.ts";

const emptyHeader = new Uint8Array([0x0a, 0]);

export function sizeOfTxnResponse(response: TxnResponse, header: Uint8Array): number {
  let size = header.length + sizeOfBoolField(response.succeeded);
  for (const op of response.responses) size += sizeOfLength(sizeOfLength(sizeOfInner(op)));
  return size;
}

export function writeTxnResponse(
  response: TxnResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  target.set(header, offset);
  let at = writeBoolField(target, offset + header.length, 0x10, response.succeeded);
  for (const op of response.responses) {
    const inner = sizeOfInner(op);
    target[at] = 0x1a;
    at = writeVarint(target, at + 1, sizeOfLength(inner));
    target[at] = op.kind === "range" ? 0x0a : op.kind === "put" ? 0x12 : op.kind === "deleteRange" ? 0x1a : 0x22;
    at = writeInner(op, target, writeVarint(target, at + 1, inner));
  }
  return at;
}

function sizeOfInner(op: ResponseOp): number {
  switch (op.kind) {
    case "range":
      return sizeOfRangeResponse(op.range, revisionHeader(op.revision));
    case "put":
      return sizeOfPutResponse(op.put, revisionHeader(op.revision));
    case "deleteRange":
      return sizeOfDeleteRangeResponse(op.deleteRange, revisionHeader(op.revision));
    default:
      return sizeOfTxnResponse(op.txn, emptyHeader);
  }
}

function writeInner(op: ResponseOp, target: Uint8Array, offset: number): number {
  switch (op.kind) {
    case "range":
      return writeRangeResponse(op.range, revisionHeader(op.revision), target, offset);
    case "put":
      return writePutResponse(op.put, revisionHeader(op.revision), target, offset);
    case "deleteRange":
      return writeDeleteRangeResponse(op.deleteRange, revisionHeader(op.revision), target, offset);
    default:
      return writeTxnResponse(op.txn, emptyHeader, target, offset);
  }
}

let lastRevision = -1;
let lastHeader = emptyHeader;

/** Header field with a revision alone. Answers of one transaction mostly share it, so the last one is kept. */
function revisionHeader(revision: number): Uint8Array {
  if (revision === lastRevision) return lastHeader;
  const size = sizeOfNumberField(revision);
  lastHeader = new Uint8Array(2 + size);
  lastHeader[0] = 0x0a;
  lastHeader[1] = size;
  writeNumberField(lastHeader, 2, 0x18, revision);
  lastRevision = revision;
  return lastHeader;
}

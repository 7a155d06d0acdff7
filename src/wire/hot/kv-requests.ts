/**
 * RangeRequest, PutRequest and DeleteRangeRequest by hand. Decoded bytes are views of the input.
 *
 * `canonicalX` gives the bytes for the log. The client's own are used unless they say more than a plain encoding would:
 * a field that holds its zero value (an explicit empty range_end means something else to Go than an absent one), an
 * unknown field, an overlong varint. All of those make the message longer than its plain encoding, so the length tells.
 */
import { emptyBytes } from "../../base/bytes.ts";
import * as rpc from "../gen/etcdserverpb/rpc.ts";
import type { DeleteRangeRequest, PutRequest, RangeRequest } from "./types.ts";
import { WireReader } from "./wire-reader.ts";
import {
  sizeOfBigField,
  sizeOfBoolField,
  sizeOfBytesField,
  sizeOfNumberField,
  writeBigField,
  writeBoolField,
  writeBytesField,
  writeNumberField,
} from "./wire-writer.ts";

const rangeFields = [
  undefined,
  "Key",
  "RangeEnd",
  "Limit",
  "Revision",
  "SortOrder",
  "SortTarget",
  "Serializable",
  "KeysOnly",
  "CountOnly",
  "MinModRevision",
  "MaxModRevision",
  "MinCreateRevision",
  "MaxCreateRevision",
];
const putFields = [undefined, "Key", "Value", "Lease", "PrevKv", "IgnoreValue", "IgnoreLease"];
const deleteRangeFields = [undefined, "Key", "RangeEnd", "PrevKv"];

export function decodeRangeRequest(bytes: Uint8Array): RangeRequest {
  return readRangeRequest(new WireReader(bytes));
}

/** Reads up to the reader's end. */
export function readRangeRequest(reader: WireReader): RangeRequest {
  const request: RangeRequest = {
    key: emptyBytes,
    rangeEnd: emptyBytes,
    limit: 0,
    revision: 0,
    sortOrder: 0,
    sortTarget: 0,
    serializable: false,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
  while (reader.hasMore) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        request.key = reader.view();
        break;
      case 0x12:
        request.rangeEnd = reader.view();
        break;
      case 0x18:
        request.limit = reader.int64();
        break;
      case 0x20:
        request.revision = reader.int64();
        break;
      case 0x28:
        request.sortOrder = reader.int32();
        break;
      case 0x30:
        request.sortTarget = reader.int32();
        break;
      case 0x38:
        request.serializable = reader.bool();
        break;
      case 0x40:
        request.keysOnly = reader.bool();
        break;
      case 0x48:
        request.countOnly = reader.bool();
        break;
      case 0x50:
        request.minModRevision = reader.int64();
        break;
      case 0x58:
        request.maxModRevision = reader.int64();
        break;
      case 0x60:
        request.minCreateRevision = reader.int64();
        break;
      case 0x68:
        request.maxCreateRevision = reader.int64();
        break;
      default:
        reader.unknown(tag, rangeFields);
    }
  }
  return request;
}

export function sizeOfRangeRequest(request: RangeRequest): number {
  return (
    sizeOfBytesField(request.key) +
    sizeOfBytesField(request.rangeEnd) +
    sizeOfNumberField(request.limit) +
    sizeOfNumberField(request.revision) +
    sizeOfNumberField(request.sortOrder) +
    sizeOfNumberField(request.sortTarget) +
    sizeOfBoolField(request.serializable) +
    sizeOfBoolField(request.keysOnly) +
    sizeOfBoolField(request.countOnly) +
    sizeOfNumberField(request.minModRevision) +
    sizeOfNumberField(request.maxModRevision) +
    sizeOfNumberField(request.minCreateRevision) +
    sizeOfNumberField(request.maxCreateRevision)
  );
}

export function writeRangeRequest(request: RangeRequest, target: Uint8Array, offset: number): number {
  let at = writeBytesField(target, offset, 0x0a, request.key);
  at = writeBytesField(target, at, 0x12, request.rangeEnd);
  at = writeNumberField(target, at, 0x18, request.limit);
  at = writeNumberField(target, at, 0x20, request.revision);
  at = writeNumberField(target, at, 0x28, request.sortOrder);
  at = writeNumberField(target, at, 0x30, request.sortTarget);
  at = writeBoolField(target, at, 0x38, request.serializable);
  at = writeBoolField(target, at, 0x40, request.keysOnly);
  at = writeBoolField(target, at, 0x48, request.countOnly);
  at = writeNumberField(target, at, 0x50, request.minModRevision);
  at = writeNumberField(target, at, 0x58, request.maxModRevision);
  at = writeNumberField(target, at, 0x60, request.minCreateRevision);
  return writeNumberField(target, at, 0x68, request.maxCreateRevision);
}

export function encodeRangeRequest(request: RangeRequest): Uint8Array {
  const target = new Uint8Array(sizeOfRangeRequest(request));
  writeRangeRequest(request, target, 0);
  return target;
}

export function decodePutRequest(bytes: Uint8Array): PutRequest {
  return readPutRequest(new WireReader(bytes));
}

export function readPutRequest(reader: WireReader): PutRequest {
  let key = emptyBytes;
  let value = emptyBytes;
  let lease = 0n;
  let prevKv = false;
  let ignoreValue = false;
  let ignoreLease = false;
  while (reader.hasMore) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        key = reader.view();
        break;
      case 0x12:
        value = reader.view();
        break;
      case 0x18:
        lease = reader.bigInt64();
        break;
      case 0x20:
        prevKv = reader.bool();
        break;
      case 0x28:
        ignoreValue = reader.bool();
        break;
      case 0x30:
        ignoreLease = reader.bool();
        break;
      default:
        reader.unknown(tag, putFields);
    }
  }
  return { key, value, lease, prevKv, ignoreValue, ignoreLease };
}

export function sizeOfPutRequest(request: PutRequest): number {
  return (
    sizeOfBytesField(request.key) +
    sizeOfBytesField(request.value) +
    sizeOfBigField(request.lease) +
    sizeOfBoolField(request.prevKv) +
    sizeOfBoolField(request.ignoreValue) +
    sizeOfBoolField(request.ignoreLease)
  );
}

export function writePutRequest(request: PutRequest, target: Uint8Array, offset: number): number {
  let at = writeBytesField(target, offset, 0x0a, request.key);
  at = writeBytesField(target, at, 0x12, request.value);
  at = writeBigField(target, at, 0x18, request.lease);
  at = writeBoolField(target, at, 0x20, request.prevKv);
  at = writeBoolField(target, at, 0x28, request.ignoreValue);
  return writeBoolField(target, at, 0x30, request.ignoreLease);
}

export function encodePutRequest(request: PutRequest): Uint8Array {
  const target = new Uint8Array(sizeOfPutRequest(request));
  writePutRequest(request, target, 0);
  return target;
}

/** @returns the input itself when it is canonical (borrowed), else an owned encoding. */
export function canonicalPutRequest(bytes: Uint8Array, decoded: PutRequest): Uint8Array {
  if (bytes.length === sizeOfPutRequest(decoded)) return bytes;
  return rpc.PutRequest.encode(rpc.PutRequest.decode(bytes)).finish();
}

export function decodeDeleteRangeRequest(bytes: Uint8Array): DeleteRangeRequest {
  return readDeleteRangeRequest(new WireReader(bytes));
}

export function readDeleteRangeRequest(reader: WireReader): DeleteRangeRequest {
  const request: DeleteRangeRequest = { key: emptyBytes, rangeEnd: emptyBytes, prevKv: false };
  while (reader.hasMore) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        request.key = reader.view();
        break;
      case 0x12:
        request.rangeEnd = reader.view();
        break;
      case 0x18:
        request.prevKv = reader.bool();
        break;
      default:
        reader.unknown(tag, deleteRangeFields);
    }
  }
  return request;
}

export function sizeOfDeleteRangeRequest(request: DeleteRangeRequest): number {
  return sizeOfBytesField(request.key) + sizeOfBytesField(request.rangeEnd) + sizeOfBoolField(request.prevKv);
}

export function writeDeleteRangeRequest(request: DeleteRangeRequest, target: Uint8Array, offset: number): number {
  let at = writeBytesField(target, offset, 0x0a, request.key);
  at = writeBytesField(target, at, 0x12, request.rangeEnd);
  return writeBoolField(target, at, 0x18, request.prevKv);
}

export function encodeDeleteRangeRequest(request: DeleteRangeRequest): Uint8Array {
  const target = new Uint8Array(sizeOfDeleteRangeRequest(request));
  writeDeleteRangeRequest(request, target, 0);
  return target;
}

/** As {@link canonicalPutRequest}. */
export function canonicalDeleteRangeRequest(bytes: Uint8Array, decoded: DeleteRangeRequest): Uint8Array {
  return bytes.length === sizeOfDeleteRangeRequest(decoded) ? bytes : encodeDeleteRangeRequest(decoded);
}

/**
 * Codecs of RangeRequest, PutRequest and DeleteRangeRequest.
 *
 *     RangeRequest        1 key  2 range_end  3 limit  4 revision  5 sort_order  6 sort_target  7 serializable  8 keys_only
 *                         9 count_only  10 min_mod  11 max_mod  12 min_create  13 max_create
 *     PutRequest          1 key  2 value  3 lease  4 prev_kv  5 ignore_value  6 ignore_lease
 *     DeleteRangeRequest  1 key  2 range_end  3 prev_kv
 *
 * What goes into the log is canonical: fields in order, none that is zero or empty. That matters for one field: a
 * range_end that is present with no bytes means "to the end" to a Go member, while a client means "one key" by it.
 */
import { emptyBytes } from "../../base/bytes.ts";
import { Reader } from "./reader.ts";
import type { DeleteRangeRequest, PutRequest, RangeRequest } from "./types.ts";
import {
  allocate,
  sizeOfBigInt64,
  sizeOfDelimited,
  sizeOfInt64,
  writeBigInt64,
  writeBytes,
  writeInt64Field,
  writeTrue,
} from "./writer.ts";

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

/** @throws {WireError} when the bytes are no such message. Byte fields of the result are views of `bytes`. */
export function decodeRangeRequest(bytes: Uint8Array): RangeRequest {
  return readRangeRequest(new Reader(bytes));
}

/** @throws {WireError} when the bytes are no such message. Byte fields of the result are views of `bytes`. */
export function decodePutRequest(bytes: Uint8Array): PutRequest {
  return readPutRequest(new Reader(bytes));
}

/** @throws {WireError} when the bytes are no such message. Byte fields of the result are views of `bytes`. */
export function decodeDeleteRangeRequest(bytes: Uint8Array): DeleteRangeRequest {
  return readDeleteRangeRequest(new Reader(bytes));
}

/** Owned, exact size, canonical. */
export function encodeRangeRequest(request: RangeRequest): Uint8Array {
  const target = allocate(sizeOfRangeRequest(request));
  writeRangeRequest(request, target, 0);
  return target;
}

/** Owned, exact size, canonical. */
export function encodePutRequest(request: PutRequest): Uint8Array {
  const target = allocate(sizeOfPutRequest(request));
  writePutRequest(request, target, 0);
  return target;
}

/** Owned, exact size, canonical. */
export function encodeDeleteRangeRequest(request: DeleteRangeRequest): Uint8Array {
  const target = allocate(sizeOfDeleteRangeRequest(request));
  writeDeleteRangeRequest(request, target, 0);
  return target;
}

/**
 * The bytes to put into the log: `bytes` itself, from which `request` was decoded, or a new encoding when they hold
 * anything superfluous (unknown, repeated, zero or empty fields, padded varints): all of which only add bytes.
 */
export function canonicalPutRequest(bytes: Uint8Array, request: PutRequest): Uint8Array {
  return sizeOfPutRequest(request) === bytes.length ? bytes : encodePutRequest(request);
}

/** As {@link canonicalPutRequest}. */
export function canonicalDeleteRangeRequest(bytes: Uint8Array, request: DeleteRangeRequest): Uint8Array {
  return sizeOfDeleteRangeRequest(request) === bytes.length ? bytes : encodeDeleteRangeRequest(request);
}

/** Reads up to the reader's end. */
export function readRangeRequest(reader: Reader): RangeRequest {
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
  while (reader.position < reader.end) {
    const tag = reader.tag("RangeRequest");
    if (tag === 0x0a) request.key = reader.bytes();
    else if (tag === 0x12) request.rangeEnd = reader.bytes();
    else if (tag === 0x18) request.limit = reader.int64();
    else if (tag === 0x20) request.revision = reader.int64();
    else if (tag === 0x28) request.sortOrder = reader.int32();
    else if (tag === 0x30) request.sortTarget = reader.int32();
    else if (tag === 0x38) request.serializable = reader.bool();
    else if (tag === 0x40) request.keysOnly = reader.bool();
    else if (tag === 0x48) request.countOnly = reader.bool();
    else if (tag === 0x50) request.minModRevision = reader.int64();
    else if (tag === 0x58) request.maxModRevision = reader.int64();
    else if (tag === 0x60) request.minCreateRevision = reader.int64();
    else if (tag === 0x68) request.maxCreateRevision = reader.int64();
    else reader.skip(tag, rangeFields);
  }
  return request;
}

/** Reads up to the reader's end. */
export function readPutRequest(reader: Reader): PutRequest {
  let key = emptyBytes;
  let value = emptyBytes;
  let lease = 0n;
  let prevKv = false;
  let ignoreValue = false;
  let ignoreLease = false;
  while (reader.position < reader.end) {
    const tag = reader.tag("PutRequest");
    if (tag === 0x0a) key = reader.bytes();
    else if (tag === 0x12) value = reader.bytes();
    else if (tag === 0x18) lease = reader.bigInt64();
    else if (tag === 0x20) prevKv = reader.bool();
    else if (tag === 0x28) ignoreValue = reader.bool();
    else if (tag === 0x30) ignoreLease = reader.bool();
    else reader.skip(tag, putFields);
  }
  return { key, value, lease, prevKv, ignoreValue, ignoreLease };
}

/** Reads up to the reader's end. */
export function readDeleteRangeRequest(reader: Reader): DeleteRangeRequest {
  let key = emptyBytes;
  let rangeEnd = emptyBytes;
  let prevKv = false;
  while (reader.position < reader.end) {
    const tag = reader.tag("DeleteRangeRequest");
    if (tag === 0x0a) key = reader.bytes();
    else if (tag === 0x12) rangeEnd = reader.bytes();
    else if (tag === 0x18) prevKv = reader.bool();
    else reader.skip(tag, deleteRangeFields);
  }
  return { key, rangeEnd, prevKv };
}

function sizeOfBytes(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : 1 + sizeOfDelimited(bytes.length);
}

function sizeOfNumber(value: number): number {
  return value === 0 ? 0 : 1 + sizeOfInt64(value);
}

function sizeOfBool(value: boolean): number {
  return value ? 2 : 0;
}

export function sizeOfRangeRequest(request: RangeRequest): number {
  return (
    sizeOfBytes(request.key) +
    sizeOfBytes(request.rangeEnd) +
    sizeOfNumber(request.limit) +
    sizeOfNumber(request.revision) +
    sizeOfNumber(request.sortOrder) +
    sizeOfNumber(request.sortTarget) +
    sizeOfBool(request.serializable) +
    sizeOfBool(request.keysOnly) +
    sizeOfBool(request.countOnly) +
    sizeOfNumber(request.minModRevision) +
    sizeOfNumber(request.maxModRevision) +
    sizeOfNumber(request.minCreateRevision) +
    sizeOfNumber(request.maxCreateRevision)
  );
}

export function sizeOfPutRequest(request: PutRequest): number {
  return (
    sizeOfBytes(request.key) +
    sizeOfBytes(request.value) +
    (request.lease === 0n ? 0 : 1 + sizeOfBigInt64(request.lease)) +
    sizeOfBool(request.prevKv) +
    sizeOfBool(request.ignoreValue) +
    sizeOfBool(request.ignoreLease)
  );
}

export function sizeOfDeleteRangeRequest(request: DeleteRangeRequest): number {
  return sizeOfBytes(request.key) + sizeOfBytes(request.rangeEnd) + sizeOfBool(request.prevKv);
}

/** Writes `sizeOfRangeRequest(request)` bytes; returns the offset behind them. */
export function writeRangeRequest(request: RangeRequest, target: Uint8Array, offset: number): number {
  let end = offset;
  if (request.key.length > 0) end = writeBytes(target, end, 0x0a, request.key);
  if (request.rangeEnd.length > 0) end = writeBytes(target, end, 0x12, request.rangeEnd);
  if (request.limit !== 0) end = writeInt64Field(target, end, 0x18, request.limit);
  if (request.revision !== 0) end = writeInt64Field(target, end, 0x20, request.revision);
  if (request.sortOrder !== 0) end = writeInt64Field(target, end, 0x28, request.sortOrder);
  if (request.sortTarget !== 0) end = writeInt64Field(target, end, 0x30, request.sortTarget);
  if (request.serializable) end = writeTrue(target, end, 0x38);
  if (request.keysOnly) end = writeTrue(target, end, 0x40);
  if (request.countOnly) end = writeTrue(target, end, 0x48);
  if (request.minModRevision !== 0) end = writeInt64Field(target, end, 0x50, request.minModRevision);
  if (request.maxModRevision !== 0) end = writeInt64Field(target, end, 0x58, request.maxModRevision);
  if (request.minCreateRevision !== 0) end = writeInt64Field(target, end, 0x60, request.minCreateRevision);
  if (request.maxCreateRevision !== 0) end = writeInt64Field(target, end, 0x68, request.maxCreateRevision);
  return end;
}

/** Writes `sizeOfPutRequest(request)` bytes; returns the offset behind them. */
export function writePutRequest(request: PutRequest, target: Uint8Array, offset: number): number {
  let end = offset;
  if (request.key.length > 0) end = writeBytes(target, end, 0x0a, request.key);
  if (request.value.length > 0) end = writeBytes(target, end, 0x12, request.value);
  if (request.lease !== 0n) {
    target[end] = 0x18;
    end = writeBigInt64(target, end + 1, request.lease);
  }
  if (request.prevKv) end = writeTrue(target, end, 0x20);
  if (request.ignoreValue) end = writeTrue(target, end, 0x28);
  if (request.ignoreLease) end = writeTrue(target, end, 0x30);
  return end;
}

/** Writes `sizeOfDeleteRangeRequest(request)` bytes; returns the offset behind them. */
export function writeDeleteRangeRequest(request: DeleteRangeRequest, target: Uint8Array, offset: number): number {
  let end = offset;
  if (request.key.length > 0) end = writeBytes(target, end, 0x0a, request.key);
  if (request.rangeEnd.length > 0) end = writeBytes(target, end, 0x12, request.rangeEnd);
  if (request.prevKv) end = writeTrue(target, end, 0x18);
  return end;
}

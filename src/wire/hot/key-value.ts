/**
 * Codec of `mvccpb.KeyValue` for those who want the whole pair. The store, which picks single fields out of stored rows
 * and keeps what it encodes in slabs, has its own (src/mvcc/stored-pair.ts).
 *
 *     1 key  2 create_revision  3 mod_revision  4 version  5 value  6 lease
 */
import { emptyBytes } from "../../base/bytes.ts";
import { Reader } from "./reader.ts";
import type { KeyValue } from "./types.ts";
import {
  allocate,
  sizeOfBigInt64,
  sizeOfDelimited,
  sizeOfInt64,
  writeBigInt64,
  writeBytes,
  writeInt64Field,
} from "./writer.ts";

const fields = [undefined, "Key", "CreateRevision", "ModRevision", "Version", "Value", "Lease"];

/** @throws {WireError} when the bytes are no such message. Key and value are views of `bytes`. */
export function decodeKeyValue(bytes: Uint8Array): KeyValue {
  const reader = new Reader(bytes);
  const pair: KeyValue = {
    key: emptyBytes,
    createRevision: 0,
    modRevision: 0,
    version: 0,
    value: emptyBytes,
    lease: 0n,
  };
  while (reader.position < reader.end) {
    const tag = reader.tag("KeyValue");
    if (tag === 0x0a) pair.key = reader.bytes();
    else if (tag === 0x10) pair.createRevision = reader.int64();
    else if (tag === 0x18) pair.modRevision = reader.int64();
    else if (tag === 0x20) pair.version = reader.int64();
    else if (tag === 0x2a) pair.value = reader.bytes();
    else if (tag === 0x30) pair.lease = reader.bigInt64();
    else reader.skip(tag, fields);
  }
  return pair;
}

/** Owned, exact size. */
export function encodeKeyValue(pair: KeyValue): Uint8Array {
  const target = allocate(sizeOf(pair));
  let end = 0;
  if (pair.key.length > 0) end = writeBytes(target, end, 0x0a, pair.key);
  if (pair.createRevision !== 0) end = writeInt64Field(target, end, 0x10, pair.createRevision);
  if (pair.modRevision !== 0) end = writeInt64Field(target, end, 0x18, pair.modRevision);
  if (pair.version !== 0) end = writeInt64Field(target, end, 0x20, pair.version);
  if (pair.value.length > 0) end = writeBytes(target, end, 0x2a, pair.value);
  if (pair.lease !== 0n) {
    target[end] = 0x30;
    writeBigInt64(target, end + 1, pair.lease);
  }
  return target;
}

function sizeOf(pair: KeyValue): number {
  let size = 0;
  if (pair.key.length > 0) size += 1 + sizeOfDelimited(pair.key.length);
  if (pair.createRevision !== 0) size += 1 + sizeOfInt64(pair.createRevision);
  if (pair.modRevision !== 0) size += 1 + sizeOfInt64(pair.modRevision);
  if (pair.version !== 0) size += 1 + sizeOfInt64(pair.version);
  if (pair.value.length > 0) size += 1 + sizeOfDelimited(pair.value.length);
  if (pair.lease !== 0n) size += 1 + sizeOfBigInt64(pair.lease);
  return size;
}

/**
 * Answers of the key-value calls, written around stored bytes. `header` is the complete header field, made by
 * {@link HeaderEncoder} (or, inside a transaction, by txn-response.ts). `writeX` returns the end offset and fills exactly
 * `sizeOfX` bytes.
 */
import type { DeleteRangeResponse, PutResponse, RangeResponse } from "./types.ts";
import {
  sizeOfBoolField,
  sizeOfLength,
  sizeOfNumberField,
  writeBoolField,
  writeBytes,
  writeNumberField,
} from "./wire-writer.ts";

export function sizeOfRangeResponse(response: RangeResponse, header: Uint8Array): number {
  let size = header.length + sizeOfRangeTail(response.more, response.count);
  for (const kv of response.kvs) size += sizeOfLength(kv.length);
  return size;
}

export function writeRangeResponse(
  response: RangeResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  target.set(header, offset);
  let at = offset + header.length;
  for (const kv of response.kvs) at = writeBytes(target, at, 0x12, kv);
  return writeRangeTail(response.more, response.count, target, at);
}

/** What stands behind the pairs. */
export function sizeOfRangeTail(more: boolean, count: number): number {
  return sizeOfBoolField(more) + sizeOfNumberField(count);
}

export function writeRangeTail(more: boolean, count: number, target: Uint8Array, offset: number): number {
  return writeNumberField(target, writeBoolField(target, offset, 0x18, more), 0x20, count);
}

export function sizeOfPutResponse({ prevKv }: PutResponse, header: Uint8Array): number {
  return header.length + (prevKv === undefined ? 0 : sizeOfLength(prevKv.length));
}

export function writePutResponse(
  { prevKv }: PutResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  target.set(header, offset);
  const at = offset + header.length;
  return prevKv === undefined ? at : writeBytes(target, at, 0x12, prevKv);
}

export function sizeOfDeleteRangeResponse(response: DeleteRangeResponse, header: Uint8Array): number {
  let size = header.length + sizeOfNumberField(response.deleted);
  for (const kv of response.prevKvs) size += sizeOfLength(kv.length);
  return size;
}

export function writeDeleteRangeResponse(
  response: DeleteRangeResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  target.set(header, offset);
  let at = writeNumberField(target, offset + header.length, 0x10, response.deleted);
  for (const kv of response.prevKvs) at = writeBytes(target, at, 0x1a, kv);
  return at;
}

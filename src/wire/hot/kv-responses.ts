/**
 * Encoders of RangeResponse, PutResponse and DeleteRangeResponse. First ask for the size, then write exactly as much.
 *
 *     RangeResponse        1 header  2 kvs*  3 more  4 count
 *     PutResponse          1 header  2 prev_kv
 *     DeleteRangeResponse  1 header  2 deleted  3 prev_kvs*
 *
 * Pairs go in as they are stored. Headers come from `HeaderEncoder.encode`; the functions with `Body` in their name leave
 * the header out, for answers inside a transaction and for large ranges that are sent in parts: such an answer is the
 * header, the pairs as fields, and the tail.
 */
import type { DeleteRangeResponse, PutResponse, RangeResponse } from "./types.ts";
import { copyInto, sizeOfDelimited, sizeOfInt64, writeBytes, writeInt64Field, writeTrue } from "./writer.ts";

export function sizeOfRangeResponse(response: RangeResponse, header: Uint8Array): number {
  return header.length + sizeOfRangeBody(response);
}

/** Returns the offset behind the answer. */
export function writeRangeResponse(
  response: RangeResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  return writeRangeBody(response, target, copyInto(target, offset, header));
}

export function sizeOfPutResponse(response: PutResponse, header: Uint8Array): number {
  return header.length + sizeOfPutBody(response);
}

/** Returns the offset behind the answer. */
export function writePutResponse(
  response: PutResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  return writePutBody(response, target, copyInto(target, offset, header));
}

export function sizeOfDeleteRangeResponse(response: DeleteRangeResponse, header: Uint8Array): number {
  return header.length + sizeOfDeleteRangeBody(response);
}

/** Returns the offset behind the answer. */
export function writeDeleteRangeResponse(
  response: DeleteRangeResponse,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  return writeDeleteRangeBody(response, target, copyInto(target, offset, header));
}

export function sizeOfRangeBody(response: RangeResponse): number {
  return sizeOfPairs(response.kvs) + sizeOfRangeTail(response.more, response.count);
}

export function writeRangeBody(response: RangeResponse, target: Uint8Array, offset: number): number {
  const end = writePairs(response.kvs, target, offset, 0x12);
  return writeRangeTail(response.more, response.count, target, end);
}

/** Size of what follows the pairs in a RangeResponse. */
export function sizeOfRangeTail(more: boolean, count: number): number {
  return (more ? 2 : 0) + (count === 0 ? 0 : 1 + sizeOfInt64(count));
}

export function writeRangeTail(more: boolean, count: number, target: Uint8Array, offset: number): number {
  const end = more ? writeTrue(target, offset, 0x18) : offset;
  return count === 0 ? end : writeInt64Field(target, end, 0x20, count);
}

export function sizeOfPutBody({ prevKv }: PutResponse): number {
  return prevKv === undefined ? 0 : 1 + sizeOfDelimited(prevKv.length);
}

export function writePutBody({ prevKv }: PutResponse, target: Uint8Array, offset: number): number {
  return prevKv === undefined ? offset : writeBytes(target, offset, 0x12, prevKv);
}

export function sizeOfDeleteRangeBody(response: DeleteRangeResponse): number {
  return sizeOfPairs(response.prevKvs) + (response.deleted === 0 ? 0 : 1 + sizeOfInt64(response.deleted));
}

export function writeDeleteRangeBody(response: DeleteRangeResponse, target: Uint8Array, offset: number): number {
  const end = response.deleted === 0 ? offset : writeInt64Field(target, offset, 0x10, response.deleted);
  return writePairs(response.prevKvs, target, end, 0x1a);
}

function sizeOfPairs(pairs: readonly Uint8Array[]): number {
  let size = pairs.length;
  for (let index = 0; index < pairs.length; index++) size += sizeOfDelimited(pairs[index].length);
  return size;
}

function writePairs(pairs: readonly Uint8Array[], target: Uint8Array, offset: number, tag: number): number {
  let end = offset;
  for (let index = 0; index < pairs.length; index++) end = writeBytes(target, end, tag, pairs[index]);
  return end;
}

/**
 * LeaseKeepAlive: one small message in and one out, for every lease, every few seconds.
 *
 *     LeaseKeepAliveRequest   1 ID
 *     LeaseKeepAliveResponse  1 header  2 ID  3 TTL
 */
import { Reader } from "./reader.ts";
import { copyInto, sizeOfBigInt64, sizeOfInt64, writeBigInt64, writeInt64Field } from "./writer.ts";

const fields = [undefined, "ID"];

/** The lease id. @throws {WireError} when the bytes are no such message. */
export function decodeLeaseKeepAliveRequest(bytes: Uint8Array): bigint {
  const reader = new Reader(bytes);
  let id = 0n;
  while (reader.position < reader.end) {
    const tag = reader.tag("LeaseKeepAliveRequest");
    if (tag === 0x08) id = reader.bigInt64();
    else reader.skip(tag, fields);
  }
  return id;
}

export function sizeOfLeaseKeepAliveResponse(id: bigint, ttlSeconds: number, header: Uint8Array): number {
  let size = header.length;
  if (id !== 0n) size += 1 + sizeOfBigInt64(id);
  if (ttlSeconds !== 0) size += 1 + sizeOfInt64(ttlSeconds);
  return size;
}

/** Returns the offset behind the answer. */
export function writeLeaseKeepAliveResponse(
  id: bigint,
  ttlSeconds: number,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  let end = copyInto(target, offset, header);
  if (id !== 0n) {
    target[end] = 0x10;
    end = writeBigInt64(target, end + 1, id);
  }
  return ttlSeconds === 0 ? end : writeInt64Field(target, end, 0x18, ttlSeconds);
}

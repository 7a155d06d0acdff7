/** LeaseKeepAliveRequest and LeaseKeepAliveResponse, which come once a lease and a third of its TTL. */
import { WireReader } from "./wire-reader.ts";
import { sizeOfBigField, sizeOfNumberField, writeBigField, writeNumberField } from "./wire-writer.ts";

/** @returns the lease's id. @throws {WireError} */
export function decodeLeaseKeepAliveRequest(bytes: Uint8Array): bigint {
  const reader = new WireReader(bytes);
  let id = 0n;
  while (reader.hasMore) {
    const tag = reader.tag();
    if (tag === 0x08) id = reader.bigInt64();
    else reader.unknown(tag, [undefined, "ID"]);
  }
  return id;
}

/** `header` as in kv-responses.ts. */
export function sizeOfLeaseKeepAliveResponse(id: bigint, ttlSeconds: number, header: Uint8Array): number {
  return header.length + sizeOfBigField(id) + sizeOfNumberField(ttlSeconds);
}

export function writeLeaseKeepAliveResponse(
  id: bigint,
  ttlSeconds: number,
  header: Uint8Array,
  target: Uint8Array,
  offset: number,
): number {
  target.set(header, offset);
  return writeNumberField(target, writeBigField(target, offset + header.length, 0x10, id), 0x18, ttlSeconds);
}

/**
 * Encoders for the watch stream. An event is encoded once, as a complete field of WatchResponse, and shared by all
 * watchers that get it; a response is a small head of its own followed by the events.
 *
 *     WatchResponse  1 header  2 watch_id  3 created  4 canceled  5 compact_revision  6 cancel_reason  7 fragment  11 events*
 *     Event          1 type  2 kv  3 prev_kv
 */
import type { EventType, WatchResponse } from "./types.ts";
import {
  allocate,
  copyInto,
  sizeOfBigInt64,
  sizeOfDelimited,
  sizeOfInt64,
  writeBigInt64,
  writeBytes,
  writeInt64Field,
  writeTrue,
  writeVarint,
} from "./writer.ts";

const eventsTag = 0x5a;

/**
 * One event as field 11 of a WatchResponse, tag and length included. Owned; not to be changed, as watchers share it.
 *
 * @param kv - the encoded pair; of a deletion it holds key and mod_revision only.
 * @param prevKv - the encoded pair before the event, for watchers that want it.
 */
export function encodeEvent(type: EventType, kv: Uint8Array, prevKv?: Uint8Array): Uint8Array {
  let size = 1 + sizeOfDelimited(kv.length);
  if (type !== 0) size += 2;
  if (prevKv !== undefined) size += 1 + sizeOfDelimited(prevKv.length);
  const target = allocate(1 + sizeOfDelimited(size));
  target[0] = eventsTag;
  let end = writeVarint(target, 1, size);
  if (type !== 0) end = writeInt64Field(target, end, 0x08, type);
  end = writeBytes(target, end, 0x12, kv);
  if (prevKv !== undefined) writeBytes(target, end, 0x1a, prevKv);
  return target;
}

/** A response without its events: append those, in order. Owned. */
export function encodeWatchResponseHead(response: WatchResponse, header: Uint8Array): Uint8Array {
  const reason = response.cancelReason === "" ? undefined : Buffer.from(response.cancelReason, "utf8");
  let size = header.length;
  if (response.watchId !== 0n) size += 1 + sizeOfBigInt64(response.watchId);
  if (response.created) size += 2;
  if (response.canceled) size += 2;
  if (response.compactRevision !== 0) size += 1 + sizeOfInt64(response.compactRevision);
  if (reason !== undefined) size += 1 + sizeOfDelimited(reason.length);
  if (response.fragment) size += 2;

  const target = allocate(size);
  let end = copyInto(target, 0, header);
  if (response.watchId !== 0n) {
    target[end] = 0x10;
    end = writeBigInt64(target, end + 1, response.watchId);
  }
  if (response.created) end = writeTrue(target, end, 0x18);
  if (response.canceled) end = writeTrue(target, end, 0x20);
  if (response.compactRevision !== 0) end = writeInt64Field(target, end, 0x28, response.compactRevision);
  if (reason !== undefined) end = writeBytes(target, end, 0x32, reason);
  if (response.fragment) writeTrue(target, end, 0x38);
  return target;
}

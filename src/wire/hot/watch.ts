/**
 * Watch events and answers. An event is encoded once, as a complete field of WatchResponse, and shared by every watcher
 * that sees it; an answer is a head of its own followed by shared events.
 */
import type { EventType, WatchResponse } from "./types.ts";
import {
  sizeOfBigField,
  sizeOfBoolField,
  sizeOfBytesField,
  sizeOfLength,
  sizeOfNumberField,
  writeBigField,
  writeBoolField,
  writeBytes,
  writeBytesField,
  writeNumberField,
  writeVarint,
} from "./wire-writer.ts";

/** Field 11 of WatchResponse: Event {type, kv, prev_kv} around encoded pairs. */
export function encodeEvent(type: EventType, kv: Uint8Array, prevKv?: Uint8Array): Uint8Array {
  const inner =
    sizeOfNumberField(type) + sizeOfLength(kv.length) + (prevKv === undefined ? 0 : sizeOfLength(prevKv.length));
  // From the shared pool, completely written: see encodeRaftRequest.
  const target = Buffer.allocUnsafe(sizeOfLength(inner));
  target[0] = 0x5a;
  let at = writeVarint(target, 1, inner);
  at = writeNumberField(target, at, 0x08, type);
  at = writeBytes(target, at, 0x12, kv);
  if (prevKv !== undefined) writeBytes(target, at, 0x1a, prevKv);
  return target;
}

/** Everything of an answer but its events, which follow. `header` as in kv-responses.ts. */
export function encodeWatchResponseHead(response: WatchResponse, header: Uint8Array): Uint8Array {
  const reason = response.cancelReason === "" ? undefined : Buffer.from(response.cancelReason);
  const target = new Uint8Array(
    header.length +
      sizeOfBigField(response.watchId) +
      sizeOfBoolField(response.created) +
      sizeOfBoolField(response.canceled) +
      sizeOfNumberField(response.compactRevision) +
      (reason === undefined ? 0 : sizeOfBytesField(reason)) +
      sizeOfBoolField(response.fragment),
  );
  target.set(header, 0);
  let at = writeBigField(target, header.length, 0x10, response.watchId);
  at = writeBoolField(target, at, 0x18, response.created);
  at = writeBoolField(target, at, 0x20, response.canceled);
  at = writeNumberField(target, at, 0x28, response.compactRevision);
  if (reason !== undefined) at = writeBytesField(target, at, 0x32, reason);
  writeBoolField(target, at, 0x38, response.fragment);
  return target;
}

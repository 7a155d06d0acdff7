/** `mvccpb.KeyValue`: what the store keeps for a revision, and pickers that read one field of stored bytes. */
import { emptyBytes } from "../../base/bytes.ts";
import type { KeyValue } from "./types.ts";
import { WireReader } from "./wire-reader.ts";
import {
  sizeOfBigField,
  sizeOfBytesField,
  sizeOfNumberField,
  writeBigField,
  writeBytesField,
  writeNumberField,
} from "./wire-writer.ts";

const fields = [undefined, "Key", "CreateRevision", "ModRevision", "Version", "Value", "Lease"];

/** Owned, exact size. */
export function encodeKeyValue(kv: KeyValue): Uint8Array {
  const target = new Uint8Array(
    sizeOfBytesField(kv.key) +
      sizeOfNumberField(kv.createRevision) +
      sizeOfNumberField(kv.modRevision) +
      sizeOfNumberField(kv.version) +
      sizeOfBytesField(kv.value) +
      sizeOfBigField(kv.lease),
  );
  let at = writeBytesField(target, 0, 0x0a, kv.key);
  at = writeNumberField(target, at, 0x10, kv.createRevision);
  at = writeNumberField(target, at, 0x18, kv.modRevision);
  at = writeNumberField(target, at, 0x20, kv.version);
  at = writeBytesField(target, at, 0x2a, kv.value);
  writeBigField(target, at, 0x30, kv.lease);
  return target;
}

/** Key and value are views. @throws {WireError} */
export function decodeKeyValue(bytes: Uint8Array): KeyValue {
  const reader = new WireReader(bytes);
  const kv: KeyValue = { key: emptyBytes, createRevision: 0, modRevision: 0, version: 0, value: emptyBytes, lease: 0n };
  while (reader.hasMore) {
    const tag = reader.tag();
    switch (tag) {
      case 0x0a:
        kv.key = reader.view();
        break;
      case 0x10:
        kv.createRevision = reader.int64();
        break;
      case 0x18:
        kv.modRevision = reader.int64();
        break;
      case 0x20:
        kv.version = reader.int64();
        break;
      case 0x2a:
        kv.value = reader.view();
        break;
      case 0x30:
        kv.lease = reader.bigInt64();
        break;
      default:
        reader.unknown(tag, fields);
    }
  }
  return kv;
}

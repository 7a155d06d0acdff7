/**
 * Rows of the store: encoded `mvccpb.KeyValue` messages, and how to pick fields out of them without decoding.
 *
 *     1 key bytes | 2 create_revision | 3 mod_revision | 4 version | 5 value bytes | 6 lease (int64 varint)
 *
 * Ascending order, zero fields left out. A tombstone holds only the key. Another writer may have used another order or
 * unknown fields; reading accepts any order and skips what it does not know.
 */
import { emptyBytes } from "../base/bytes.ts";
import { CorruptionError } from "../base/corruption.ts";

const keyTag = 0x0a;
const createTag = 0x10;
const modTag = 0x18;
const versionTag = 0x20;
const valueTag = 0x2a;
const leaseTag = 0x30;

/**
 * Rows are cut from slabs: an array with a buffer of its own costs a malloc and a free, several times the encoding. Rows of
 * one slab are written one after the other and become durable together, so that a slab does not outlive its use by much.
 */
const slabBytes = 64 * 1024;
const sharedBytesMax = slabBytes / 8;
let slab = new ArrayBuffer(slabBytes);
let slabUsed = 0;

function allocate(size: number): Uint8Array {
  if (size > sharedBytesMax) return new Uint8Array(size);
  if (slabUsed + size > slabBytes) {
    slab = new ArrayBuffer(slabBytes);
    slabUsed = 0;
  }
  const bytes = new Uint8Array(slab, slabUsed, size);
  slabUsed += size;
  return bytes;
}

/** Encodes a pair; the result is exactly as long as needed and nobody else writes to it. */
export function encodePair(
  key: Uint8Array,
  createRevision: number,
  modRevision: number,
  version: number,
  value: Uint8Array,
  lease: bigint,
): Uint8Array {
  let size = 0;
  if (key.length > 0) size += 1 + varintSize(key.length) + key.length;
  if (createRevision > 0) size += 1 + varintSize(createRevision);
  if (modRevision > 0) size += 1 + varintSize(modRevision);
  if (version > 0) size += 1 + varintSize(version);
  if (value.length > 0) size += 1 + varintSize(value.length) + value.length;
  if (lease !== 0n) size += 1 + leaseSize(lease);
  const target = allocate(size);
  let at = 0;
  if (key.length > 0) at = writeBytes(target, at, keyTag, key);
  if (createRevision > 0) at = writeCounter(target, at, createTag, createRevision);
  if (modRevision > 0) at = writeCounter(target, at, modTag, modRevision);
  if (version > 0) at = writeCounter(target, at, versionTag, version);
  if (value.length > 0) at = writeBytes(target, at, valueTag, value);
  if (lease !== 0n) writeLease(target, at, lease);
  return target;
}

/** The fields of one stored pair by place; one instance is reused for many pairs. */
export class PairReader {
  #bytes: Uint8Array = emptyBytes;
  #keyStart = 0;
  #keyEnd = 0;
  #valueStart = 0;
  #valueEnd = 0;
  /** Start of the value's tag; equal to `#valueEnd` when there is no value. */
  #valueFieldStart = 0;
  #leaseStart = -1;
  createRevision = 0;
  modRevision = 0;
  version = 0;

  /** @throws {CorruptionError} when the bytes are not a KeyValue message. */
  read(bytes: Uint8Array): this {
    this.#bytes = bytes;
    this.#keyStart = this.#keyEnd = 0;
    this.#valueStart = this.#valueEnd = this.#valueFieldStart = bytes.length;
    this.#leaseStart = -1;
    this.createRevision = 0;
    this.modRevision = 0;
    this.version = 0;
    const { length } = bytes;
    let at = 0;
    while (at < length) {
      const fieldStart = at;
      const tag = bytes[at++];
      if (tag === keyTag || tag === valueTag) {
        let size = bytes[at++];
        if (size >= 0x80) {
          size = readVarint(bytes, --at);
          at = skipVarint(bytes, at);
        }
        if (tag === keyTag) {
          this.#keyStart = at;
          this.#keyEnd = at + size;
        } else {
          this.#valueFieldStart = fieldStart;
          this.#valueStart = at;
          this.#valueEnd = at + size;
        }
        at += size;
      } else if (tag === createTag || tag === modTag || tag === versionTag) {
        const number = readVarint(bytes, at);
        if (tag === createTag) this.createRevision = number;
        else if (tag === modTag) this.modRevision = number;
        else this.version = number;
        at = skipVarint(bytes, at);
      } else {
        if (tag === leaseTag) this.#leaseStart = at;
        at = skipUnknown(bytes, fieldStart);
      }
    }
    if (at !== length) throw corrupt(bytes);
    return this;
  }

  /** A view. */
  get key(): Uint8Array {
    return this.#bytes.subarray(this.#keyStart, this.#keyEnd);
  }

  /** A view. */
  get value(): Uint8Array {
    return this.#bytes.subarray(this.#valueStart, this.#valueEnd);
  }

  get hasLease(): boolean {
    return this.#leaseStart >= 0;
  }

  get lease(): bigint {
    return this.#leaseStart < 0 ? 0n : readLease(this.#bytes, this.#leaseStart);
  }

  /** Length of {@link withoutValue}. */
  get sizeWithoutValue(): number {
    return this.#bytes.length - (this.#valueEnd - this.#valueFieldStart);
  }

  /** The pair without its value field, as keys_only shows it; owned unless there is no value. */
  withoutValue(): Uint8Array {
    if (this.#valueFieldStart === this.#valueEnd) return this.#bytes;
    const stripped = new Uint8Array(this.sizeWithoutValue);
    stripped.set(this.#bytes.subarray(0, this.#valueFieldStart));
    stripped.set(this.#bytes.subarray(this.#valueEnd), this.#valueFieldStart);
    return stripped;
  }
}

export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let size = 5;
  for (let rest = value / 0x8_0000_0000; rest >= 1; rest /= 128) size++;
  return size;
}

/** Writes an unsigned number below 2^53; returns the end. */
export function writeVarint(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  let rest = value;
  while (rest >= 0x1000_0000) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}

function writeBytes(target: Uint8Array, offset: number, tag: number, bytes: Uint8Array): number {
  target[offset] = tag;
  const at = writeVarint(target, offset + 1, bytes.length);
  target.set(bytes, at);
  return at + bytes.length;
}

function writeCounter(target: Uint8Array, offset: number, tag: number, value: number): number {
  target[offset] = tag;
  return writeVarint(target, offset + 1, value);
}

function leaseSize(lease: bigint): number {
  const unsigned = BigInt.asUintN(64, lease);
  return varintSize64(Number(unsigned & 0xffff_ffffn), Number(unsigned >> 32n));
}

function varintSize64(low: number, high: number): number {
  if (high === 0) return varintSize(low);
  return Math.ceil((64 - Math.clz32(high)) / 7);
}

function writeLease(target: Uint8Array, offset: number, lease: bigint): void {
  const unsigned = BigInt.asUintN(64, lease);
  let low = Number(unsigned & 0xffff_ffffn);
  let high = Number(unsigned >> 32n);
  let at = offset;
  target[at++] = leaseTag;
  while (high > 0 || low >= 0x80) {
    target[at++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  target[at] = low;
}

function readLease(bytes: Uint8Array, offset: number): bigint {
  let value = 0n;
  let shift = 0n;
  for (let at = offset; ; at++) {
    value |= BigInt(bytes[at] & 0x7f) << shift;
    if (bytes[at] < 0x80) return BigInt.asIntN(64, value);
    shift += 7n;
  }
}

function readVarint(bytes: Uint8Array, offset: number): number {
  let value = 0;
  let scale = 1;
  for (let at = offset; at < bytes.length; at++) {
    const byte = bytes[at];
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      if (value > Number.MAX_SAFE_INTEGER) throw corrupt(bytes);
      return value;
    }
    scale *= 128;
  }
  throw corrupt(bytes);
}

function skipVarint(bytes: Uint8Array, offset: number): number {
  let at = offset;
  while (bytes[at] >= 0x80) at++;
  if (at >= bytes.length) throw corrupt(bytes);
  return at + 1;
}

/** Skips the field whose tag starts at `offset`. */
function skipUnknown(bytes: Uint8Array, offset: number): number {
  const wireType = bytes[offset] & 7;
  const at = skipVarint(bytes, offset);
  if (wireType === 0) return skipVarint(bytes, at);
  if (wireType === 1) return at + 8;
  if (wireType === 5) return at + 4;
  if (wireType === 2) return skipVarint(bytes, at) + readVarint(bytes, at);
  throw corrupt(bytes);
}

function corrupt(bytes: Uint8Array): CorruptionError {
  const start = Buffer.from(bytes.subarray(0, 64)).toString("hex");
  return new CorruptionError({ path: "bucket key" }, `a row is not a KeyValue message: ${start}`);
}

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
import {
  sizeOfBigField,
  sizeOfBytesField,
  sizeOfNumberField,
  writeBigField,
  writeBytesField,
  writeNumberField,
} from "../wire/hot/wire-writer.ts";

const keyTag = 0x0a;
const createTag = 0x10;
const modTag = 0x18;
const versionTag = 0x20;
const valueTag = 0x2a;
const leaseTag = 0x30;

const slabBytes = 64 * 1024;
const sharedBytesMax = slabBytes / 8;

/**
 * Encodes pairs into slabs of 64 KiB: an array with a buffer of its own costs a malloc and a free, several times the
 * encoding. Rows of one slab are written one after the other and become durable together, so that a slab does not
 * outlive its use by much.
 */
export class PairEncoder {
  #slab = new ArrayBuffer(slabBytes);
  #used = 0;

  /** The result is exactly as long as needed; nobody writes to it again. */
  encode(
    key: Uint8Array,
    createRevision: number,
    modRevision: number,
    version: number,
    value: Uint8Array,
    lease: bigint,
  ): Uint8Array {
    const target = this.#allocate(
      sizeOfBytesField(key) +
        sizeOfNumberField(createRevision) +
        sizeOfNumberField(modRevision) +
        sizeOfNumberField(version) +
        sizeOfBytesField(value) +
        (lease === 0n ? 0 : sizeOfBigField(lease)),
    );
    let at = writeBytesField(target, 0, keyTag, key);
    at = writeNumberField(target, at, createTag, createRevision);
    at = writeNumberField(target, at, modTag, modRevision);
    at = writeNumberField(target, at, versionTag, version);
    at = writeBytesField(target, at, valueTag, value);
    if (lease !== 0n) writeBigField(target, at, leaseTag, lease);
    return target;
  }

  /** The row of a tombstone. */
  encodeTombstone(key: Uint8Array): Uint8Array {
    return this.encode(key, 0, 0, 0, emptyBytes, 0n);
  }

  /** The pair that the event of a deletion shows. */
  encodeDeletion(key: Uint8Array, main: number): Uint8Array {
    return this.encode(key, 0, main, 0, emptyBytes, 0n);
  }

  #allocate(size: number): Uint8Array {
    if (size > sharedBytesMax) return new Uint8Array(size);
    if (this.#used + size > slabBytes) {
      this.#slab = new ArrayBuffer(slabBytes);
      this.#used = 0;
    }
    const bytes = new Uint8Array(this.#slab, this.#used, size);
    this.#used += size;
    return bytes;
  }
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

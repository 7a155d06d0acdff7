/**
 * Reads protobuf fields from bytes without allocating: a 64-bit varint lands in two 32-bit halves, from which the caller
 * takes what the field's type needs. Bytes come out as views of the input.
 *
 * Malformed input (cut off, overlong, field number 0, groups) throws {@link WireError}; nothing is read beyond `end`.
 */
import { WireError } from "../wire-error.ts";
import { emptyBytes } from "../../base/bytes.ts";
import { toInt64, toUint64 } from "./words.ts";

export const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, StartGroup: 3, EndGroup: 4, Fixed32: 5 } as const;

const two32 = 0x1_0000_0000;
/** The upper half of 2^53. */
const highOf53 = 0x20_0000;

export class WireReader {
  readonly bytes: Uint8Array;
  /** Kept apart for {@link view}: making a view this way costs half of `subarray`. */
  readonly #buffer: ArrayBufferLike;
  readonly #base: number;
  at: number;
  end: number;
  /** Halves of the last varint, as unsigned numbers. */
  low = 0;
  high = 0;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.#buffer = bytes.buffer;
    this.#base = bytes.byteOffset;
    this.at = at;
    this.end = end;
  }

  /** Whether there is another field. */
  get hasMore(): boolean {
    return this.at < this.end;
  }

  /** Reads a tag: field number × 8 + wire type. */
  tag(): number {
    const first = this.bytes[this.at];
    if (first < 0x80 && first > 7 && this.at < this.end) {
      this.at++;
      return first;
    }
    this.varint();
    if (this.high !== 0 || this.low >>> 3 === 0) {
      throw new WireError(`proto: illegal tag ${this.low >>> 3} (wire type ${this.low & 7})`);
    }
    return this.low;
  }

  /** Reads a varint into {@link low} and {@link high}. */
  varint(): void {
    const { bytes, end } = this;
    let at = this.at;
    if (at < end && bytes[at] < 0x80) {
      this.low = bytes[at];
      this.high = 0;
      this.at = at + 1;
      return;
    }
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) throw new WireError("unexpected EOF");
      const byte = bytes[at++];
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else {
        if (byte > 1) throw new WireError("proto: integer overflow");
        high |= bits << 31;
      }
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        this.at = at;
        return;
      }
    }
    throw new WireError("proto: integer overflow");
  }

  /** An int64, saturated at ±(2^53 - 1): see types.ts. */
  int64(): number {
    this.varint();
    return this.saturated();
  }

  /** The last varint as an int64, saturated. */
  saturated(): number {
    if (this.high < highOf53) return this.high * two32 + this.low;
    if (this.high < 0x8000_0000) return Number.MAX_SAFE_INTEGER;
    const value = (this.high - two32) * two32 + this.low;
    return value < -Number.MAX_SAFE_INTEGER ? -Number.MAX_SAFE_INTEGER : value;
  }

  /** An int64, exact. */
  bigInt64(): bigint {
    this.varint();
    return this.low === 0 && this.high === 0 ? 0n : toInt64(this.low, this.high);
  }

  /** A uint64, exact. */
  bigUint64(): bigint {
    this.varint();
    return this.low === 0 && this.high === 0 ? 0n : toUint64(this.low, this.high);
  }

  /** An enum or int32: the low half, signed. */
  int32(): number {
    this.varint();
    return this.low | 0;
  }

  bool(): boolean {
    this.varint();
    return this.low !== 0 || this.high !== 0;
  }

  /** Length of a field that follows, checked against the end. */
  length(): number {
    this.varint();
    if (this.high !== 0 || this.low > 0x7fff_ffff)
      throw new WireError("proto: negative length found during unmarshaling");
    if (this.low > this.end - this.at) throw new WireError("unexpected EOF");
    return this.low;
  }

  /** A view of a bytes field. */
  view(): Uint8Array {
    const length = this.length();
    if (length === 0) return emptyBytes;
    const start = this.at;
    this.at = start + length;
    return new Uint8Array(this.#buffer, this.#base + start, length);
  }

  /** Enters an embedded message; give the result to {@link leave}. */
  enter(): number {
    const length = this.length();
    const outer = this.end;
    this.end = this.at + length;
    return outer;
  }

  leave(outer: number): void {
    this.at = this.end;
    this.end = outer;
  }

  /** Passes over a field that is not known. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WireType.Varint:
        this.varint();
        return;
      case WireType.Fixed64:
        this.#advance(8);
        return;
      case WireType.Bytes:
        this.#advance(this.length());
        return;
      case WireType.Fixed32:
        this.#advance(4);
        return;
      default:
        throw new WireError(`proto: illegal wireType ${tag & 7}`);
    }
  }

  /**
   * A field that no case took: one that is not known, or a known one with another wire type than its own.
   *
   * @param names - the known fields by number, in Go's spelling, which clients see in the error.
   */
  unknown(tag: number, names: readonly (string | undefined)[]): void {
    const name = names[tag >>> 3];
    if (name !== undefined) throw new WireError(`proto: wrong wireType = ${tag & 7} for field ${name}`);
    this.skip(tag);
  }

  #advance(count: number): void {
    if (count > this.end - this.at) throw new WireError("unexpected EOF");
    this.at += count;
  }
}

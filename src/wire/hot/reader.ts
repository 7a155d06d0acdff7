/**
 * Reads protobuf fields one after the other, as the decoders that gogoproto generates for etcd do: the same input is
 * accepted and refused, and refused in the same words. No BigInt except where an identifier is asked for.
 *
 * 64-bit varints are put together from two 32-bit halves. Unknown fields are skipped, unknown groups too (without
 * recursion); a known field in a group or any other wrong wire type is refused.
 */
import { emptyBytes } from "../../base/bytes.ts";
import { WireError } from "../wire-error.ts";

const int64 = new BigInt64Array(1);
const words = new Uint32Array(int64.buffer);
/** Place of the lower half of a 64-bit number on this machine. */
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;
const HIGH = 1 - LOW;

const TWO_32 = 0x1_0000_0000;
/** What an int64 that does not fit a `number` becomes; beyond every counter. */
export const SATURATED = Number.MAX_SAFE_INTEGER;

function unexpectedEnd(): WireError {
  return new WireError("unexpected EOF");
}

/** Reads `[position, end)` of bytes that stay with the caller; what {@link bytes} returns are views of them. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #buffer: ArrayBufferLike;
  readonly #base: number;
  /** Invariant: position <= end <= length of the input. */
  position = 0;
  end: number;
  /** Halves of the last varint. */
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#buffer = bytes.buffer;
    this.#base = bytes.byteOffset;
    this.end = bytes.length;
  }

  /** Next tag (field number × 8 + wire type). `message` is named in errors. */
  tag(message: string): number {
    const position = this.position;
    if (position < this.end) {
      const first = this.#bytes[position];
      // One byte, field number above zero, and not the end of a group.
      if (first < 0x80 && first > 7 && (first & 7) !== 4) {
        this.position = position + 1;
        return first;
      }
    }
    return this.#longTag(message);
  }

  #longTag(message: string): number {
    this.#varint();
    const wireType = this.#low & 7;
    if (wireType === 4) throw new WireError(`proto: ${message}: wiretype end group for non-group`);
    const field = (this.#low >>> 3) | (this.#high << 29);
    if (field <= 0) {
      const whole = BigInt(this.#high >>> 0) * BigInt(TWO_32) + BigInt(this.#low >>> 0);
      throw new WireError(`proto: ${message}: illegal tag ${field} (wire type ${whole})`);
    }
    return field * 8 + wireType;
  }

  /** An int64 as a number, saturated at ±(2^53 - 1). */
  int64(): number {
    if (this.position < this.end) {
      const first = this.#bytes[this.position];
      if (first < 0x80) {
        this.position++;
        return first;
      }
    }
    this.#varint();
    const value = this.#high * TWO_32 + (this.#low >>> 0);
    if (value > SATURATED) return SATURATED;
    return value < -SATURATED ? -SATURATED : value;
  }

  /** An int64 identifier. */
  bigInt64(): bigint {
    this.#varint();
    if (this.#low === 0 && this.#high === 0) return 0n;
    words[LOW] = this.#low;
    words[HIGH] = this.#high;
    return int64[0];
  }

  /** A uint64 identifier. */
  bigUint64(): bigint {
    const value = this.bigInt64();
    return value < 0n ? BigInt.asUintN(64, value) : value;
  }

  /** An enum: an int32, known or not. */
  int32(): number {
    this.#varint();
    return this.#low;
  }

  bool(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** A view of the input; the shared empty array when there are none. */
  bytes(): Uint8Array {
    const length = this.#length();
    if (length === 0) return emptyBytes;
    const start = this.position;
    this.position = start + length;
    return new Uint8Array(this.#buffer, this.#base + start, length);
  }

  string(): string {
    const bytes = this.bytes();
    return bytes.length === 0 ? "" : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
  }

  /** Steps into a message field. Returns what {@link leave} wants back. */
  enter(): number {
    const length = this.#length();
    const outer = this.end;
    this.end = this.position + length;
    return outer;
  }

  leave(outer: number): void {
    this.end = outer;
  }

  /**
   * Passes over a field that the message does not have.
   *
   * @param names - Go names of the fields it has, by number: finding one here means that its wire type was wrong.
   */
  skip(tag: number, names: readonly (string | undefined)[]): void {
    const name = names[Math.floor(tag / 8)];
    if (name !== undefined) throw new WireError(`proto: wrong wireType = ${tag % 8} for field ${name}`);
    let wireType = tag % 8;
    for (let depth = 0; ;) {
      if (wireType === 0) this.#varint();
      else if (wireType === 1) this.#advance(8);
      else if (wireType === 2) this.#advance(this.#length());
      else if (wireType === 3) depth++;
      else if (wireType === 4) depth--;
      else if (wireType === 5) this.#advance(4);
      else throw new WireError(`proto: illegal wireType ${wireType}`);
      if (depth === 0) return;
      this.#varint();
      wireType = this.#low & 7;
    }
  }

  #advance(length: number): void {
    if (length > this.end - this.position) throw unexpectedEnd();
    this.position += length;
  }

  #length(): number {
    const position = this.position;
    let length: number;
    if (position < this.end && this.#bytes[position] < 0x80) {
      length = this.#bytes[position];
      this.position = position + 1;
    } else {
      this.#varint();
      if (this.#high < 0) throw new WireError("proto: negative length found during unmarshaling");
      length = this.#high * TWO_32 + (this.#low >>> 0);
    }
    if (length > this.end - this.position) throw unexpectedEnd();
    return length;
  }

  /** At most ten bytes; of the tenth only one bit counts, as in Go. */
  #varint(): void {
    const bytes = this.#bytes;
    const end = this.end;
    let position = this.position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      if (position >= end) throw unexpectedEnd();
      const byte = bytes[position++];
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.position = position;
        this.#low = low;
        this.#high = high;
        return;
      }
    }
    throw new WireError("proto: integer overflow");
  }
}

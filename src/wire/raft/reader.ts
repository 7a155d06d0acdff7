/**
 * Reads protobuf fields of raft's messages out of a range of bytes: varints that are `number` (terms, indexes, lengths) or `bigint`
 * (ids). BigInt is touched only for ids that are read, never per entry.
 */
import { assert } from "../../base/assert.ts";

/** The bytes are not a raft message, or carry a counter above 2^53 - 1, which no counter can reach. */
export class RaftDecodeError extends Error {
  override readonly name = "RaftDecodeError";
}

/** Deepest nesting of messages: Message → responses → … is never on the wire, so few levels are enough. */
const DEPTH_MAX = 16;

const TWO_32 = 0x1_0000_0000;
const HIGH_MAX = 0x1f_ffff; // upper half of 2^53 - 1

/**
 * Walks the fields of one message in `[position, end)` of `bytes`. Byte fields come out as views.
 * Every method throws {@link RaftDecodeError} when the bytes end early or make no sense.
 */
export class Reader {
  readonly bytes: Uint8Array;
  position: number;
  end: number;
  #low = 0;
  #high = 0;
  #depth = 0;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  /** The next field's key (number << 3 | wire type), or 0 at the end of the message. */
  key(): number {
    if (this.position >= this.end) return 0;
    const first = this.bytes[this.position];
    if (first < 0x80) {
      this.position++;
      if (first < 8) throw new RaftDecodeError("field number 0");
      return first;
    }
    const key = this.counter();
    if (key < 8 || key >= TWO_32) throw new RaftDecodeError("field number out of range");
    return key;
  }

  /** A varint that must be below 2^53. */
  counter(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    this.position--;
    this.#halves();
    if (this.#high > HIGH_MAX) throw new RaftDecodeError("counter above 2^53 - 1");
    return this.#high * TWO_32 + this.#low;
  }

  /** A varint of up to 64 bits. */
  id(): bigint {
    this.#halves();
    return this.#high === 0 ? BigInt(this.#low) : (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  bool(): boolean {
    this.#halves();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** A length-delimited field as a view of the input. */
  view(): Uint8Array {
    const start = this.#length();
    return this.bytes.subarray(start, this.position);
  }

  /** Enters a nested message; give the returned value to {@link leave} when its fields are read. */
  enter(): number {
    if (++this.#depth > DEPTH_MAX) throw new RaftDecodeError("nested too deeply");
    const start = this.#length();
    const outerEnd = this.end;
    this.end = this.position;
    this.position = start;
    return outerEnd;
  }

  leave(outerEnd: number): void {
    assert(this.position === this.end, "a nested message is read to its end");
    this.#depth--;
    this.end = outerEnd;
  }

  /** Passes over a field that this version does not know. */
  skip(key: number): void {
    switch (key & 7) {
      case 0:
        this.#halves();
        return;
      case 1:
        this.#advance(8);
        return;
      case 2:
        this.#length();
        return;
      case 5:
        this.#advance(4);
        return;
      default:
        throw new RaftDecodeError(`wire type ${key & 7}`);
    }
  }

  /** Moves behind a length-delimited field and returns where its bytes start. */
  #length(): number {
    const size = this.counter();
    const start = this.position;
    this.#advance(size);
    return start;
  }

  #advance(size: number): void {
    if (size > this.end - this.position) throw new RaftDecodeError("unexpected end of message");
    this.position += size;
  }

  #byte(): number {
    if (this.position >= this.end) throw new RaftDecodeError("unexpected end of message");
    return this.bytes[this.position++];
  }

  /** Reads a varint into two 32-bit halves: bits 0-27 | 28-55 | 56-63, put together at the end. */
  #halves(): void {
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return this.#set(low, 0, 0);
    }
    let middle = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      middle |= (byte & 0x7f) << shift;
      if (byte < 0x80) return this.#set(low, middle, 0);
    }
    const ninth = this.#byte();
    if (ninth < 0x80) return this.#set(low, middle, ninth);
    const tenth = this.#byte();
    if (tenth > 1) throw new RaftDecodeError("varint of more than 64 bits");
    return this.#set(low, middle, (ninth & 0x7f) | (tenth << 7));
  }

  #set(low: number, middle: number, top: number): void {
    this.#low = (low | (middle << 28)) >>> 0;
    this.#high = ((middle >>> 4) | (top << 24)) >>> 0;
  }
}

/** Bytes that arrived and are not decoded yet. Pieces go in as they come; fields come out contiguous. */
import { RaftDecodeError } from "../wire/raft/reader.ts";

const TWO_32 = 0x1_0000_0000;
const HIGH_MAX = 0x1f_ffff;

export class ByteQueue {
  /** Bytes that can be taken. */
  length = 0;
  readonly #pieces: Uint8Array[] = [];
  /** Taken from the first piece already. */
  #offset = 0;

  /** @param piece - owned by the queue from now on; what is taken out may be a view of it. */
  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.length += piece.length;
  }

  /** The next byte; there must be one. */
  takeByte(): number {
    const byte = this.#pieces[0][this.#offset];
    this.#advance(1);
    return byte;
  }

  /** A big-endian 64-bit count; eight bytes must be there. @throws {RaftDecodeError} above 2^53 - 1. */
  takeCounter(): number {
    const bytes = this.take(8);
    const high = ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
    const low = ((bytes[4] << 24) | (bytes[5] << 16) | (bytes[6] << 8) | bytes[7]) >>> 0;
    if (high > HIGH_MAX) throw new RaftDecodeError("counter above 2^53 - 1");
    return high * TWO_32 + low;
  }

  /** The next `count` bytes, which must be there: a view when they lie in one piece, else a copy. Owned either way. */
  take(count: number): Uint8Array {
    const first = this.#pieces[0];
    if (count <= first.length - this.#offset) {
      const view = first.subarray(this.#offset, this.#offset + count);
      this.#advance(count);
      return view;
    }
    const joined = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const piece = this.#pieces[0];
      const part = Math.min(count - filled, piece.length - this.#offset);
      joined.set(piece.subarray(this.#offset, this.#offset + part), filled);
      filled += part;
      this.#advance(part);
    }
    return joined;
  }

  #advance(count: number): void {
    this.length -= count;
    this.#offset += count;
    if (this.#offset < this.#pieces[0].length) return;
    this.#pieces.shift();
    this.#offset = 0;
  }
}

/** Writes a count as eight bytes, big endian; returns the end. */
export function writeCounter(target: Uint8Array, offset: number, value: number): number {
  const high = Math.floor(value / TWO_32);
  target[offset] = high >>> 24;
  target[offset + 1] = high >>> 16;
  target[offset + 2] = high >>> 8;
  target[offset + 3] = high;
  target[offset + 4] = value >>> 24;
  target[offset + 5] = value >>> 16;
  target[offset + 6] = value >>> 8;
  target[offset + 7] = value;
  return offset + 8;
}

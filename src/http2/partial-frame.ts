/**
 * The beginning of a frame whose rest is still to come. Received chunks are borrowed, so what a chunk's end cuts off is
 * copied here and completed from the next one.
 */
import { emptyBytes } from "../base/bytes.ts";
import { frameHeaderSize } from "./frame.ts";

/** A buffer above this is not kept for the next time: ten thousand idle connections would add up. */
const keptBytes = 1024;

export class PartialFrame {
  /** The frame so far: `bytes[0, length)`. */
  bytes: Uint8Array = emptyBytes;
  length = 0;

  /** Copies `chunk[start, end)`, the beginning of a frame. */
  begin(chunk: Uint8Array, start: number, end: number): void {
    this.#grow(end - start);
    for (let index = start; index < end; index++) this.bytes[this.length++] = chunk[index];
  }

  /** Copies from `chunk[start, …)` until `wanted` bytes are here; returns how many it took. */
  fill(chunk: Uint8Array, start: number, wanted: number): number {
    const take = Math.min(wanted - this.length, chunk.length - start);
    if (take <= 0) return 0;
    this.#grow(wanted);
    this.bytes.set(chunk.subarray(start, start + take), this.length);
    this.length += take;
    return take;
  }

  get hasHeader(): boolean {
    return this.length >= frameHeaderSize;
  }

  /** Empties it; the returned bytes are the caller's until the next `begin`. */
  take(): Uint8Array {
    const { bytes } = this;
    this.length = 0;
    if (bytes.length > keptBytes) this.bytes = emptyBytes;
    return bytes;
  }

  #grow(size: number): void {
    if (this.bytes.length >= size) return;
    const grown = new Uint8Array(Math.max(size, 256));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

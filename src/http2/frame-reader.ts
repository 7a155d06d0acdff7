/**
 * Cuts received bytes into frames. A chunk is borrowed: whole frames are handed over where they lie, a partial one is
 * copied and completed by the next chunk. On a server's side the client's preface comes first.
 */
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { defaultMaxFrameSize, frameHeaderSize } from "./frame.ts";
import { PartialFrame } from "./partial-frame.ts";
import { clientPreface } from "./preface.ts";

/** Takes the frames. */
export interface FrameSink {
  /** No further frame is wanted. */
  readonly closing: boolean;
  /** Handles the frame at `bytes[offset, end)`, header included, borrowed until this returns. */
  frame(bytes: Uint8Array, offset: number, end: number): void;
}

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #partial = new PartialFrame();
  #prefaceDone: number;
  /** When the partial frame began, monotonic. */
  #beganMs = 0;

  constructor(sink: FrameSink, { expectsPreface }: { expectsPreface: boolean }) {
    this.#sink = sink;
    this.#prefaceDone = expectsPreface ? 0 : clientPreface.length;
  }

  /** When the frame began whose end has not come; undefined when there is none. */
  get unfinishedSinceMs(): number | undefined {
    return this.#partial.length > 0 ? this.#beganMs : undefined;
  }

  /** @throws {ConnectionError} for a wrong preface or a frame that is too large, and what the sink throws. */
  read(chunk: Uint8Array, nowMs: number): void {
    let position = this.#prefaceDone < clientPreface.length ? this.#readPreface(chunk) : 0;
    if (this.#partial.length > 0) position = this.#completeFrame(chunk, position);
    const end = chunk.length;
    const sink = this.#sink;
    while (!sink.closing && end - position >= frameHeaderSize) {
      const next = position + frameHeaderSize + lengthOf(chunk, position);
      if (next > end) break;
      sink.frame(chunk, position, next);
      position = next;
    }
    if (position < end && !sink.closing) {
      this.#partial.begin(chunk, position, end);
      this.#beganMs = nowMs;
    }
  }

  #readPreface(chunk: Uint8Array): number {
    let position = 0;
    while (position < chunk.length && this.#prefaceDone < clientPreface.length) {
      if (chunk[position++] !== clientPreface[this.#prefaceDone++]) {
        throw new ConnectionError(ErrorCode.protocolError, "bad connection preface");
      }
    }
    return position;
  }

  /** Completes the partial frame from `chunk` and hands it over; returns where the next frame begins. */
  #completeFrame(chunk: Uint8Array, start: number): number {
    const partial = this.#partial;
    let position = start;
    if (!partial.hasHeader) {
      position += partial.fill(chunk, position, frameHeaderSize);
      if (!partial.hasHeader) return position;
    }
    const wanted = frameHeaderSize + lengthOf(partial.bytes, 0);
    position += partial.fill(chunk, position, wanted);
    if (partial.length === wanted) this.#sink.frame(partial.take(), 0, wanted);
    return position;
  }
}

/** Of a frame's payload. @throws {ConnectionError} above what we announced. */
function lengthOf(bytes: Uint8Array, offset: number): number {
  const length = (bytes[offset] << 16) | (bytes[offset + 1] << 8) | bytes[offset + 2];
  if (length > defaultMaxFrameSize) throw new ConnectionError(ErrorCode.frameSizeError, "frame too large");
  return length;
}

/** A header block that comes in a HEADERS frame and CONTINUATION frames, put together under its limits. */
import { emptyBytes } from "../base/bytes.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import type { Http2Limits } from "./limits.ts";

export class HeaderBlock {
  /** Stream whose block is open: nothing but its CONTINUATION may come. 0 = none. */
  stream = 0;
  endsStream = false;
  length = 0;
  readonly #limits: Http2Limits;
  #bytes: Uint8Array = emptyBytes;
  #continuations = 0;

  constructor(limits: Http2Limits) {
    this.#limits = limits;
  }

  /** Begins with the fragment of a HEADERS frame, `bytes[start, end)`. */
  open(stream: number, endsStream: boolean, bytes: Uint8Array, start: number, end: number): void {
    this.stream = stream;
    this.endsStream = endsStream;
    this.length = 0;
    this.#continuations = 0;
    this.#append(bytes, start, end);
  }

  /** Goes on with a CONTINUATION frame. @throws {ConnectionError} without HEADERS before it, or above a limit. */
  continueWith(bytes: Uint8Array, start: number, end: number): void {
    if (this.stream === 0) throw new ConnectionError(ErrorCode.protocolError, "CONTINUATION without HEADERS");
    if (++this.#continuations > this.#limits.maxContinuations) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, "too many CONTINUATION frames");
    }
    this.#append(bytes, start, end);
  }

  /** Ends the block and gives its bytes away, `[0, length)`. */
  close(): Uint8Array {
    const bytes = this.#bytes;
    this.stream = 0;
    this.#bytes = emptyBytes;
    return bytes;
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.#limits.maxHeaderBlockBytes) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, "header block too large");
    }
    if (this.#bytes.length < length) {
      const grown = new Uint8Array(Math.max(length, this.#bytes.length * 2, 1024));
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes.subarray(start, end), this.length);
    this.length = length;
  }
}

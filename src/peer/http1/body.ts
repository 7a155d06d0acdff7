/**
 * The body of an HTTP/1.1 message (RFC 9112 sections 6 and 7): none, so many bytes, chunks, or all up to the end of the
 * connection.
 *
 * ```text
 * 1a\r\n            size in hex, perhaps ;extensions
 * <26 bytes>\r\n
 * 0\r\n             the last one, then trailer fields (passed over) and an empty line
 * \r\n
 * ```
 */
import { HttpSyntaxError, type Fields } from "./head.ts";

export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly size: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

const none: Framing = { kind: "none" };
const chunked: Framing = { kind: "chunked" };
const close: Framing = { kind: "close" };

/** Most bytes of a chunk's size line, or of all trailer fields. */
const lineBytesMax = 4096;

/** @throws {HttpSyntaxError} */
export function requestFraming(fields: Fields): Framing {
  return declaredFraming(fields) ?? none;
}

/** @throws {HttpSyntaxError} */
export function responseFraming(status: number, fields: Fields): Framing {
  if (status < 200 || status === 204 || status === 304) return none;
  return declaredFraming(fields) ?? close;
}

function declaredFraming(fields: Fields): Framing | undefined {
  const encoding = fields.get("transfer-encoding");
  if (encoding !== undefined) {
    if (encoding.toLowerCase() !== "chunked") throw new HttpSyntaxError("unsupported transfer encoding", 501);
    return chunked;
  }
  const length = fields.get("content-length");
  if (length === undefined) return undefined;
  if (!/^\d{1,15}$/.test(length)) throw new HttpSyntaxError("bad Content-Length");
  return { kind: "length", size: Number(length) };
}

/** Takes the framing off a body. */
export class BodyReader {
  /** The body is complete. */
  done: boolean;
  readonly #kind: Framing["kind"];
  /** Bytes of the body, or of the present chunk, that are still to come. */
  #left = 0;
  #state: "size" | "extension" | "data" | "dataEnd" | "trailer" = "size";
  #lineBytes = 0;
  #digits = 0;

  constructor(framing: Framing) {
    this.#kind = framing.kind;
    if (framing.kind === "length") this.#left = framing.size;
    this.done = framing.kind === "none" || (framing.kind === "length" && framing.size === 0);
  }

  /** True when the end of the connection is the end of the body and not a loss. */
  get endsWithConnection(): boolean {
    return this.#kind === "close";
  }

  /**
   * Gives the payload in `chunk` from `position` on to `sink`, as views.
   *
   * @returns the position behind the body, or the chunk's end when the body goes on.
   * @throws {HttpSyntaxError}
   */
  push(chunk: Uint8Array, position: number, sink: (view: Uint8Array) => void): number {
    if (this.#kind === "chunked") return this.#pushChunked(chunk, position, sink);
    if (this.done || position === chunk.length) return position;
    const count = this.#kind === "close" ? chunk.length - position : Math.min(this.#left, chunk.length - position);
    this.#left -= count;
    if (this.#kind === "length" && this.#left === 0) this.done = true;
    sink(chunk.subarray(position, position + count));
    return position + count;
  }

  #pushChunked(chunk: Uint8Array, position: number, sink: (view: Uint8Array) => void): number {
    while (position < chunk.length && !this.done) {
      if (this.#state !== "data") {
        this.#frameByte(chunk[position++]);
        continue;
      }
      const count = Math.min(this.#left, chunk.length - position);
      this.#left -= count;
      if (this.#left === 0) this.#enter("dataEnd");
      sink(chunk.subarray(position, position + count));
      position += count;
    }
    return position;
  }

  /** One byte that is not payload. */
  #frameByte(byte: number): void {
    if (++this.#lineBytes > lineBytesMax) throw new HttpSyntaxError("chunk header too long");
    switch (this.#state) {
      case "size":
        return this.#sizeByte(byte);
      case "extension":
        if (byte === newline) this.#sizeDone();
        return;
      case "dataEnd":
        if (byte === newline) this.#enter("size");
        else if (byte !== carriageReturn) throw new HttpSyntaxError("malformed chunked encoding");
        return;
      default:
        this.#trailerByte(byte);
    }
  }

  #sizeByte(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > 12) throw new HttpSyntaxError("chunk too large");
      this.#left = this.#left * 16 + digit;
    } else if (byte === newline) {
      this.#sizeDone();
    } else if (byte === carriageReturn || byte === semicolon || byte === space) {
      this.#state = "extension";
    } else {
      throw new HttpSyntaxError("invalid byte in chunk length");
    }
  }

  #sizeDone(): void {
    if (this.#digits === 0) throw new HttpSyntaxError("empty chunk length");
    this.#enter(this.#left === 0 ? "trailer" : "data");
  }

  /** `#digits` counts the bytes of the trailer's present line. */
  #trailerByte(byte: number): void {
    if (byte === newline) {
      if (this.#digits === 0) this.done = true;
      this.#digits = 0;
    } else if (byte !== carriageReturn) {
      this.#digits++;
    }
  }

  #enter(state: "size" | "data" | "dataEnd" | "trailer"): void {
    this.#state = state;
    this.#lineBytes = 0;
    this.#digits = 0;
  }
}

const newline = 0x0a;
const carriageReturn = 0x0d;
const semicolon = 0x3b;
const space = 0x20;

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Longest head of a chunk that {@link writeChunkHead} writes: eight hex digits and a line break. */
export const chunkHeadBytes = 10;
/** The line break behind a chunk. */
export const chunkTailBytes = 2;
/** Ends a chunked body. */
export const lastChunk: Uint8Array = Buffer.from("0\r\n\r\n", "latin1");

/**
 * Writes a chunk's head so that it ends at `end`: the payload stands there already, and its size gives the number of
 * digits.
 *
 * @returns where the head begins, at least `end - chunkHeadBytes`.
 */
export function writeChunkHead(size: number, target: Uint8Array, end: number): number {
  target[--end] = newline;
  target[--end] = carriageReturn;
  do {
    const digit = size & 0xf;
    target[--end] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    size >>>= 4;
  } while (size > 0);
  return end;
}

/** Writes the line break behind a chunk at `offset`; returns the end. */
export function writeChunkTail(target: Uint8Array, offset: number): number {
  target[offset++] = carriageReturn;
  target[offset++] = newline;
  return offset;
}

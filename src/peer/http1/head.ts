/**
 * The head of an HTTP/1.1 message (RFC 9112 sections 2-5): a request or status line, fields, an empty line. Functions
 * over bytes; the connections in this folder do the reading.
 */
import { asBuffer, copyBytes, emptyBytes } from "../../base/bytes.ts";
import { headBytesMax } from "../limits.ts";

/** The other side does not speak HTTP/1.1, or says too much. `status` is what a server answers. */
export class HttpSyntaxError extends Error {
  override readonly name = "HttpSyntaxError";
  readonly status: number;
  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** Field names in lower case; a field that comes twice has its values joined with `, `. */
export type Fields = ReadonlyMap<string, string>;

export interface RequestHead {
  readonly method: string;
  /** Path with query, or an absolute URL, as it came. */
  readonly target: string;
  /** Minor version of HTTP/1. */
  readonly minor: number;
  readonly fields: Fields;
}

export interface ResponseHead {
  readonly status: number;
  /** `404 Not Found`, as it came. */
  readonly statusLine: string;
  readonly fields: Fields;
}

/** Collects bytes until a head is complete; serves one head after the other. */
export class HeadReader {
  #bytes: Uint8Array = emptyBytes;
  #lines: string[] = [];

  /** True when part of a head has come. */
  get hasBegun(): boolean {
    return this.#bytes.length > 0;
  }

  /**
   * Takes bytes from `position` on.
   *
   * @returns where the body starts in `chunk`, or -1 when more is needed.
   * @throws {HttpSyntaxError} when the head is too large.
   */
  push(chunk: Uint8Array, position: number): number {
    const before = this.#bytes.length;
    const view = chunk.subarray(position);
    this.#bytes = before === 0 ? copyBytes(view) : Buffer.concat([this.#bytes, view]);
    const found = asBuffer(this.#bytes).indexOf("\r\n\r\n", Math.max(0, before - 3));
    if ((found < 0 ? this.#bytes.length : found) > headBytesMax) throw new HttpSyntaxError("head too large", 431);
    if (found < 0) return -1;
    this.#lines = asBuffer(this.#bytes).toString("latin1", 0, found).split("\r\n");
    this.#bytes = emptyBytes;
    return position + found + 4 - before;
  }

  /** The head that {@link push} completed. @throws {HttpSyntaxError} */
  request(): RequestHead {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP\/1\.(\d)$/.exec(this.#lines[0]);
    if (match === null) throw new HttpSyntaxError("malformed HTTP request");
    return { method: match[1], target: match[2], minor: Number(match[3]), fields: parseFields(this.#lines) };
  }

  /** The head that {@link push} completed. @throws {HttpSyntaxError} */
  response(): ResponseHead {
    const match = /^HTTP\/1\.\d ((\d{3})(?: .*)?)$/.exec(this.#lines[0]);
    if (match === null)
      throw new HttpSyntaxError(`malformed HTTP response ${JSON.stringify(this.#lines[0].slice(0, 64))}`);
    return { status: Number(match[2]), statusLine: match[1], fields: parseFields(this.#lines) };
  }
}

/** Without blanks and tabs around. By hand: a pattern for it takes the square of the length on many blanks. */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && (text[start] === " " || text[start] === "\t")) start++;
  while (end > start && (text[end - 1] === " " || text[end - 1] === "\t")) end--;
  return text.slice(start, end);
}

function parseFields(lines: readonly string[]): Fields {
  const fields = new Map<string, string>();
  for (let index = 1; index < lines.length; index++) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$/.exec(lines[index]);
    if (match === null) throw new HttpSyntaxError("malformed header field");
    const name = match[1].toLowerCase();
    const earlier = fields.get(name);
    const value = trimmed(match[2]);
    fields.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  return fields;
}

/** Bytes of a head. Names and values are ours and hold no line breaks. */
export function encodeHead(first: string, fields: Iterable<readonly [string, string]>): Buffer {
  let text = `${first}\r\n`;
  for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
  return Buffer.from(`${text}\r\n`, "latin1");
}

const statusTexts: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  307: "Temporary Redirect",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  410: "Gone",
  412: "Precondition Failed",
  413: "Request Entity Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
};

/** Go's text of a status; empty for one that nobody here uses. */
export function statusText(status: number): string {
  return statusTexts[status] ?? "";
}

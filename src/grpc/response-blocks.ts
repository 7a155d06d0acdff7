/**
 * The header blocks of a server's answers on one connection. An answer has the fields grpc-go sends: `:status 200` and
 * `content-type: application/grpc` before the messages, `grpc-status` and `grpc-message` after them. The three that
 * repeat are put into the client's dynamic table with the first answer; from then on headers and trailers of a
 * successful call take two bytes each, already encoded.
 *
 *     stage plain    the client's table is too small: literals every time
 *     stage empty    nothing in the table yet       → headers add content-type
 *     stage headers  62 content-type                → OK trailers add the other two
 *     stage full     62 grpc-message "", 63 grpc-status 0, 64 content-type
 */
import { defaultHeaderTableSize } from "../http2/frame.ts";
import { encodeInteger, encodeString, type HeaderPair } from "../http2/hpack-encoder.ts";

/** HPACK size of the three entries together. */
const entriesSize = 12 + 16 + 32 + 11 + 1 + 32 + 12 + 32;
const contentTypeIndex = 31;
const statusIndex = 8;

const indexedStatus200 = 0x88;
const addIndexed = 0x40;
const plainIndexed = 0x00;

function literal(name: string | number, value: string, pattern: number): number[] {
  const bits = pattern === addIndexed ? 6 : 4;
  const target = new Uint8Array(256 + value.length * 4);
  let end = encodeInteger(typeof name === "number" ? name : 0, bits, pattern, target, 0);
  if (typeof name === "string") end = encodeString(name, target, end);
  end = encodeString(value, target, end);
  return [...target.subarray(0, end)];
}

const headersPlain = Uint8Array.of(indexedStatus200, ...literal(contentTypeIndex, "application/grpc", plainIndexed));
const headersAdding = Uint8Array.of(indexedStatus200, ...literal(contentTypeIndex, "application/grpc", addIndexed));
const headersAtStageHeaders = Uint8Array.of(indexedStatus200, 0x80 | 62);
const headersAtStageFull = Uint8Array.of(indexedStatus200, 0x80 | 64);
const okPlain = Uint8Array.of(
  ...literal("grpc-status", "0", plainIndexed),
  ...literal("grpc-message", "", plainIndexed),
);
const okAdding = Uint8Array.of(...literal("grpc-status", "0", addIndexed), ...literal("grpc-message", "", addIndexed));
const okAtStageFull = Uint8Array.of(0x80 | 63, 0x80 | 62);

type Stage = "plain" | "empty" | "headers" | "full";

/** HTTP statuses of refused requests and their bytes; others do not occur. */
export type HttpStatus = 200 | 400 | 405 | 415;

export class ResponseBlocks {
  #stage: Stage = "empty";
  /** The client's last table size; announced at the start of the next block when it changed. */
  #tableSize = defaultHeaderTableSize;
  #announce = false;

  /** Follows SETTINGS_HEADER_TABLE_SIZE of the client. */
  setTableSize(size: number): void {
    const limited = Math.min(size, defaultHeaderTableSize);
    if (limited === this.#tableSize) return;
    this.#tableSize = limited;
    this.#announce = true;
  }

  /** The block of a successful call's headers; to be sent before any other block is asked for. */
  headers(): Uint8Array {
    if (this.#announce) return this.#withSizeUpdate();
    if (this.#stage === "full") return headersAtStageFull;
    if (this.#stage === "headers") return headersAtStageHeaders;
    if (this.#stage === "plain") return headersPlain;
    this.#stage = "headers";
    return headersAdding;
  }

  /** Headers for a client that asked with a content subtype (`application/grpc+proto`). */
  headersWithSubtype(subtype: string): Uint8Array {
    const block = [indexedStatus200, ...literal(contentTypeIndex, `application/grpc+${subtype}`, plainIndexed)];
    return this.#prefixed(block);
  }

  /** The trailers of a successful call. */
  okTrailers(): Uint8Array {
    if (this.#announce) return this.#prefixed([...okPlain]);
    if (this.#stage === "full") return okAtStageFull;
    if (this.#stage !== "headers") return okPlain;
    this.#stage = "full";
    return okAdding;
  }

  /** Trailers of a failed call; `message` is already percent-encoded. */
  errorTrailers(code: number, message: string): Uint8Array {
    return this.#prefixed(statusFields(code, message));
  }

  /** The only block of a call that fails before any message. */
  trailersOnly(httpStatus: HttpStatus, subtype: string, code: number, message: string): Uint8Array {
    const status = httpStatus === 200 ? [indexedStatus200] : literal(statusIndex, String(httpStatus), plainIndexed);
    const contentType = subtype === "" ? "application/grpc" : `application/grpc+${subtype}`;
    return this.#prefixed([
      ...status,
      ...literal(contentTypeIndex, contentType, plainIndexed),
      ...statusFields(code, message),
    ]);
  }

  /** The head of an answer that is not gRPC's. @param fields - names in lower case; values are byte strings. */
  pageHeaders(status: number, fields: readonly HeaderPair[]): Uint8Array {
    const block = literal(statusIndex, String(status), plainIndexed);
    for (const [name, value] of fields) block.push(...literal(name, value, plainIndexed));
    return this.#prefixed(block);
  }

  /** Empties the client's table and sets its new size, then begins again. */
  #withSizeUpdate(): Uint8Array {
    const prefix = this.#sizeUpdate();
    return Uint8Array.of(...prefix, ...this.headers());
  }

  #prefixed(block: readonly number[]): Uint8Array {
    return this.#announce ? Uint8Array.of(...this.#sizeUpdate(), ...block) : Uint8Array.from(block);
  }

  #sizeUpdate(): number[] {
    this.#announce = false;
    this.#stage = this.#tableSize >= entriesSize ? "empty" : "plain";
    const target = new Uint8Array(8);
    const end = encodeInteger(this.#tableSize, 5, 0x20, target, 0);
    return [0x20, ...target.subarray(0, end)];
  }
}

function statusFields(code: number, message: string): number[] {
  return [...literal("grpc-status", String(code), plainIndexed), ...literal("grpc-message", message, plainIndexed)];
}

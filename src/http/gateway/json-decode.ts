/**
 * JSON to protobuf bytes, by the rules of protobuf's JSON mapping as Go's protojson applies them with unknown fields
 * discarded: both names of a field, 64-bit numbers as number or text, base64 in both alphabets, enums by name or number.
 * Fields come out in the order of their numbers, whatever order they came in, as Go marshals them.
 */
import { assert } from "../../base/assert.ts";
import type { Field, MessageType } from "./message-type.ts";

/** Messages inside one another; deeper than any transaction may be nested. */
const messageDepthMax = 1_000;
/** A number with more digits or a larger exponent is none of ours, and would cost much to look at. */
const exponentMax = 64;

/** The value does not fit the message; the text is protojson's. */
export class JsonValueError extends Error {
  override readonly name = "JsonValueError";
}

/**
 * @param json - one JSON value whose syntax was checked.
 * @throws {JsonValueError} with protojson's text.
 */
export function jsonToMessage(type: MessageType, json: Uint8Array): Uint8Array {
  const reader = new JsonReader(json);
  const rope = new MessageReader(reader).message(type, 0);
  const target = new Uint8Array(rope.size);
  const end = write(rope, target, 0);
  assert(end === rope.size, "a rope is as long as it says");
  return target;
}

/** Encoded bytes in pieces, so that what is nested deep is copied once. */
interface Rope {
  readonly size: number;
  readonly parts: readonly (Uint8Array | Rope)[];
}

function write(rope: Rope, target: Uint8Array, offset: number): number {
  let position = offset;
  for (const part of rope.parts) {
    if (part instanceof Uint8Array) {
      target.set(part, position);
      position += part.length;
    } else {
      position = write(part, target, position);
    }
  }
  return position;
}

class MessageReader {
  readonly #reader: JsonReader;

  constructor(reader: JsonReader) {
    this.#reader = reader;
  }

  message(type: MessageType, depth: number): Rope {
    const reader = this.#reader;
    const open = reader.token();
    if (open.kind !== "{") throw reader.syntaxError(open, `unexpected token ${open.raw}`);
    if (depth === messageDepthMax) throw reader.syntaxError(open, "exceeded max recursion depth");
    const fields = new Map<number, (Uint8Array | Rope)[]>();
    const oneofs = new Set<string>();
    for (let key = reader.token(); key.kind !== "}"; key = reader.token()) {
      if (key.kind === ",") continue;
      const field = type.byName.get(reader.text(key));
      reader.token(); // the colon
      if (field === undefined) {
        reader.skipValue();
        continue;
      }
      if (fields.has(field.number)) throw reader.error(key, `duplicate field ${key.raw}`);
      const parts: (Uint8Array | Rope)[] = [];
      fields.set(field.number, parts);
      if (reader.skipNull()) continue;
      if (field.isRepeated) {
        this.#list(field, parts, depth);
        continue;
      }
      if (field.oneof !== undefined) {
        if (oneofs.has(field.oneof)) {
          throw reader.error(key, `error parsing ${key.raw}, oneof ${field.oneof} is already set`);
        }
        oneofs.add(field.oneof);
      }
      this.#value(field, parts, { depth, keepsZero: field.oneof !== undefined });
    }
    const parts = [...fields].sort(([one], [other]) => one - other).flatMap(([, encoded]) => encoded);
    return rope(parts);
  }

  #list(field: Field, parts: (Uint8Array | Rope)[], depth: number): void {
    const reader = this.#reader;
    const open = reader.token();
    if (open.kind !== "[") throw reader.syntaxError(open, `unexpected token ${open.raw}`);
    while (!reader.skip("]")) {
      if (!reader.skip(",")) this.#value(field, parts, { depth, keepsZero: true });
    }
  }

  #value(
    field: Field,
    parts: (Uint8Array | Rope)[],
    { depth, keepsZero }: { depth: number; keepsZero: boolean },
  ): void {
    if (field.kind === "message") {
      const inner = this.message(field.type, depth + 1);
      parts.push(varint(BigInt(field.number * 8 + 2)), varint(BigInt(inner.size)), inner);
      return;
    }
    const token = this.#reader.token();
    const value = this.#scalar(field, token);
    if (value === undefined) return; // an enum's name that is not known is discarded like an unknown field
    if (typeof value === "bigint") {
      if (value !== 0n || keepsZero) parts.push(varint(BigInt(field.number * 8)), varint(BigInt.asUintN(64, value)));
    } else if (value.length > 0 || keepsZero) {
      parts.push(varint(BigInt(field.number * 8 + 2)), varint(BigInt(value.length)), value);
    }
  }

  #scalar(field: Exclude<Field, { kind: "message" }>, token: Token): Uint8Array | bigint | undefined {
    const reader = this.#reader;
    const invalid = (): JsonValueError =>
      reader.error(token, `invalid value for ${field.kind} field ${field.jsonName}: ${token.raw}`);
    switch (field.kind) {
      case "bool":
        if (token.raw !== "true" && token.raw !== "false") throw invalid();
        return token.raw === "true" ? 1n : 0n;
      case "string":
        if (token.kind !== "string") throw invalid();
        return Buffer.from(reader.text(token));
      case "bytes": {
        const bytes = token.kind === "string" ? fromBase64(reader.text(token)) : undefined;
        if (bytes === undefined) throw invalid();
        return bytes;
      }
      case "enum": {
        if (token.kind === "string") {
          const number = field.numbers.get(reader.text(token));
          return number === undefined ? undefined : BigInt(number);
        }
        const number = token.kind === "number" ? integer(token.raw) : undefined;
        if (number === undefined || BigInt.asIntN(32, number) !== number) throw invalid();
        return number;
      }
      default: {
        const text = token.kind === "string" ? reader.text(token) : token.raw;
        const number = token.kind === "string" || token.kind === "number" ? integer(text) : undefined;
        if (number === undefined || !fits(field.kind, number)) throw invalid();
        return number;
      }
    }
  }
}

function rope(parts: readonly (Uint8Array | Rope)[]): Rope {
  let size = 0;
  for (const part of parts) size += part instanceof Uint8Array ? part.length : part.size;
  return { size, parts };
}

interface Token {
  readonly kind: "{" | "}" | "[" | "]" | "," | ":" | "string" | "number" | "null" | "bool";
  /** As it stands in the text. */
  readonly raw: string;
  readonly start: number;
}

/** Tokens of a JSON text that is known to be well-formed. */
class JsonReader {
  readonly #json: Uint8Array;
  #position = 0;

  constructor(json: Uint8Array) {
    this.#json = json;
  }

  token(): Token {
    this.#skipSpace();
    const start = this.#position;
    const json = this.#json;
    const first = json[start];
    switch (first) {
      case 0x7b:
      case 0x7d:
      case 0x5b:
      case 0x5d:
      case 0x2c:
      case 0x3a: {
        this.#position++;
        const raw = String.fromCharCode(first);
        return { kind: raw as Token["kind"], raw, start };
      }
      case 0x22:
        this.#position = this.#endOfString(start);
        return { kind: "string", raw: this.#slice(start), start };
      default: {
        while (this.#position < json.length && !isDelimiter(json[this.#position])) this.#position++;
        const raw = this.#slice(start);
        if (raw === "null") return { kind: "null", raw, start };
        return { kind: raw === "true" || raw === "false" ? "bool" : "number", raw, start };
      }
    }
  }

  /** The text of a string token. @throws {JsonValueError} when it is no valid Unicode. */
  text(token: Token): string {
    const { raw } = token;
    if (raw.includes("\ufffd") && !isUtf8(this.#json.subarray(token.start))) {
      throw this.syntaxError(token, "invalid UTF-8 in string");
    }
    if (!raw.includes("\\")) return raw.slice(1, -1);
    const text = JSON.parse(raw) as string;
    const lone = /[\ud800-\udfff]/u.exec(text);
    if (lone !== null) {
      const code = lone[0].charCodeAt(0).toString(16);
      throw this.syntaxError(token, `invalid escape code "\\u${code}" in string`);
    }
    return text;
  }

  /** Consumes the token if it comes next. */
  skip(kind: "]" | ","): boolean {
    this.#skipSpace();
    if (this.#json[this.#position] !== kind.charCodeAt(0)) return false;
    this.#position++;
    return true;
  }

  skipNull(): boolean {
    this.#skipSpace();
    if (this.#json[this.#position] !== 0x6e) return false;
    this.#position += 4;
    return true;
  }

  /** Skips a value of any depth. */
  skipValue(): void {
    let depth = 0;
    do {
      const { kind } = this.token();
      if (kind === "{" || kind === "[") depth++;
      else if (kind === "}" || kind === "]") depth--;
    } while (depth > 0);
  }

  error({ start }: Token, text: string): JsonValueError {
    return new JsonValueError(`proto: (${this.#place(start)}): ${text}`);
  }

  syntaxError({ start }: Token, text: string): JsonValueError {
    return new JsonValueError(`proto: syntax error (${this.#place(start)}): ${text}`);
  }

  #place(position: number): string {
    const before = Buffer.from(this.#json.subarray(0, position)).toString();
    const line = before.split("\n").length;
    const column = Array.from(before.slice(before.lastIndexOf("\n") + 1)).length + 1;
    return `line ${line}:${column}`;
  }

  #slice(start: number): string {
    const bytes = this.#json.subarray(start, this.#position);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  }

  #endOfString(start: number): number {
    for (let position = start + 1; ; position++) {
      const byte = this.#json[position];
      if (byte === 0x5c) position++;
      else if (byte === 0x22) return position + 1;
    }
  }

  #skipSpace(): void {
    while (this.#json[this.#position] <= 0x20) this.#position++;
  }
}

function isDelimiter(byte: number): boolean {
  return byte <= 0x20 || byte === 0x2c || byte === 0x7d || byte === 0x5d;
}

/** Whether the string that begins here is UTF-8; its end is found by its closing quote. */
function isUtf8(bytes: Uint8Array): boolean {
  let end = 1;
  while (bytes[end] !== 0x22) end += bytes[end] === 0x5c ? 2 : 1;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end));
    return true;
  } catch {
    return false;
  }
}

/** The integer that a JSON number stands for, `1e2` and `2.0` included; undefined when it is none. */
function integer(text: string): bigint | undefined {
  const match = /^(-?)(0|[1-9]\d{0,64})(?:\.(\d{1,64}))?(?:[eE]([+-]?\d{1,4}))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign, whole, fraction = "", exponentText = "0"] = match;
  const digits = (whole + fraction).replace(/^0+(?=\d)/, "");
  const exponent = Number(exponentText) - fraction.length;
  if (digits === "0" || /^0+$/.test(digits)) return 0n;
  if (exponent > exponentMax || -exponent > digits.length) return undefined;
  let magnitude: bigint;
  if (exponent >= 0) {
    magnitude = BigInt(digits + "0".repeat(exponent));
  } else {
    if (!/^0*$/.test(digits.slice(exponent))) return undefined;
    magnitude = BigInt(digits.slice(0, exponent) || "0");
  }
  return sign === "-" ? -magnitude : magnitude;
}

function fits(kind: "int64" | "uint64" | "uint32", number: bigint): boolean {
  if (kind === "int64") return BigInt.asIntN(64, number) === number;
  return BigInt.asUintN(kind === "uint64" ? 64 : 32, number) === number;
}

/** Base64 of the standard or the URL alphabet, with or without padding; undefined when it is neither. */
function fromBase64(text: string): Uint8Array | undefined {
  const plain = /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, "") : text;
  const isUrl = /[-_]/.test(plain);
  const body = plain.length % 4 === 0 ? plain.replace(/={1,2}$/, "") : plain;
  if (body.length % 4 === 1) return undefined;
  if (!(isUrl ? /^[\w-]*$/ : /^[A-Za-z0-9+/]*$/).test(body)) return undefined;
  return Buffer.from(body, "base64");
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  return Uint8Array.from(bytes);
}

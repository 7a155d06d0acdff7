/**
 * Protobuf bytes to JSON: the names of the .proto files, 64-bit numbers as text, bytes as base64, enums by name, zero
 * values left out. What the member encodes has its fields in ascending order, so the bytes are read once, front to back,
 * and a large answer becomes text piece by piece.
 */
import { assert, InvariantError } from "../../base/assert.ts";
import type { Field, MessageType } from "./message-type.ts";

/** A piece is handed out when it has grown to this many characters. */
const pieceLength = 64 * 1024;

/** The JSON text of an encoded message, in pieces. Compact, without a final newline. */
export function* messageToJson(type: MessageType, bytes: Uint8Array): Generator<string, void, undefined> {
  const writer = new JsonWriter();
  yield* writer.message(type, bytes);
  yield writer.take();
}

/** The same in one piece. */
export function messageToJsonText(type: MessageType, bytes: Uint8Array): string {
  return [...messageToJson(type, bytes)].join("");
}

class JsonWriter {
  #text = "";

  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  *message(type: MessageType, bytes: Uint8Array): Generator<string, void, undefined> {
    const reader = new FieldReader(bytes);
    let open: Field | undefined;
    let isFirst = true;
    this.#text += "{";
    while (reader.next()) {
      const field = type.byNumber.get(reader.number);
      if (field === undefined || !(field.isRepeated || field.oneof !== undefined || !reader.isZero(field))) continue;
      if (field === open) {
        this.#text += ",";
      } else {
        if (open?.isRepeated === true) this.#text += "]";
        this.#text += `${isFirst ? "" : ","}"${field.name}":${field.isRepeated ? "[" : ""}`;
      }
      isFirst = false;
      open = field;
      if (field.kind === "message") yield* this.message(field.type, reader.bytes);
      else this.#text += scalarText(field, reader);
      if (this.#text.length > pieceLength) yield this.take();
    }
    this.#text += open?.isRepeated === true ? "]}" : "}";
  }
}

function scalarText(field: Exclude<Field, { kind: "message" }>, reader: FieldReader): string {
  switch (field.kind) {
    case "bytes":
      return `"${buffer(reader.bytes).toString("base64")}"`;
    case "string":
      return JSON.stringify(buffer(reader.bytes).toString());
    case "bool":
      return reader.value === 0n ? "false" : "true";
    case "enum": {
      const number = Number(BigInt.asIntN(32, reader.value));
      const name = field.names.get(number);
      return name === undefined ? String(number) : `"${name}"`;
    }
    case "int64":
      return `"${BigInt.asIntN(64, reader.value)}"`;
    case "uint64":
      return `"${reader.value}"`;
    default:
      return String(BigInt.asUintN(32, reader.value));
  }
}

function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Steps through the fields of an encoded message. */
class FieldReader {
  number = 0;
  /** Of a varint field. */
  value = 0n;
  /** Of a length-delimited field; a view. */
  bytes: Uint8Array;
  readonly #input: Uint8Array;
  #position = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
    this.bytes = input;
  }

  next(): boolean {
    if (this.#position >= this.#input.length) return false;
    const tag = Number(this.#varint());
    this.number = tag >>> 3;
    const wireType = tag & 7;
    if (wireType === 0) {
      this.value = this.#varint();
      return true;
    }
    assert(wireType === 2, "answers have varint and length-delimited fields only");
    const size = Number(this.#varint());
    const end = this.#position + size;
    assert(end <= this.#input.length, "a field ends inside its message");
    this.bytes = this.#input.subarray(this.#position, end);
    this.#position = end;
    return true;
  }

  /** Whether the current field holds what it would hold if it were absent. */
  isZero({ kind }: Field): boolean {
    if (kind === "message") return false;
    return kind === "bytes" || kind === "string" ? this.bytes.length === 0 : this.value === 0n;
  }

  #varint(): bigint {
    let low = 0;
    // Seven groups of seven bits fit a plain number.
    for (let shift = 0; shift < 49; shift += 7) {
      const byte = this.#byte();
      low += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new InvariantError("a varint has ten bytes at most");
  }

  #byte(): number {
    assert(this.#position < this.#input.length, "a varint ends inside its message");
    return this.#input[this.#position++];
  }
}

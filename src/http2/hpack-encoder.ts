/**
 * HPACK encoder (RFC 7541 section 6). Fields that repeat go into the dynamic table once and cost one byte afterwards.
 */
import { FieldKind, HeaderField, fieldKind, staticTable } from "./header-field.ts";
import { DynamicTable } from "./hpack-table.ts";
import { huffmanEncode, huffmanSize } from "./huffman.ts";
import { defaultHeaderTableSize } from "./frame.ts";

/** Name and value, byte strings; names in lower case. */
export type HeaderPair = readonly [name: string, value: string];

/** First index of each name in the static table, and of each whole field. */
const staticNames = new Map<string, number>();
const staticFields = new Map<string, number>();
for (const [position, { name, value }] of staticTable.entries()) {
  if (!staticNames.has(name)) staticNames.set(name, position + 1);
  if (value !== "") staticFields.set(`${name}\n${value}`, position + 1);
}

/** Names whose values hardly ever repeat are not worth a table entry. */
function isWorthIndexing(name: string): boolean {
  return fieldKind(name) !== FieldKind.grpcTimeout;
}

export class HpackEncoder {
  readonly #table = new DynamicTable(defaultHeaderTableSize);
  /** The smallest and the last limit since the previous block; announced at the start of the next. */
  #smallestLimit = -1;
  #lastLimit = -1;

  /** Changes whenever the table does: blocks of indexed fields encoded before are then void. */
  version = 0;

  /** Follows the peer's SETTINGS_HEADER_TABLE_SIZE; we never use more than 4096 bytes. */
  setTableSizeLimit(size: number): void {
    const limit = Math.min(size, defaultHeaderTableSize);
    if (this.#lastLimit < 0 && limit === this.#table.sizeLimit) return;
    this.#smallestLimit = this.#lastLimit < 0 ? limit : Math.min(this.#smallestLimit, limit);
    this.#lastLimit = limit;
    this.version++;
  }

  /** Most bytes {@link encode} may write for these fields. */
  sizeBound(fields: readonly HeaderPair[]): number {
    let bound = 16;
    for (const [name, value] of fields) bound += name.length + value.length + 16;
    return bound;
  }

  /** Encodes one block at `offset` of `target` and returns the offset behind it. Blocks must be sent in this order. */
  encode(fields: readonly HeaderPair[], target: Uint8Array, offset: number): number {
    let position = this.#encodeSizeUpdates(target, offset);
    for (const [name, value] of fields) position = this.#encodeField(name, value, target, position);
    return position;
  }

  #encodeSizeUpdates(target: Uint8Array, offset: number): number {
    if (this.#lastLimit < 0) return offset;
    let position = offset;
    if (this.#smallestLimit < this.#lastLimit) {
      position = encodeInteger(this.#smallestLimit, 5, 0x20, target, position);
      this.#table.resize(this.#smallestLimit);
    }
    position = encodeInteger(this.#lastLimit, 5, 0x20, target, position);
    this.#table.resize(this.#lastLimit);
    this.#smallestLimit = -1;
    this.#lastLimit = -1;
    return position;
  }

  #encodeField(name: string, value: string, target: Uint8Array, offset: number): number {
    let nameIndex = 0;
    const whole = staticFields.get(`${name}\n${value}`);
    if (whole !== undefined) return encodeInteger(whole, 7, 0x80, target, offset);
    for (let index = 0; index < this.#table.count; index++) {
      const entry = this.#table.at(index)!;
      if (entry.name !== name) continue;
      if (entry.value === value) return encodeInteger(staticTable.length + 1 + index, 7, 0x80, target, offset);
      nameIndex = staticTable.length + 1 + index;
    }
    nameIndex = staticNames.get(name) ?? nameIndex;
    const field = new HeaderField(name, value, FieldKind.ordinary);
    const indexed = field.size <= this.#table.sizeLimit / 2 && isWorthIndexing(name);
    let position = indexed
      ? encodeInteger(nameIndex, 6, 0x40, target, offset)
      : encodeInteger(nameIndex, 4, 0x00, target, offset);
    if (nameIndex === 0) position = encodeString(name, target, position);
    position = encodeString(value, target, position);
    if (indexed) {
      this.#table.add(field);
      this.version++;
    }
    return position;
  }
}

/** Writes an integer with a prefix of `bits` below the `pattern` (RFC 7541 section 5.1). */
export function encodeInteger(
  value: number,
  bits: number,
  pattern: number,
  target: Uint8Array,
  offset: number,
): number {
  const prefix = (1 << bits) - 1;
  if (value < prefix) {
    target[offset] = pattern | value;
    return offset + 1;
  }
  target[offset] = pattern | prefix;
  let position = offset + 1;
  let rest = value - prefix;
  while (rest >= 0x80) {
    target[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[position] = rest;
  return position + 1;
}

/** Writes a string literal, Huffman-coded where that is shorter. */
export function encodeString(text: string, target: Uint8Array, offset: number): number {
  const coded = huffmanSize(text);
  if (coded < text.length) return huffmanEncode(text, target, encodeInteger(coded, 7, 0x80, target, offset));
  return writeLatin1(text, target, encodeInteger(text.length, 7, 0x00, target, offset));
}

/** Writes a byte string and returns the offset behind it. */
export function writeLatin1(text: string, target: Uint8Array, offset: number): number {
  for (let index = 0; index < text.length; index++) target[offset + index] = text.charCodeAt(index);
  return offset + text.length;
}

/**
 * HPACK decoder (RFC 7541 section 3 and 6). Decodes fields directly (a cache of whole blocks measured slower) and hands
 * indexed ones on without making strings.
 */
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FieldKind, HeaderField, fieldKind, isLegalValue, staticTable } from "./header-field.ts";
import { DynamicTable } from "./hpack-table.ts";
import { huffmanDecode } from "./huffman.ts";

const staticCount = 61;

/** The fields of one decoded block; reused for the next one, so take what is kept before the decoder runs again. */
export interface HeaderList {
  readonly fields: readonly HeaderField[];
  /** Only the first `count` fields belong to the block. */
  readonly count: number;
  /** True when the list was larger than the limit: the rest of it was decoded for the table's sake and dropped. */
  readonly truncated: boolean;
}

export interface HpackDecoderOptions {
  /** The table size we announce in SETTINGS; default 4096. */
  readonly tableSizeLimit?: number;
  /** Largest list, in HPACK's count (name + value + 32 each). */
  readonly maxListSize: number;
}

export class HpackDecoder implements HeaderList {
  readonly fields: HeaderField[] = [];
  count = 0;
  truncated = false;
  readonly #table: DynamicTable;
  readonly #tableSizeLimit: number;
  readonly #maxListSize: number;
  #listSize = 0;
  #source: Uint8Array = new Uint8Array(0);
  #position = 0;
  #end = 0;
  /** Room for decoded Huffman text; grows to the longest string seen, which the block limit bounds. */
  #scratch: Buffer = Buffer.alloc(256);

  constructor(options: HpackDecoderOptions) {
    this.#tableSizeLimit = options.tableSizeLimit ?? 4096;
    this.#table = new DynamicTable(this.#tableSizeLimit);
    this.#maxListSize = options.maxListSize;
  }

  /**
   * Decodes one complete block, `source[start, end)`, borrowed.
   *
   * @returns this object as the list; valid until the next call.
   * @throws {ConnectionError} COMPRESSION_ERROR; the decoder is unusable afterwards.
   */
  decode(source: Uint8Array, start: number, end: number): HeaderList {
    this.#source = source;
    this.#position = start;
    this.#end = end;
    this.#listSize = 0;
    this.count = 0;
    this.truncated = false;
    this.#decodeSizeUpdates();
    while (this.#position < end) {
      const first = source[this.#position];
      if (first >= 0x80) {
        // Indexed field; one byte unless the index is large.
        if (first !== 0xff) {
          this.#position++;
          this.#emit(this.#field(first & 0x7f));
        } else {
          this.#emit(this.#field(this.#integer(7)));
        }
      } else if (first >= 0x40) {
        const field = this.#literal(6);
        this.#table.add(field);
        this.#emit(field);
      } else if (first >= 0x20) {
        throw broken("table size update inside a header block");
      } else {
        // Without indexing and never indexed differ only for an intermediary.
        this.#emit(this.#literal(4));
      }
    }
    return this;
  }

  #emit(field: HeaderField): void {
    this.#listSize += field.size;
    if (this.#listSize > this.#maxListSize) {
      this.truncated = true;
      return;
    }
    this.fields[this.count++] = field;
  }

  /** Updates may stand only at the start of a block. */
  #decodeSizeUpdates(): void {
    while (this.#position < this.#end && (this.#source[this.#position] & 0xe0) === 0x20) {
      const size = this.#integer(5);
      if (size > this.#tableSizeLimit) throw broken("table size update above the announced limit");
      this.#table.resize(size);
    }
  }

  #field(index: number): HeaderField {
    if (index === 0) throw broken("field index 0");
    const field = index <= staticCount ? staticTable[index - 1] : this.#table.at(index - staticCount - 1);
    if (field === undefined) throw broken("field index beyond the table");
    return field;
  }

  #literal(prefixBits: number): HeaderField {
    const nameIndex = this.#integer(prefixBits);
    let name: string;
    let kind: FieldKind;
    if (nameIndex === 0) {
      name = this.#string();
      kind = fieldKind(name);
    } else {
      const named = this.#field(nameIndex);
      name = named.name;
      // A bad value made that entry malformed, not its name.
      kind = named.kind === FieldKind.malformed ? fieldKind(name) : named.kind;
    }
    const value = this.#string();
    return new HeaderField(name, value, isLegalValue(value) ? kind : FieldKind.malformed);
  }

  /** An integer with a prefix of `bits` (RFC 7541 section 5.1), below 2^28: nothing here may be larger. */
  #integer(bits: number): number {
    const prefix = (1 << bits) - 1;
    let value = this.#source[this.#position++] & prefix;
    if (value < prefix) return value;
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.#position >= this.#end) throw broken("header block ends inside an integer");
      const byte = this.#source[this.#position++];
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw broken("integer too large");
  }

  #string(): string {
    if (this.#position >= this.#end) throw broken("header block ends before a string");
    const huffman = this.#source[this.#position] >= 0x80;
    const length = this.#integer(7);
    const start = this.#position;
    const end = start + length;
    if (end > this.#end) throw broken("header block ends inside a string");
    this.#position = end;
    if (huffman) return this.#huffmanString(start, end);
    if (this.#scratch.length < length) this.#scratch = Buffer.alloc(length * 2);
    for (let index = 0; index < length; index++) this.#scratch[index] = this.#source[start + index]!;
    return this.#scratch.toString("latin1", 0, length);
  }

  #huffmanString(start: number, end: number): string {
    const room = ((end - start) * 8) / 5 + 1;
    if (this.#scratch.length < room) this.#scratch = Buffer.alloc(room * 2);
    const length = huffmanDecode(this.#source, start, end, this.#scratch);
    if (length < 0) throw broken("invalid Huffman code");
    return this.#scratch.toString("latin1", 0, length);
  }
}

function broken(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.compressionError, message);
}

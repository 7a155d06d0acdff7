/**
 * Profiles as `go tool pprof` reads them: profile.proto, compressed by gzip. Strings, functions and places in the program
 * are tables that samples refer to by number.
 *
 *     Profile   1 sample_type*  2 sample*  3 mapping*  4 location*  5 function*  6 string_table*
 *               9 time_nanos  10 duration_nanos  11 period_type  12 period
 *     ValueType 1 type  2 unit            Sample   1 location_id* (leaf first)  2 value*
 *     Location  1 id  2 mapping_id  4 line         Line     1 function_id  2 line
 *     Function  1 id  2 name  3 system_name  4 filename  5 start_line
 *     Mapping   1 id  5 filename  7 has_functions  8 has_filenames  9 has_line_numbers
 *
 * @see github.com/google/pprof, proto/profile.proto
 */
import { gzipSync } from "node:zlib";
import { BinaryWriter } from "@bufbuild/protobuf/wire";

/** What V8 says of a place in the program; lines count from 0, -1 where there is none. */
export interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** `cpu` in `nanoseconds`. */
export interface ValueKind {
  readonly type: string;
  readonly unit: string;
}

export interface ProfileOptions {
  /** What the values of each sample are, in their order. */
  readonly values: readonly ValueKind[];
  readonly period: ValueKind & { readonly every: number };
  /** Wall clock at the end, milliseconds. */
  readonly takenAt: number;
  readonly durationMs: number;
}

export class ProfileEncoder {
  readonly #writer = new BinaryWriter();
  readonly #strings = new Map<string, number>([["", 0]]);
  readonly #functions = new Map<string, number>();
  readonly #locations = new Map<string, number>();
  readonly #options: ProfileOptions;

  constructor(options: ProfileOptions) {
    this.#options = options;
    for (const kind of options.values) this.#valueType(1, kind);
  }

  /** @param stack - the innermost call first. */
  sample(stack: readonly CallFrame[], values: readonly number[]): void {
    const ids = stack.map((frame) => this.#location(frame));
    const writer = this.#writer.uint32(tag(2, lengthDelimited)).fork();
    writer.uint32(tag(1, lengthDelimited)).fork();
    for (const id of ids) writer.uint64(id);
    writer.join();
    writer.uint32(tag(2, lengthDelimited)).fork();
    for (const value of values) writer.int64(Math.round(value));
    writer.join();
    writer.join();
  }

  /** The whole profile; nothing may be added afterwards. */
  finish(): Uint8Array {
    const { takenAt, durationMs, period } = this.#options;
    const mapping = this.#string("etcd");
    const writer = this.#writer.uint32(tag(3, lengthDelimited)).fork();
    writer.uint32(tag(1, varint)).uint64(1).uint32(tag(5, varint)).int64(mapping);
    for (const has of [7, 8, 9]) writer.uint32(tag(has, varint)).bool(true);
    writer.join();
    writer.uint32(tag(9, varint)).int64(BigInt(Math.round(takenAt - durationMs)) * 1_000_000n);
    writer.uint32(tag(10, varint)).int64(Math.round(durationMs * 1e6));
    this.#valueType(11, period);
    writer.uint32(tag(12, varint)).int64(period.every);
    for (const text of this.#strings.keys()) writer.uint32(tag(6, lengthDelimited)).string(text);
    return gzipSync(writer.finish());
  }

  #valueType(field: number, { type, unit }: ValueKind): void {
    const [typeId, unitId] = [this.#string(type), this.#string(unit)];
    this.#writer.uint32(tag(field, lengthDelimited)).fork();
    this.#writer.uint32(tag(1, varint)).int64(typeId).uint32(tag(2, varint)).int64(unitId).join();
  }

  #string(text: string): number {
    let id = this.#strings.get(text);
    if (id === undefined) this.#strings.set(text, (id = this.#strings.size));
    return id;
  }

  #location(frame: CallFrame): number {
    const { url, lineNumber } = frame;
    const key = `${frame.functionName}\n${url}\n${lineNumber}`;
    let id = this.#locations.get(key);
    if (id !== undefined) return id;
    this.#locations.set(key, (id = this.#locations.size + 1));
    const functionId = this.#function(frame);
    const writer = this.#writer.uint32(tag(4, lengthDelimited)).fork();
    writer.uint32(tag(1, varint)).uint64(id).uint32(tag(2, varint)).uint64(1);
    writer.uint32(tag(4, lengthDelimited)).fork();
    writer.uint32(tag(1, varint)).uint64(functionId);
    writer
      .uint32(tag(2, varint))
      .int64(lineNumber + 1)
      .join()
      .join();
    return id;
  }

  #function({ functionName, url, lineNumber }: CallFrame): number {
    const name = functionName === "" ? "(anonymous)" : functionName;
    const key = `${name}\n${url}\n${lineNumber}`;
    let id = this.#functions.get(key);
    if (id !== undefined) return id;
    this.#functions.set(key, (id = this.#functions.size + 1));
    const [nameId, fileId] = [this.#string(name), this.#string(url.replace(/^file:\/\//, ""))];
    const writer = this.#writer.uint32(tag(5, lengthDelimited)).fork();
    writer.uint32(tag(1, varint)).uint64(id);
    writer.uint32(tag(2, varint)).int64(nameId).uint32(tag(3, varint)).int64(nameId);
    writer.uint32(tag(4, varint)).int64(fileId).uint32(tag(5, varint));
    writer.int64(lineNumber + 1).join();
    return id;
  }
}

const varint = 0;
const lengthDelimited = 2;

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

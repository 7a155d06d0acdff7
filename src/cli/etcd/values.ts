/**
 * Kinds of flag values: how a text becomes a value, with the error texts that Go's `flag` package and etcd's own
 * value types print after `invalid value "x" for flag -name: `.
 */
import { parseDuration } from "../../base/duration.ts";
import { checkUrl } from "../../membership/peer-urls.ts";

export interface ValueKind<T> {
  /** What help shows in place of the value; empty for a boolean switch. */
  readonly placeholder: string;
  /** A boolean flag needs no value: `--pre-vote` is `--pre-vote=true`. */
  readonly isBoolean: boolean;
  /** What this value is in a YAML file once converted to JSON. */
  readonly fileType: FileType;
  /** @throws {Error} whose message is the reason alone. */
  parse(text: string): T;
}

/** The Go type that a YAML value is decoded into; its name appears in decoding errors. */
export type FileType =
  | "string"
  | "bool"
  | "uint"
  | "int"
  | "int64"
  | "uint32"
  | "uint64"
  | "time.Duration"
  | "[]string";

const parseError = new Error("parse error");

export const text: ValueKind<string> = { placeholder: "''", isBoolean: false, fileType: "string", parse: (t) => t };

export const bool: ValueKind<boolean> = {
  placeholder: "",
  isBoolean: true,
  fileType: "bool",
  parse(value) {
    if (["1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
    if (["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
    throw parseError;
  },
};

/** Go's `strconv.ParseInt(s, 0, bits)`, limited to what a `number` holds exactly. */
function integer(fileType: FileType, min: bigint, max: bigint): ValueKind<number> {
  return {
    placeholder: "'0'",
    isBoolean: false,
    fileType,
    parse(value) {
      if (!/^[+-]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[0-9]+)$/.test(value)) throw parseError;
      const negative = value.startsWith("-");
      let digits = value.replace(/^[+-]/, "");
      if (/^0[0-7]+$/.test(digits)) digits = `0o${digits.slice(1)}`;
      const parsed = negative ? -BigInt(digits) : BigInt(digits);
      if (parsed < min || parsed > max) throw new Error("value out of range");
      return Number(parsed);
    },
  };
}

export const uint = integer("uint", 0n, BigInt(Number.MAX_SAFE_INTEGER));
export const uint64 = integer("uint64", 0n, BigInt(Number.MAX_SAFE_INTEGER));
export const uint32 = integer("uint32", 0n, 0xffff_ffffn);
export const int = integer("int", BigInt(Number.MIN_SAFE_INTEGER), BigInt(Number.MAX_SAFE_INTEGER));
export const int64 = integer("int64", BigInt(Number.MIN_SAFE_INTEGER), BigInt(Number.MAX_SAFE_INTEGER));

/** Milliseconds, with fraction. */
export const duration: ValueKind<number> = {
  placeholder: "'0s'",
  isBoolean: false,
  fileType: "time.Duration",
  parse(value) {
    try {
      return parseDuration(value);
    } catch {
      throw parseError;
    }
  },
};

/** Comma-separated texts in the order given. */
export const strings: ValueKind<readonly string[]> = {
  placeholder: "''",
  isBoolean: false,
  fileType: "[]string",
  parse: (value) => (value === "" ? [] : value.split(",")),
};

/** Comma-separated texts, each once, sorted. */
export const uniqueStrings: ValueKind<readonly string[]> = {
  ...strings,
  parse: (value) => [...new Set(strings.parse(value))].sort(),
};

/** Where lines go: as {@link uniqueStrings}, but the empty text is an output without a name, which cannot be opened. */
export const outputs: ValueKind<readonly string[]> = {
  ...strings,
  parse: (value) => [...new Set(value.split(","))].sort(),
};

/** One of a few words. */
export function oneOf<const T extends string>(...valid: readonly T[]): ValueKind<T> {
  return {
    placeholder: `'${valid[0] ?? ""}'`,
    isBoolean: false,
    fileType: "string",
    parse(value) {
      const found = valid.find((word) => word === value);
      if (found === undefined) throw new Error("invalid value");
      return found;
    },
  };
}

/** Comma-separated URLs, each once, sorted by their text; the empty text is no URL at all. */
export const urls: ValueKind<readonly string[]> = {
  placeholder: "''",
  isBoolean: false,
  fileType: "string",
  parse: (value) => (value === "" ? [] : parseUrls(value.split(","))),
};

/** As {@link urls}, with `*` standing for every origin. */
export const origins: ValueKind<readonly string[]> = {
  ...urls,
  parse: (value) => (value === "*" ? ["*"] : urls.parse(value)),
};

/** etcd's rules for a list of URLs. @throws {Error} with etcd's text. */
export function parseUrls(list: readonly string[]): readonly string[] {
  if (list.length === 0) throw new Error("no valid URLs given");
  return [...new Set(list.map((item) => checkUrl(item.trim())))].sort();
}

/**
 * Command-line flags with the forms and the error texts of Go's pflag, which scripts see on stderr:
 * `--name=value`, `--name value`, `-n value`, `-nvalue`, `-n=value`, grouped shorthands, booleans without value,
 * `--` ends the flags. Flags may stand anywhere among the arguments.
 */
import { formatDuration, parseDuration } from "../../base/duration.ts";
import { messageOf } from "./failure.ts";
import { parseBool, parseInt64, parseUint64 } from "./go-number.ts";

export type FlagValue = boolean | string | bigint | number | readonly string[];

interface FlagBase<Type extends string, Value extends FlagValue> {
  readonly name: string;
  readonly shorthand?: string;
  readonly type: Type;
  readonly initial: Value;
  readonly usage: string;
  /** Name of the type in help where it is not the usual one. */
  readonly kindName?: string;
}

/** One flag as a command declares it. `integer` and `unsigned` are 64-bit, `duration` is milliseconds, `list` is comma separated. */
export type FlagSpec =
  | FlagBase<"bool", boolean>
  | FlagBase<"string", string>
  | FlagBase<"integer", bigint>
  | FlagBase<"unsigned", bigint>
  | FlagBase<"duration", number>
  | FlagBase<"list", readonly string[]>;

/** A flag that is not known, lacks its value, or has a bad one; the message is pflag's. */
export class FlagError extends Error {
  override readonly name = "FlagError";
}

/** `--help` or `-h` was met where it is not a declared flag. */
export class HelpRequested extends Error {
  override readonly name = "HelpRequested";
}

/** Values and arguments of one parsed command line. */
export class FlagSet {
  readonly #specs = new Map<string, FlagSpec>();
  readonly #values = new Map<string, FlagValue>();
  readonly #changed = new Set<string>();
  readonly #arguments: string[] = [];

  constructor(specs: readonly FlagSpec[]) {
    for (const spec of specs) this.#specs.set(spec.name, spec);
  }

  /** Positional arguments, those behind `--` included. */
  get arguments(): readonly string[] {
    return this.#arguments;
  }

  /** Declared flags in order of name. */
  specs(): FlagSpec[] {
    return [...this.#specs.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** True when the flag was given (or set from the environment). */
  changed(name: string): boolean {
    return this.#changed.has(name);
  }

  bool(name: string): boolean {
    return this.#value(name) === true;
  }

  text(name: string): string {
    const value = this.#value(name);
    return typeof value === "string" ? value : String(value);
  }

  /** Of either kind of integer. */
  integer(name: string): bigint {
    const value = this.#value(name);
    return typeof value === "bigint" ? value : 0n;
  }

  /** Milliseconds. */
  duration(name: string): number {
    const value = this.#value(name);
    return typeof value === "number" ? value : 0;
  }

  list(name: string): readonly string[] {
    const value = this.#value(name);
    return Array.isArray(value) ? value : [];
  }

  /** The effective value as pflag prints it. */
  format(name: string): string {
    return formatValue(this.#value(name));
  }

  /** Sets a flag from text. Lists append to what the command line gave before. @throws {FlagError} */
  set(name: string, text: string): void {
    const spec = this.#specs.get(name);
    if (spec === undefined) throw new FlagError(`no such flag -${name}`);
    let value: FlagValue;
    try {
      value = parseValue(spec, text);
    } catch (error) {
      const shown = spec.shorthand === undefined ? `--${name}` : `-${spec.shorthand}, --${name}`;
      throw new FlagError(`invalid argument ${JSON.stringify(text)} for "${shown}" flag: ${messageOf(error)}`, {
        cause: error,
      });
    }
    if (spec.type === "list" && this.#changed.has(name)) value = [...this.list(name), ...(value as readonly string[])];
    this.#values.set(name, value);
    this.#changed.add(name);
  }

  /** Reads `args`. @throws {FlagError} {@link HelpRequested} */
  parse(args: readonly string[]): void {
    let rest = args;
    while (rest.length > 0) {
      const [argument] = rest;
      rest = rest.slice(1);
      if (argument === "--") {
        this.#arguments.push(...rest);
        return;
      }
      if (argument.startsWith("--")) rest = this.#parseLong(argument, rest);
      else if (argument.startsWith("-") && argument.length > 1) rest = this.#parseShort(argument.slice(1), rest);
      else this.#arguments.push(argument);
    }
  }

  #value(name: string): FlagValue {
    return this.#values.get(name) ?? this.#specs.get(name)?.initial ?? "";
  }

  #parseLong(argument: string, rest: readonly string[]): readonly string[] {
    if (/^--(=|-)/.test(argument)) throw new FlagError(`bad flag syntax: ${argument}`);
    const equals = argument.indexOf("=");
    const name = argument.slice(2, equals < 0 ? undefined : equals);
    const spec = this.#specs.get(name);
    if (spec === undefined) {
      if (name === "help") throw new HelpRequested();
      throw new FlagError(`unknown flag: --${name}`);
    }
    if (equals >= 0) this.set(name, argument.slice(equals + 1));
    else if (spec.type === "bool") this.set(name, "true");
    else if (rest.length === 0) throw new FlagError(`flag needs an argument: --${name}`);
    else {
      this.set(name, rest[0]);
      return rest.slice(1);
    }
    return rest;
  }

  /** @param group - what follows the dash: one or more shorthands, the last of which may carry a value. */
  #parseShort(group: string, rest: readonly string[]): readonly string[] {
    for (let shorthands = group; shorthands !== ""; shorthands = shorthands.slice(1)) {
      const letter = shorthands[0];
      const spec = [...this.#specs.values()].find((candidate) => candidate.shorthand === letter);
      if (spec === undefined) {
        if (letter === "h") throw new HelpRequested();
        throw new FlagError(`unknown shorthand flag: '${letter}' in -${shorthands}`);
      }
      if (shorthands.length > 2 && shorthands[1] === "=") {
        this.set(spec.name, shorthands.slice(2));
        return rest;
      }
      if (spec.type === "bool") this.set(spec.name, "true");
      else if (shorthands.length > 1) {
        this.set(spec.name, shorthands.slice(1));
        return rest;
      } else if (rest.length > 0) {
        this.set(spec.name, rest[0]);
        return rest.slice(1);
      } else throw new FlagError(`flag needs an argument: '${letter}' in -${shorthands}`);
    }
    return rest;
  }
}

function parseValue(spec: FlagSpec, text: string): FlagValue {
  switch (spec.type) {
    case "bool":
      return parseBool(text);
    case "integer":
      return parseInt64(text, 0);
    case "unsigned":
      return parseUint64(text, 0);
    case "duration":
      return parseDuration(text);
    case "list":
      return parseList(text);
    default:
      return text;
  }
}

/** Values separated by commas; one that holds a comma stands in double quotes, as in CSV. */
function parseList(text: string): string[] {
  if (text === "") return [];
  const values: string[] = [];
  let rest = text;
  for (;;) {
    const quoted = /^"((?:[^"]|"")*)"(?=,|$)/.exec(rest);
    const value = quoted?.[0] ?? /^[^,]*/.exec(rest)?.[0] ?? "";
    values.push(quoted === null ? value : quoted[1].replaceAll('""', '"'));
    if (value.length === rest.length) return values;
    rest = rest.slice(value.length + 1);
  }
}

/** A value as help and `--debug` print it. */
export function formatValue(value: FlagValue): string {
  if (typeof value === "number") return formatDuration(value);
  if (Array.isArray(value)) return `[${value.join(",")}]`;
  return String(value);
}

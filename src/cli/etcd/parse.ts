/**
 * Go's `flag` syntax over the table of flags: `-x`, `--x`, `--x=v`, `--x v`, a switch without a value, `--` and the
 * first plain word end the flags. The last of two equal flags counts.
 */
import { flags, ignoredFlags, isFlagName, type FlagName } from "./flags.ts";
import { parseFeatureGates } from "./feature-gates.ts";

export interface ParsedArguments {
  /** Only what was given, by flag name. */
  readonly given: Map<FlagName, unknown>;
  /** Accepted names without effect that were used. */
  readonly ignored: readonly string[];
  /** Words after the flags. */
  readonly rest: readonly string[];
  readonly help: boolean;
}

/** A mistake on the command line: printed with the usage block, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** @throws {UsageError} with the text of Go's `flag` package. */
export function parseArguments(args: readonly string[]): ParsedArguments {
  const given = new Map<FlagName, unknown>();
  const ignored: string[] = [];
  let index = 0;
  while (index < args.length) {
    const word = args[index];
    if (word === "--") {
      index++;
      break;
    }
    if (word.length < 2 || !word.startsWith("-")) break;
    index++;
    const body = word.replace(/^--?/, "");
    if (body === "" || body.startsWith("-") || body.startsWith("=")) throw new UsageError(`bad flag syntax: ${word}`);
    const equals = body.indexOf("=");
    const name = equals < 0 ? body : body.slice(0, equals);
    let value = equals < 0 ? undefined : body.slice(equals + 1);
    if (name === "help" || name === "h") return { given, ignored, rest: [], help: true };
    const isIgnored = ignoredFlags.includes(name);
    if (!isFlagName(name) && !isIgnored) throw new UsageError(`flag provided but not defined: -${name}`);
    const isSwitch = isIgnored || (isFlagName(name) && flags[name].kind.isBoolean);
    if (value === undefined && !isSwitch) {
      if (index >= args.length) throw new UsageError(`flag needs an argument: -${name}`);
      value = args[index++];
    }
    if (isFlagName(name)) given.set(name, parseFlag(name, value ?? "true", value === undefined ? "switch" : "flag"));
    else ignored.push(name);
  }
  return { given, ignored, rest: args.slice(index), help: false };
}

function parseFlag(name: FlagName, value: string, form: "switch" | "flag"): unknown {
  try {
    return parseValue(name, value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = JSON.stringify(value);
    if (flags[name].kind.isBoolean && form === "flag") {
      throw new UsageError(`invalid boolean value ${text} for -${name}: ${reason}`);
    }
    throw new UsageError(`invalid value ${text} for flag -${name}: ${reason}`);
  }
}

/** The value of a flag from its text. @throws {Error} whose message is the bare reason. */
export function parseValue(name: FlagName, value: string): unknown {
  if (name === "feature-gates") parseFeatureGates(value);
  return flags[name].kind.parse(value);
}

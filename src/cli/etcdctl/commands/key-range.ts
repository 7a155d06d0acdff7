/** Keys and ranges from arguments and the flags `--prefix` and `--from-key`, as `get` and `del` take them. */
import { prefixEnd } from "../../../base/bytes.ts";
import { bytesOf } from "../../shared/argument-bytes.ts";
import { badArguments } from "../../shared/failure.ts";
import type { FlagSet } from "../../shared/flags.ts";

/** `[0]`: as a key the lowest one, as an end "to the end of the key space". */
const zeroByte = Uint8Array.of(0);

export interface KeyRange {
  readonly key: Uint8Array;
  /** Empty: the key alone. */
  readonly rangeEnd: Uint8Array;
}

/** @throws {CommandFailure} when both flags are set. */
export function checkRangeFlags(flags: FlagSet): void {
  if (flags.bool("prefix") && flags.bool("from-key")) {
    throw badArguments("`--prefix` and `--from-key` cannot be set at the same time, choose one");
  }
}

/** @throws {CommandFailure} for an end given together with a flag that says where the range ends. */
export function keyRange(flags: FlagSet, args: readonly string[]): KeyRange {
  const isPrefix = flags.bool("prefix");
  const isOpen = flags.bool("from-key");
  if (args.length > 1 && (isPrefix || isOpen)) {
    throw badArguments("too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
  }
  const key = bytesOf(args[0]);
  if (isPrefix && key.length > 0) return { key, rangeEnd: prefixEnd(key) };
  if (isPrefix || isOpen) return { key: key.length === 0 ? zeroByte : key, rangeEnd: zeroByte };
  return { key, rangeEnd: args.length > 1 ? bytesOf(args[1]) : new Uint8Array(0) };
}

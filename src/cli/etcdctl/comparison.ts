/** One line of the first paragraph of `txn`: `target("key") op "value"`, such as `mod("k") > "0"`. */
import {
  Compare,
  Compare_CompareResult as CompareResult,
  Compare_CompareTarget as CompareTarget,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import { CommandFailure, ExitCode } from "../shared/failure.ts";
import { parseInt64 } from "../shared/go-number.ts";
import { quoteBytes, unquotePrefix } from "../shared/go-quote.ts";

const results: Readonly<Record<string, CompareResult>> = {
  "=": CompareResult.EQUAL,
  "!=": CompareResult.NOT_EQUAL,
  ">": CompareResult.GREATER,
  "<": CompareResult.LESS,
};

const targets: Readonly<Record<string, "version" | "createRevision" | "modRevision" | "value" | "lease">> = {
  ver: "version",
  version: "version",
  c: "createRevision",
  create: "createRevision",
  m: "modRevision",
  mod: "modRevision",
  val: "value",
  value: "value",
  lease: "lease",
};

const targetNumbers = {
  version: CompareTarget.VERSION,
  createRevision: CompareTarget.CREATE,
  modRevision: CompareTarget.MOD,
  value: CompareTarget.VALUE,
};

/** @throws {CommandFailure} with etcdctl's text, exit code 3. */
export function parseComparison(line: string): Compare {
  const open = line.indexOf("(");
  if (open < 0) throw malformed(line, "");
  const target = line.slice(0, open);
  const { key, operator, value } = scan(line.slice(open + 1));
  if (value === undefined) {
    const found = `${target}(${quoteBytes(key ?? noBytes)}) ${operator ?? ""} ""`;
    throw malformed(line, `; got ${found}`);
  }
  const property = Object.hasOwn(targets, target) ? targets[target] : undefined;
  if (property === undefined) throw malformed(line, ` (unknown target ${target})`);
  const result = Object.hasOwn(results, operator ?? "") ? results[operator ?? ""] : undefined;
  // Go's client panics on these two and exits with 2; we say what is wrong with the same code.
  if (property === "lease") throw unsupported(line, "leases cannot be compared in this form");
  if (property !== "value") checkNumber(line, value);
  if (result === undefined) throw unsupported(line, `unknown operator ${operator}`);
  return {
    ...Compare.create(),
    key: key ?? noBytes,
    result,
    target: targetNumbers[property],
    [property]: property === "value" ? value : BigInt(Buffer.from(value).toString("utf8")),
  };
}

const noBytes = new Uint8Array(0);

interface Parts {
  readonly key?: Uint8Array;
  readonly operator?: string;
  readonly value?: Uint8Array;
}

/** What stands behind the parenthesis, as far as it can be read: `"key") op "value"`; the rest of the line is ignored. */
function scan(text: string): Parts {
  const start = skipBlanks(text, 0);
  const key = unquotePrefix(text.slice(start));
  if (key === undefined) return {};
  const behindKey = start + key.length;
  const gap = /^\)[ \t]+/.exec(text.slice(behindKey))?.[0];
  if (gap === undefined) return { key: key.value };
  const operator = /^\S+/.exec(text.slice(behindKey + gap.length))?.[0];
  if (operator === undefined) return { key: key.value };
  const behindOperator = behindKey + gap.length + operator.length;
  const value = unquotePrefix(text.slice(skipBlanks(text, behindOperator)));
  return value === undefined ? { key: key.value, operator } : { key: key.value, operator, value: value.value };
}

function skipBlanks(text: string, from: number): number {
  let index = from;
  while (text[index] === " " || text[index] === "\t") index++;
  return index;
}

function checkNumber(line: string, value: Uint8Array): void {
  try {
    parseInt64(Buffer.from(value).toString("utf8"), 10);
  } catch (error) {
    throw new CommandFailure(ExitCode.InvalidInput, `invalid txn compare request: ${line}`, { cause: error });
  }
}

function malformed(line: string, detail: string): CommandFailure {
  return new CommandFailure(ExitCode.InvalidInput, `malformed comparison: ${line}${detail}`);
}

function unsupported(line: string, reason: string): CommandFailure {
  return new CommandFailure(ExitCode.BadConnection, `malformed comparison: ${line} (${reason})`);
}

/** `etcdctl get`. */
import { methods } from "../../../client/methods.ts";
import {
  RangeRequest_SortOrder as SortOrder,
  RangeRequest_SortTarget as SortTarget,
  type RangeRequest,
} from "../../../wire/gen/etcdserverpb/rpc.ts";
import type { Command } from "../../shared/command.ts";
import { badArguments, CommandFailure, ExitCode } from "../../shared/failure.ts";
import type { FlagSet } from "../../shared/flags.ts";
import { openContext, request } from "../connect.ts";
import { checkRangeFlags, keyRange } from "./key-range.ts";

export const getCommand: Command = {
  name: "get",
  synopsis: "[options] <key> [range_end]",
  summary: "Gets the key or a range of keys",
  flags: [
    { name: "consistency", type: "string", initial: "l", usage: "Linearizable(l) or Serializable(s)" },
    {
      name: "order",
      type: "string",
      initial: "",
      usage: "Order of results; ASCEND or DESCEND (ASCEND by default)",
    },
    {
      name: "sort-by",
      type: "string",
      initial: "",
      usage: "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION",
    },
    { name: "limit", type: "integer", initial: 0n, usage: "Maximum number of results" },
    { name: "prefix", type: "bool", initial: false, usage: "Get keys with matching prefix" },
    {
      name: "from-key",
      type: "bool",
      initial: false,
      usage: "Get keys that are greater than or equal to the given key using byte compare",
    },
    { name: "rev", type: "integer", initial: 0n, usage: "Specify the kv revision" },
    { name: "keys-only", type: "bool", initial: false, usage: "Get only the keys" },
    { name: "count-only", type: "bool", initial: false, usage: "Get only the count" },
    {
      name: "print-value-only",
      type: "bool",
      initial: false,
      usage: 'Only write values when using the "simple" output format',
    },
    { name: "min-create-rev", type: "integer", initial: 0n, usage: "Minimum create revision" },
    { name: "max-create-rev", type: "integer", initial: 0n, usage: "Maximum create revision" },
    { name: "min-mod-rev", type: "integer", initial: 0n, usage: "Minimum modification revision" },
    { name: "max-mod-rev", type: "integer", initial: 0n, usage: "Maximum modification revision" },
  ],
  async run(invocation) {
    const { flags, args } = invocation;
    const fields = getRequest(flags, args);
    const { connect, printer, timeoutMs } = await openContext(invocation);
    const client = await connect();
    const response = await request(client.call(methods.range, fields, { timeoutMs }));
    if (flags.bool("count-only") && printer.format !== "fields") {
      throw badArguments("--count-only is only for `--write-out=fields`");
    }
    if (flags.bool("print-value-only")) {
      if (printer.format !== "simple") throw badArguments("print-value-only is only for `--write-out=simple`");
      printer.printValuesOnly();
    }
    printer.print("get", { response });
  },
};

const sortOrders: Readonly<Record<string, SortOrder>> = {
  "": SortOrder.NONE,
  ASCEND: SortOrder.ASCEND,
  DESCEND: SortOrder.DESCEND,
};

const sortTargets: Readonly<Record<string, SortTarget>> = {
  "": SortTarget.KEY,
  CREATE: SortTarget.CREATE,
  KEY: SortTarget.KEY,
  MODIFY: SortTarget.MOD,
  VALUE: SortTarget.VALUE,
  VERSION: SortTarget.VERSION,
};

/** @throws {CommandFailure} */
export function getRequest(flags: FlagSet, args: readonly string[]): RangeRequest {
  if (args.length === 0) {
    throw badArguments("get command needs one argument as key and an optional argument as range_end");
  }
  checkRangeFlags(flags);
  const keysOnly = flags.bool("keys-only");
  const countOnly = flags.bool("count-only");
  if (keysOnly && countOnly) {
    throw badArguments("`--keys-only` and `--count-only` cannot be set at the same time, choose one");
  }
  const serializable = isSerializable(flags.text("consistency"));
  const range = keyRange(flags, args);
  const sortOrder = choice(sortOrders, "sort order", flags.text("order"));
  const sortTarget = choice(sortTargets, "sort target", flags.text("sort-by"));
  return {
    ...range,
    limit: flags.integer("limit"),
    revision: positive(flags.integer("rev")),
    // Keys come in ascending order anyway; asking for it would make the server sort, and then cut.
    sortOrder: sortTarget === SortTarget.KEY && sortOrder === SortOrder.ASCEND ? SortOrder.NONE : sortOrder,
    sortTarget,
    serializable,
    keysOnly,
    countOnly,
    ...revisionBounds(flags),
  };
}

/** @throws {CommandFailure} for a flag that is neither `l` nor `s`. */
export function isSerializable(consistency: string): boolean {
  if (consistency === "s") return true;
  if (consistency === "l") return false;
  throw new CommandFailure(ExitCode.BadFeature, `unknown consistency flag ${JSON.stringify(consistency)}`);
}

function choice<Value>(choices: Readonly<Record<string, Value>>, what: string, text: string): Value {
  const name = text.toUpperCase();
  if (!Object.hasOwn(choices, name)) throw new CommandFailure(ExitCode.BadFeature, `bad ${what} ${text}`);
  return choices[name];
}

type RevisionBounds = Pick<
  RangeRequest,
  "minModRevision" | "maxModRevision" | "minCreateRevision" | "maxCreateRevision"
>;

function revisionBounds(flags: FlagSet): RevisionBounds {
  const bounds: RevisionBounds = {
    minModRevision: positive(flags.integer("min-mod-rev")),
    maxModRevision: positive(flags.integer("max-mod-rev")),
    minCreateRevision: positive(flags.integer("min-create-rev")),
    maxCreateRevision: positive(flags.integer("max-create-rev")),
  };
  checkBounds("CreateRev", bounds.minCreateRevision, bounds.maxCreateRevision);
  checkBounds("ModRev", bounds.minModRevision, bounds.maxModRevision);
  return bounds;
}

function checkBounds(name: string, min: bigint, max: bigint): void {
  if (max === 0n || min <= max) return;
  throw new CommandFailure(ExitCode.BadFeature, `getMin${name}(=${min}) > getMax${name}(=${max})`);
}

/** Zero and below mean "not given". */
function positive(revision: bigint): bigint {
  return revision > 0n ? revision : 0n;
}

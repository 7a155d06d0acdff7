/** `etcdctl del`. */
import { methods } from "../../../client/methods.ts";
import type { DeleteRangeRequest } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { bytesOf } from "../../shared/argument-bytes.ts";
import type { Command } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";
import type { FlagSet } from "../../shared/flags.ts";
import { quoteBytes } from "../../shared/go-quote.ts";
import type { Terminal } from "../../shared/terminal.ts";
import { openContext, request } from "../connect.ts";
import { checkRangeFlags, keyRange } from "./key-range.ts";

/** How long a range deletion without `--range` waits for a second thought. */
const warningMs = 2000;

export const delCommand: Command = {
  name: "del",
  synopsis: "[options] <key> [range_end]",
  summary: "Removes the specified key or range of keys [key, range_end)",
  flags: [
    { name: "prefix", type: "bool", initial: false, usage: "delete keys with matching prefix" },
    { name: "prev-kv", type: "bool", initial: false, usage: "return deleted key-value pairs" },
    {
      name: "from-key",
      type: "bool",
      initial: false,
      usage: "delete keys that are greater than or equal to the given key using byte compare",
    },
    { name: "range", type: "bool", initial: false, usage: "delete range of keys" },
  ],
  async run(invocation) {
    const fields = await deleteRequest(invocation.flags, invocation.args, invocation.terminal);
    const { connect, printer, timeoutMs } = await openContext(invocation);
    const client = await connect();
    printer.print("delete", { response: await request(client.call(methods.deleteRange, fields, { timeoutMs })) });
  },
};

/** Warns and waits before a range deletion that was not asked for by flag. @throws {CommandFailure} */
export async function deleteRequest(
  flags: FlagSet,
  args: readonly string[],
  terminal: Terminal,
): Promise<DeleteRangeRequest> {
  if (args.length === 0 || args.length > 2) {
    throw badArguments("del command needs one argument as key and an optional argument as range_end");
  }
  checkRangeFlags(flags);
  const range = keyRange(flags, args);
  if (args.length > 1 && !flags.bool("range")) {
    const [from, to] = args.map((argument) => quoteBytes(bytesOf(argument)));
    terminal.error.write(
      `Warning: Keys between ${from} and ${to} will be deleted. Please interrupt the command within next 2 seconds to cancel. You can provide \`--range\` flag to avoid the delay.\n`,
    );
    await new Promise((resolve) => setTimeout(resolve, warningMs));
  }
  return { ...range, prevKv: flags.bool("prev-kv") };
}

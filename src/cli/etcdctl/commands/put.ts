/** `etcdctl put`. */
import { methods } from "../../../client/methods.ts";
import type { PutRequest } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { bytesOf } from "../../shared/argument-bytes.ts";
import type { Command } from "../../shared/command.ts";
import { badArguments, messageOf } from "../../shared/failure.ts";
import type { FlagSet } from "../../shared/flags.ts";
import { parseInt64 } from "../../shared/go-number.ts";
import { openContext, request } from "../connect.ts";

export const putCommand: Command = {
  name: "put",
  synopsis: "[options] <key> <value> (<value> can also be given from stdin)",
  summary: "Puts the given key into the store",
  description: `
Puts the given key into the store.

When <value> begins with '-', <value> is interpreted as a flag.
Insert '--' for workaround:

$ put <key> -- <value>
$ put -- <key> <value>

If <value> isn't given as a command line argument and '--ignore-value' is not specified,
this command tries to read the value from standard input.

If <lease> isn't given as a command line argument and '--ignore-lease' is not specified,
this command tries to read the value from standard input.

For example,
$ cat file | put <key>
will store the content of the file to <key>.
`,
  flags: [
    { name: "lease", type: "string", initial: "0", usage: "lease ID (in hexadecimal) to attach to the key" },
    {
      name: "prev-kv",
      type: "bool",
      initial: false,
      usage: "return the previous key-value pair before modification",
    },
    { name: "ignore-value", type: "bool", initial: false, usage: "updates the key using its current value" },
    { name: "ignore-lease", type: "bool", initial: false, usage: "updates the key using its current lease" },
  ],
  async run(invocation) {
    const fields = putRequest(invocation.flags, invocation.args, () => invocation.terminal.readInput());
    const { connect, printer, timeoutMs } = await openContext(invocation);
    const client = await connect();
    printer.print("put", { response: await request(client.call(methods.put, fields, { timeoutMs })) });
  },
};

/** @param readInput - gives the value that is not among the arguments. @throws {CommandFailure} */
export function putRequest(flags: FlagSet, args: readonly string[], readInput: () => Uint8Array): PutRequest {
  const needsValue = "put command needs 1 argument and input from stdin or 2 arguments";
  if (args.length === 0) throw badArguments(needsValue);
  const ignoreValue = flags.bool("ignore-value");
  if (ignoreValue && args.length > 1) {
    throw badArguments("put command needs only 1 argument when 'ignore-value' is set");
  }
  let value: Uint8Array = new Uint8Array(0);
  if (!ignoreValue) {
    value = args.length > 1 ? bytesOf(args[1]) : readInput();
    if (args.length === 1 && value.length === 0) throw badArguments(needsValue);
  }
  return {
    key: bytesOf(args[0]),
    value,
    lease: leaseOf(flags.text("lease")),
    prevKv: flags.bool("prev-kv"),
    ignoreValue,
    ignoreLease: flags.bool("ignore-lease"),
  };
}

function leaseOf(text: string): bigint {
  try {
    return parseInt64(text, 16);
  } catch (error) {
    throw badArguments(`bad lease ID (${messageOf(error)}), expecting ID in Hex`);
  }
}

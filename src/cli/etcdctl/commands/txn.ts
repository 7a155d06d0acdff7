/** `etcdctl txn`: three paragraphs from standard input, one transaction. */
import { methods } from "../../../client/methods.ts";
import type { Compare, RequestOp } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { flagsOf, findCommand, type Command, type Invocation } from "../../shared/command.ts";
import { badArguments, CommandFailure, ExitCode } from "../../shared/failure.ts";
import { FlagError, FlagSet, HelpRequested } from "../../shared/flags.ts";
import type { InputLine } from "../../shared/terminal.ts";
import { plainUsage } from "../../shared/usage.ts";
import { parseComparison } from "../comparison.ts";
import { openContext, request } from "../connect.ts";
import { splitWords } from "../shell-words.ts";
import { delCommand, deleteRequest } from "./del.ts";
import { getCommand, getRequest } from "./get.ts";
import { putCommand, putRequest } from "./put.ts";

export const txnCommand: Command = {
  name: "txn",
  synopsis: "[options]",
  summary: "Txn processes all the requests in one transaction",
  description: `Txn reads multiple etcd requests from standard input and applies them as a single atomic transaction.

A transaction consists of three components:
1) a list of conditions,
2) a list of requests to apply if all the conditions are true,
3) a list of requests to apply if any condition is false.

Example interactive stdin usage:

---
etcdctl txn -i
# compares:
mod("key1") > "0"

# success requests (get, put, delete):
put key1 "overwrote-key1"

# failure requests (get, put, delete):
put key1 "created-key1"
put key2 "some extra key"
---

Refer to https://github.com/etcd-io/etcd/blob/main/etcdctl/README.md#txn-options.`,
  flags: [
    {
      name: "interactive",
      shorthand: "i",
      type: "bool",
      initial: false,
      usage: "Input transaction in interactive mode",
    },
  ],
  async run(invocation) {
    const { flags, args, terminal } = invocation;
    if (args.length > 0) throw badArguments("txn command does not accept argument");
    const { connect, printer } = await openContext(invocation);
    const client = await connect();
    const lines = terminal.lines();
    const prompt = (text: string): void => {
      if (!flags.bool("interactive")) return;
      terminal.output.write(`${text}\n`);
      terminal.flush();
    };
    prompt("compares:");
    const compare: Compare[] = [];
    for await (const line of paragraph(lines)) compare.push(parseComparison(line));
    prompt("success requests (get, put, del):");
    const success = await operations(lines, invocation);
    prompt("failure requests (get, put, del):");
    const failure = await operations(lines, invocation);
    printer.print("txn", { response: await request(client.call(methods.txn, { compare, success, failure })) });
  },
};

/** Trimmed lines up to an empty one. @throws {CommandFailure} when the input ends before it. */
async function* paragraph(lines: AsyncIterator<InputLine>): AsyncIterableIterator<string> {
  for (;;) {
    const next = await lines.next();
    if (next.done === true || !next.value.complete) throw new CommandFailure(ExitCode.InvalidInput, "EOF");
    const line = next.value.text.trim();
    if (line === "") return;
    yield line;
  }
}

async function operations(lines: AsyncIterator<InputLine>, invocation: Invocation): Promise<RequestOp[]> {
  const list: RequestOp[] = [];
  for await (const line of paragraph(lines)) list.push(await parseOperation(line, invocation));
  return list;
}

/** The commands of a line, flags and all; the name of the group is empty. */
const lineCommands: Command = { name: "", summary: "", commands: [putCommand, getCommand, delCommand] };

async function parseOperation(line: string, { terminal }: Invocation): Promise<RequestOp> {
  const words = splitWords(line);
  if (words.length < 2) throw new CommandFailure(ExitCode.InvalidInput, `invalid txn compare request: ${line}`);
  const invalid = new CommandFailure(ExitCode.InvalidInput, `invalid txn request: ${line}`);
  const { path, rest } = findCommand(lineCommands, words);
  if (path.length === 1) throw invalid;
  const flags = new FlagSet(flagsOf(path));
  try {
    flags.parse(rest);
    if (flags.bool("help")) throw new HelpRequested();
  } catch (error) {
    if (!(error instanceof FlagError || error instanceof HelpRequested)) throw error;
    terminal.error.write(`${plainUsage(path)}\n`);
    throw invalid;
  }
  const args = flags.arguments;
  switch (path[1]) {
    case putCommand:
      return { requestPut: putRequest(flags, args, () => new Uint8Array(0)) };
    case getCommand:
      return { requestRange: getRequest(flags, args) };
    default:
      return { requestDeleteRange: await deleteRequest(flags, args, terminal) };
  }
}

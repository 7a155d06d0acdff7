/** `etcdctl compaction`. */
import { methods } from "../../../client/methods.ts";
import type { Command } from "../../shared/command.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { parseInt64 } from "../../shared/go-number.ts";
import { openContext, request } from "../connect.ts";

export const compactionCommand: Command = {
  name: "compaction",
  synopsis: "[options] <revision>",
  summary: "Compacts the event history in etcd",
  flags: [
    {
      name: "physical",
      type: "bool",
      initial: false,
      usage: "'true' to wait for compaction to physically remove all old revisions",
    },
  ],
  async run(invocation) {
    const { args, flags, terminal } = invocation;
    if (args.length !== 1) throw badArguments("compaction command needs 1 argument");
    const revision = revisionOf(args[0]);
    const { connect, timeoutMs } = await openContext(invocation);
    const client = await connect();
    await request(client.call(methods.compact, { revision, physical: flags.bool("physical") }, { timeoutMs }));
    terminal.output.write(`compacted revision ${revision}\n`);
  },
};

function revisionOf(text: string): bigint {
  try {
    return parseInt64(text, 10);
  } catch (error) {
    throw new CommandFailure(ExitCode.Error, messageOf(error));
  }
}

/** `etcdutl defrag`: defragments the database of a member that does not run. */
import type { Command } from "../../shared/command.ts";
import { ConsoleLogger } from "../../shared/console-logger.ts";
import { CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { openStoppedMember } from "../stopped-member.ts";

export const defragCommand: Command = {
  name: "defrag",
  summary: "Defragments the storage of the etcd",
  flags: [
    {
      name: "data-dir",
      type: "string",
      initial: "",
      usage: "Required. Defragments a data directory not in use by etcd.",
    },
  ],
  requiredFlags: ["data-dir"],
  async run({ flags, terminal }) {
    const dataDir = flags.text("data-dir");
    const log = new ConsoleLogger(terminal.error, "commands/defrag.ts");
    const hint = "To defrag a running etcd instance, use `etcdctl defrag` instead.";
    try {
      const { backend } = await openStoppedMember(dataDir, terminal, log, hint);
      try {
        await backend.defragment();
      } finally {
        await backend.close();
      }
    } catch (cause) {
      const reason = messageOf(cause);
      throw new CommandFailure(ExitCode.Error, `Failed to defragment etcd data[${dataDir}] (${reason})`, { cause });
    }
  },
};

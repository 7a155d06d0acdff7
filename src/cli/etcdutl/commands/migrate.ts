/** `etcdutl migrate`. */
import type { Version } from "../../../membership/version.ts";
import type { Command } from "../../shared/command.ts";
import { ConsoleLogger } from "../../shared/console-logger.ts";
import { badArguments, messageOf } from "../../shared/failure.ts";
import { migrate, parseTarget } from "../migrate.ts";
import { openStoppedMember } from "../stopped-member.ts";

export const migrateCommand: Command = {
  name: "migrate",
  summary: "Migrates schema of etcd data dir files to make them compatible with different etcd version",
  flags: [
    { name: "data-dir", type: "string", initial: "", usage: "Path to the etcd data dir" },
    {
      name: "target-version",
      type: "string",
      initial: "",
      usage: 'Target etcd version to migrate contents of data dir. Minimal value 3.5. Format "X.Y" for example 3.6.',
    },
    {
      name: "force",
      type: "bool",
      initial: false,
      usage: "Ignore migration failure and forcefully override storage version. Not recommended.",
    },
  ],
  requiredFlags: ["data-dir", "target-version"],
  async run({ flags, terminal }) {
    const target = targetOf(flags.text("target-version"));
    const log = new ConsoleLogger(terminal.error, "commands/migrate.ts");
    const member = await openStoppedMember(flags.text("data-dir"), terminal, log);
    try {
      await migrate(member, target, flags.bool("force"));
    } finally {
      await member.backend.close();
    }
  },
};

function targetOf(text: string): Version {
  try {
    return parseTarget(text);
  } catch (error) {
    throw badArguments(messageOf(error));
  }
}

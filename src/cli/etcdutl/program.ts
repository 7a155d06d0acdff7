/** The command tree of `etcdutl`: work on etcd's files without a server. */
import type { Program } from "../shared/command.ts";
import { createCompletionCommand } from "../shared/completion-command.ts";
import { createHelpCommand } from "../shared/help-command.ts";
import { apiVersion, etcdVersion } from "../shared/version.ts";
import { defragCommand } from "./commands/defrag.ts";
import { hashKvCommand } from "./commands/hashkv.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { snapshotCommand } from "./commands/snapshot.ts";

export const program: Program = {
  root: {
    name: "etcdutl",
    summary: "An administrative command line tool for etcd3.",
    sharedFlags: [
      {
        name: "write-out",
        shorthand: "w",
        type: "string",
        initial: "simple",
        usage: "set the output format (fields, json, protobuf, simple, table)",
      },
    ],
    commands: [
      defragCommand,
      snapshotCommand,
      hashKvCommand,
      migrateCommand,
      {
        name: "version",
        summary: "Prints the version of etcdutl",
        run({ terminal }) {
          terminal.output.write(`etcdutl version: ${etcdVersion}\nAPI version: ${apiVersion}\n`);
        },
      },
      createCompletionCommand("etcdutl"),
      createHelpCommand("etcdutl", () => program),
    ],
  },
  version: etcdVersion,
  apiVersion,
  style: "plain",
};

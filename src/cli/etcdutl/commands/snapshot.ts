/** `etcdutl snapshot`. */
import type { Command } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";
import { readDatabase } from "../database.ts";
import { createPrinter, statusPage } from "../printer.ts";
import { snapshotStatus } from "../snapshot-status.ts";

export const snapshotCommand: Command = {
  name: "snapshot",
  synopsis: "<subcommand>",
  summary: "Manages etcd node snapshots",
  commands: [
    {
      name: "status",
      synopsis: "<filename>",
      summary: "Gets backend snapshot status of a given file",
      run({ args, flags, terminal }) {
        if (args.length !== 1) throw badArguments("snapshot status requires exactly one argument");
        const status = readDatabase(args[0], terminal, snapshotStatus);
        createPrinter(flags.text("write-out"), terminal)(statusPage(status));
      },
    },
  ],
};

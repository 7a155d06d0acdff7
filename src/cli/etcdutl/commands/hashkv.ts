/** `etcdutl hashkv`. */
import type { Command } from "../../shared/command.ts";
import { CommandFailure, ExitCode } from "../../shared/failure.ts";
import { inTransaction, readDatabase } from "../database.ts";
import { hashKeyValues } from "../hash-kv.ts";
import { createPrinter, hashPage } from "../printer.ts";

export const hashKvCommand: Command = {
  name: "hashkv",
  synopsis: "<filename>",
  summary: "Prints the KV history hash of a given file",
  flags: [{ name: "rev", type: "integer", initial: 0n, usage: "maximum revision to hash (default: latest revision)" }],
  checkArguments: (args) => (args.length === 1 ? undefined : `accepts 1 arg(s), received ${args.length}`),
  run({ args, flags, terminal }) {
    const print = createPrinter(flags.text("write-out"), terminal);
    const revision = flags.integer("rev");
    if (revision > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new CommandFailure(ExitCode.Error, "mvcc: required revision is a future revision");
    }
    const wanted = Math.max(0, Number(revision));
    const hash = readDatabase(args[0], terminal, (db) => inTransaction(db, (tx) => hashKeyValues(tx, wanted)));
    print(hashPage(hash));
  },
};

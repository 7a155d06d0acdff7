/** `quorate backup encrypt`: a snapshot file, sealed to age recipients. */
import { NodeDisk } from "../../../platform/node/disk.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { ConsoleLogger } from "../../shared/console-logger.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { humanSize } from "../../../base/human-size.ts";
import { createEncrypter, encryptFile, type FileDigest } from "./encrypt.ts";
import { recipientFlags, recipientsOf } from "./recipients.ts";

/** What `-w json` prints. */
export type EncryptOutput = FileDigest;

export const encryptCommand: Command = {
  name: "encrypt",
  synopsis: "<file> <new file>",
  summary: "Encrypts a snapshot file to age recipients",
  flags: recipientFlags,
  run: encrypt,
};

async function encrypt({ args, flags, terminal }: Invocation): Promise<void> {
  if (args.length !== 2) throw badArguments("backup encrypt needs the file and the name of the new one");
  const [source, target] = args;
  const recipients = recipientsOf(flags);
  if (recipients.length === 0) throw badArguments("backup encrypt needs --recipient or --recipients-file");
  const disk = new NodeDisk(new ConsoleLogger(terminal.error, "backup/encrypt-command.ts"));
  const isNew = !disk.exists(target);
  try {
    const output: EncryptOutput = await encryptFile(disk, createEncrypter(recipients), source, target);
    terminal.output.write(
      flags.text("write-out") === "json"
        ? `${JSON.stringify(output)}\n`
        : `Wrote ${target} (${humanSize(output.size)}, encrypted to ${recipients.length} recipient(s))\n`,
    );
  } catch (error) {
    if (isNew && disk.exists(target)) disk.remove(target);
    throw new CommandFailure(ExitCode.Error, messageOf(error), { cause: error });
  }
}

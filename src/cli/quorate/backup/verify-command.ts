/** `quorate backup verify`: the restore drill on a file that is there already. No member is needed. */
import { dirname, join } from "node:path";
import { NodeClock } from "../../../platform/node/clock.ts";
import { NodeDisk } from "../../../platform/node/disk.ts";
import type { FileHash } from "../../etcdutl/hash-kv.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { ConsoleLogger } from "../../shared/console-logger.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { readFacts } from "./catalog.ts";
import { drill } from "./drill.ts";
import { decryptFile } from "./encrypt.ts";
import { readLines } from "./recipients.ts";

/** What `-w json` prints. */
export interface VerifyOutput extends FileHash {
  /** Whether the hash is the one noted beside the file; undefined when nothing is. */
  readonly asNoted?: boolean;
}

export const verifyCommand: Command = {
  name: "verify",
  synopsis: "<file>",
  summary:
    "Restores a backup or snapshot file into a scratch directory and compares HashKV with what is noted beside it",
  flags: [
    { name: "scratch-dir", type: "string", initial: "", usage: "where to restore to; default: beside the file" },
    { name: "identity-file", type: "string", initial: "", usage: "file with age identities, for an encrypted backup" },
  ],
  run: verify,
};

async function verify({ args, flags, terminal }: Invocation): Promise<void> {
  if (args.length !== 1) throw badArguments("backup verify needs one file");
  const [path] = args;
  const log = new ConsoleLogger(terminal.error, "backup/verify-command.ts");
  const disk = new NodeDisk(log);
  const isSealed = path.endsWith(".age");
  const identityFile = flags.text("identity-file");
  if (isSealed && identityFile === "") throw badArguments(`${path} is encrypted: give --identity-file`);
  const scratch = join(flags.text("scratch-dir") || dirname(path), `.verifying-${process.pid}`);
  const plain = isSealed ? `${scratch}.part` : path;
  let output: VerifyOutput;
  try {
    if (isSealed) await decryptFile(disk, readLines(identityFile, "identity"), path, plain);
    const hash = await drill({ disk, clock: new NodeClock(), log }, plain, `${scratch}.drill`);
    const facts = readFacts(disk, `${path}.json`);
    const asNoted = facts && facts.hash === hash.hash && facts.revision === hash.hashRevision;
    output = asNoted === undefined ? hash : { ...hash, asNoted };
  } catch (error) {
    throw error instanceof CommandFailure ? error : new CommandFailure(ExitCode.Error, messageOf(error));
  } finally {
    if (isSealed && disk.exists(plain)) disk.remove(plain);
  }
  const { hash, hashRevision, asNoted } = output;
  const text = `${path}: a restored copy has HashKV ${hash} at revision ${hashRevision}`;
  if (asNoted === false) throw new CommandFailure(ExitCode.Error, `${text}, which is not what is noted beside it`);
  const end = asNoted === undefined ? "" : ", as noted";
  terminal.output.write(flags.text("write-out") === "json" ? `${JSON.stringify(output)}\n` : `${text}${end}\n`);
}

/** `quorate backup`: verified, optionally encrypted backups in a directory. */
import { openContext, request } from "../../etcdctl/connect.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { ConsoleLogger } from "../../shared/console-logger.ts";
import { badArguments, CommandFailure, ExitCode } from "../../shared/failure.ts";
import { humanSize } from "../../../base/human-size.ts";
import { renderTable } from "../../shared/text-table.ts";
import { NodeClock } from "../../../platform/node/clock.ts";
import { NodeDisk } from "../../../platform/node/disk.ts";
import { type Backup, listBackups } from "./catalog.ts";
import { encryptCommand } from "./encrypt-command.ts";
import { recipientFlags, recipientsOf } from "./recipients.ts";
import { saveBackup } from "./save.ts";
import { verifyCommand } from "./verify-command.ts";

const directoryFlag = {
  name: "dir",
  type: "string",
  initial: "",
  usage: "directory of the backups",
} as const;

export const backupCommand: Command = {
  name: "backup",
  summary: "Saves, lists and verifies backups; each has been restored once before it counts",
  commands: [
    {
      name: "save",
      summary: "Saves a snapshot of one member, restores a copy of it and compares that with the member",
      flags: [
        directoryFlag,
        ...recipientFlags,
        {
          name: "keep",
          type: "unsigned",
          initial: 0n,
          usage: "verified backups of this cluster to keep, older ones are removed; 0 keeps all",
        },
      ],
      requiredFlags: ["dir"],
      run: save,
    },
    {
      name: "list",
      summary: "Lists the backups of a directory, with when they were verified",
      flags: [directoryFlag],
      requiredFlags: ["dir"],
      run: list,
    },
    verifyCommand,
    encryptCommand,
  ],
};

async function save(invocation: Invocation): Promise<void> {
  const { args, flags, terminal } = invocation;
  if (args.length > 0) throw badArguments("backup save takes no arguments");
  const recipients = recipientsOf(flags);
  const { connect, endpoints, timeoutMs } = await openContext(invocation);
  if (endpoints.length !== 1) {
    throw badArguments(`a backup is one member's: give one endpoint, not ${endpoints.length}`);
  }
  const log = new ConsoleLogger(terminal.error, "backup/save.ts");
  const host = { disk: new NodeDisk(log), clock: new NodeClock(), log };
  const { name, facts, removed } = await request(
    saveBackup(host, {
      client: await connect(),
      endpoint: endpoints[0],
      directory: flags.text("dir"),
      recipients,
      keep: Number(flags.integer("keep")),
      timeoutMs,
    }),
  );
  const encrypted = recipients.length === 0 ? "not encrypted" : `encrypted to ${recipients.length} recipient(s)`;
  terminal.output.write(
    `Saved ${name} (${humanSize(facts.size)}, ${encrypted})\n` +
      `Verified: a restored copy has HashKV ${facts.hash} at revision ${facts.revision}, as the member\n`,
  );
  for (const old of removed) terminal.output.write(`Removed ${old}\n`);
}

function list({ flags, terminal }: Invocation): void {
  const log = new ConsoleLogger(terminal.error, "backup/command.ts");
  const backups = listBackups(new NodeDisk(log), flags.text("dir"));
  const format = flags.text("write-out");
  if (format === "json") terminal.output.write(`${JSON.stringify(backups)}\n`);
  else if (format === "table") {
    terminal.output.write(renderTable(["name", "revision", "size", "encrypted", "verified"], backups.map(rowOf)));
  } else if (format === "simple") {
    for (const backup of backups) terminal.output.write(`${rowOf(backup).join(", ")}\n`);
  } else throw new CommandFailure(ExitCode.BadFeature, `${format} not supported as output format`);
}

function rowOf({ name, facts }: Backup): string[] {
  if (facts === undefined) return [name, "", "", String(name.endsWith(".age")), "never"];
  const { revision, size, recipients, verifiedAt } = facts;
  return [name, String(revision), humanSize(size), String(recipients.length > 0), verifiedAt];
}

/** `quorate backup`: verified, optionally encrypted backups in a directory. */
import { readFileSync } from "node:fs";
import { openContext, openFailure, request } from "../../etcdctl/connect.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { ConsoleLogger } from "../../shared/console-logger.ts";
import { badArguments, CommandFailure, ExitCode } from "../../shared/failure.ts";
import { humanSize } from "../../shared/human-size.ts";
import { renderTable } from "../../shared/text-table.ts";
import { NodeClock } from "../../../platform/node/clock.ts";
import { NodeDisk } from "../../../platform/node/disk.ts";
import { type Backup, listBackups } from "./catalog.ts";
import { saveBackup } from "./save.ts";

const directoryFlag = {
  name: "dir",
  type: "string",
  initial: "",
  usage: "directory of the backups",
} as const;

export const backupCommand: Command = {
  name: "backup",
  summary: "Saves and lists backups that have been restored once to verify them",
  commands: [
    {
      name: "save",
      summary: "Saves a snapshot of one member, restores a copy of it and compares that with the member",
      flags: [
        directoryFlag,
        {
          name: "recipient",
          type: "list",
          initial: [],
          usage: "age recipient (age1...) to encrypt to; may be given more than once",
        },
        { name: "recipients-file", type: "string", initial: "", usage: "file with one age recipient a line" },
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
  ],
};

async function save(invocation: Invocation): Promise<void> {
  const { args, flags, terminal } = invocation;
  if (args.length > 0) throw badArguments("backup save takes no arguments");
  const recipients = [...flags.list("recipient"), ...recipientsOf(flags.text("recipients-file"))];
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

function recipientsOf(path: string): string[] {
  if (path === "") return [];
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw badArguments(openFailure(path, error));
  }
  const lines = text.split("\n").map((line) => line.trim());
  const recipients = lines.filter((line) => line !== "" && !line.startsWith("#"));
  // An empty list would mean a backup in the clear, which is not what somebody who names a file wants.
  if (recipients.length === 0) throw badArguments(`${path} holds no recipient`);
  return recipients;
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

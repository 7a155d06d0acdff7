/** `--quorate-backup-*`: from texts to what a scheduled backup needs. */
import { relative, resolve } from "node:path";
import { type CronSchedule, parseCron } from "../../../base/cron.ts";
import { parseDuration } from "../../../base/duration.ts";
import type { Retention } from "../../quorate/backup/catalog.ts";
import { linesOf } from "../../quorate/backup/lines.ts";
import type { FlagValues } from "../flags.ts";

export interface BackupSettings {
  readonly schedule: CronSchedule;
  readonly directory: string;
  readonly retention: Retention;
  /** Recipients of age (`age1...`), and paths of files that hold some. Empty: not encrypted. */
  readonly recipientSources: readonly string[];
}

const dayMs = 86_400_000;

/** Undefined when no backups are wanted. @throws {Error} that names the flag. */
export function backupSettings(values: FlagValues): BackupSettings | undefined {
  const expression = values["quorate-backup-schedule"];
  const directory = values["quorate-backup-dir"];
  if (expression === "") {
    const lonely = (["dir", "retention", "age-recipients"] as const).find(
      (name) => values[`quorate-backup-${name}`].length > 0,
    );
    if (lonely === undefined) return undefined;
    throw new Error(`--quorate-backup-${lonely} has no effect without --quorate-backup-schedule: set both, or none`);
  }
  if (directory === "")
    throw new Error("--quorate-backup-schedule needs --quorate-backup-dir: a directory to write to");
  if (isInside(directory, values["data-dir"]))
    throw new Error("--quorate-backup-dir is in the data directory: what takes the data would take the backups too");
  return {
    schedule: named("schedule", () => parseSchedule(expression)),
    directory,
    retention: named("retention", () => parseRetention(values["quorate-backup-retention"])),
    recipientSources: values["quorate-backup-age-recipients"],
  };
}

/** @throws {Error} also for a time that never comes: nobody would miss the backups until they are needed. */
function parseSchedule(expression: string): CronSchedule {
  const schedule = parseCron(expression);
  if (schedule.next(0) === undefined) throw new Error(`${JSON.stringify(expression)} is a day that no year has`);
  return schedule;
}

function isInside(path: string, folder: string): boolean {
  const way = relative(resolve(folder), resolve(path));
  return way === "" || !/^\.\.(\/|$)/.test(way);
}

/** `14`, `30d` or both (`14,30d`): a number of backups, an age. Empty keeps all. @throws {Error} */
export function parseRetention(text: string): Retention {
  let count = 0;
  let ageMs = 0;
  for (const item of text === "" ? [] : text.split(",").map((each) => each.trim())) {
    const isCount = /^\d+$/.test(item);
    if ((isCount ? count : ageMs) !== 0)
      throw new Error(`${JSON.stringify(text)} has two ${isCount ? "numbers" : "ages"}`);
    if (isCount) count = Number(item);
    else ageMs = /^\d+d$/.test(item) ? Number(item.slice(0, -1)) * dayMs : parseDuration(item);
    if ((isCount ? count : ageMs) <= 0) throw new Error(`${JSON.stringify(item)} would keep nothing`);
  }
  return { count, ageMs };
}

/**
 * All recipients, those in files included.
 *
 * @throws {Error} when a file cannot be read or names nobody: nothing is to be written in the clear then.
 */
export function resolveRecipients(sources: readonly string[], readFile: (path: string) => string): string[] {
  return sources.flatMap((source) => {
    if (source.startsWith("age1")) return [source];
    const lines = linesOf(readFile(source));
    if (lines.length === 0) throw new Error(`${source} holds no recipient`);
    return lines;
  });
}

function named<Value>(flag: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (cause) {
    throw new Error(`--quorate-backup-${flag}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

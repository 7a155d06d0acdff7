/** Checks what can be checked before the member starts: a backup that cannot work is noticed now, not at night. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Member } from "../../../server/member.ts";
import type { BackupScheduler } from "./backup-scheduler.ts";
import { type BackupSettings, resolveRecipients } from "./backup-settings.ts";

/**
 * @returns what starts them once the member runs; undefined when none are wanted.
 * @throws {Error} when a recipient is none, a file of them cannot be read, or no directory can be where one is named.
 */
export async function prepareBackups(
  settings: BackupSettings | undefined,
): Promise<((member: Member) => BackupScheduler) | undefined> {
  if (settings === undefined) return undefined;
  // Loaded only here: a member without a schedule starts without them.
  const [{ createEncrypter }, { BackupScheduler: Scheduler }, { createBackupTool }] = await Promise.all([
    import("../../quorate/backup/encrypt.ts"),
    import("./backup-scheduler.ts"),
    import("./backup-tool.ts"),
  ]);
  refuseFile(settings.directory);
  createEncrypter(resolveRecipients(settings.recipientSources, (path) => readFileSync(path, "utf8")));
  return (member) => {
    const scheduler = new Scheduler(settings, member, createBackupTool());
    scheduler.start();
    return scheduler;
  };
}

/** One that is missing is made when it is needed: it may be a file system that comes later. */
function refuseFile(directory: string): void {
  let path = directory;
  while (!existsSync(path) && dirname(path) !== path) path = dirname(path);
  if (!existsSync(path) || statSync(path).isDirectory()) return;
  throw new Error(`--quorate-backup-dir=${directory}: ${path} is no directory; name a directory to write backups to`);
}

/** Checks what can be checked before the member starts: a backup that cannot work is noticed now, not at night. */
import { readFileSync } from "node:fs";
import type { Member } from "../../../server/member.ts";
import type { BackupScheduler } from "./backup-scheduler.ts";
import { type BackupSettings, resolveRecipients } from "./backup-settings.ts";

/**
 * @returns what starts them once the member runs; undefined when none are wanted.
 * @throws {Error} when a recipient is none, or a file of them cannot be read.
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
  createEncrypter(resolveRecipients(settings.recipientSources, (path) => readFileSync(path, "utf8")));
  return (member) => {
    const scheduler = new Scheduler(settings, member, createBackupTool());
    scheduler.start();
    return scheduler;
  };
}

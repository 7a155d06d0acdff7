/**
 * A restore (`etcdutl snapshot restore`) that was cut off, as a start finds it. All of a restored member is built under
 * other names and synced; then, in this order:
 *
 *     <data-dir>/member.restoring ──► <data-dir>/member     from here on there is a member
 *     <wal-dir>.restoring ──────────► <wal-dir>             only when the log has a place of its own
 *
 * Before the first renaming there is no member, and a start must not found an empty cluster in its place. Between the two
 * the log is complete and lacks its name only: the start gives it.
 */
import { dirname, join } from "node:path";
import type { Disk } from "../platform/disk.ts";
import type { Logger } from "../platform/logger.ts";
import { StartError } from "./start-error.ts";

/** Where a restore builds the member, below the data directory. */
export const unfinishedMember = "member.restoring";

/** Where a restore builds a log outside of the data directory. */
export function unfinishedWalDir(walDir: string): string {
  return `${walDir}.restoring`;
}

/** Gives the log of a restored member its name; durable when the promise resolves. */
export async function nameRestoredLog(disk: Disk, walDir: string): Promise<void> {
  disk.rename(unfinishedWalDir(walDir), walDir);
  await disk.syncDirectory(dirname(walDir));
}

/** @throws {StartError} when a restore into `dataDir` has not made a member. */
export function refuseUnfinishedRestore(disk: Disk, dataDir: string): void {
  const path = join(dataDir, unfinishedMember);
  if (!disk.exists(path) || disk.exists(join(dataDir, "member"))) return;
  throw new StartError(
    `a restore into ${dataDir} was interrupted, there is no member in it yet; run the restore again, ` +
      `or remove ${path} to start an empty member`,
  );
}

/** Finishes a restore that was cut off between its two renamings. */
export async function finishRestore(
  disk: Disk,
  log: Logger,
  { walDir, backendPath }: { readonly walDir: string; readonly backendPath: string },
): Promise<void> {
  if (disk.exists(walDir) || !disk.exists(unfinishedWalDir(walDir)) || !disk.exists(backendPath)) return;
  log.warn("a restore was interrupted before its log had its name; giving it", { "wal-dir": walDir });
  await nameRestoredLog(disk, walDir);
}

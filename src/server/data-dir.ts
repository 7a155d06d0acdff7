/**
 * The data directory's shape: where things are, what may be there, and what shows that it is not ours to use.
 *
 *     <data-dir>/member/snap/db                      the backend
 *     <data-dir>/member/snap/<term>-<index>.snap     raft snapshots
 *     <data-dir>/member/wal/                         the log, unless --wal-dir names another place
 */
import { dirname, join } from "node:path";
import { DiskError, type Disk } from "../platform/disk.ts";
import type { Logger } from "../platform/logger.ts";
import type { MemberConfig } from "./config.ts";
import { finishRestore, refuseUnfinishedRestore } from "./interrupted-restore.ts";
import { StartError } from "./start-error.ts";

const DIRECTORY_PERMISSIONS = 0o700;

export interface DataDir {
  readonly memberDir: string;
  readonly snapDir: string;
  readonly walDir: string;
  readonly backendPath: string;
  /** A member was started here before. */
  readonly hasWal: boolean;
  readonly hasBackend: boolean;
}

/**
 * Makes what is missing and removes the remains of interrupted copies.
 * @throws {StartError} when a directory cannot be used, or holds something else than one member.
 */
export async function openDataDir(disk: Disk, log: Logger, config: MemberConfig): Promise<DataDir> {
  const memberDir = join(config.dataDir, "member");
  const snapDir = join(memberDir, "snap");
  const walDir = config.walDir ?? join(memberDir, "wal");
  const made = missingLevels(disk, config.dataDir);
  prepare(disk, log, config.dataDir, "data directory");
  if (disk.exists(join(config.dataDir, "proxy")))
    throw new StartError("v2 http proxy has already been deprecated in 3.6");
  refuseUnfinishedRestore(disk, config.dataDir);
  prepare(disk, log, memberDir, "member directory");
  prepare(disk, log, snapDir, "snapshot directory");
  for (const name of disk.list(snapDir)) {
    if (name.startsWith("tmp") || name.startsWith("db.tmp.")) disk.remove(join(snapDir, name));
  }
  const backendPath = join(snapDir, "db");
  await finishRestore(disk, log, { walDir, backendPath });
  const hasWal = disk.exists(walDir) && disk.list(walDir).some((name) => name.endsWith(".wal"));
  const hasBackend = disk.exists(backendPath);
  if (hasWal) prepare(disk, log, walDir, "WAL directory");
  else if (disk.list(snapDir).some((name) => name.endsWith(".snap"))) refuseWithoutWal(snapDir, walDir);
  // A log whose every byte is synced is lost all the same when a directory above it is.
  else if (!config.unsafeNoFsync) syncNames(disk, new Set([...made, config.dataDir, memberDir, snapDir]));
  return { memberDir, snapDir, walDir, backendPath, hasWal, hasBackend };
}

/**
 * Snapshots or a used database without a log are half of a member. etcd would found a new cluster around them and skip
 * its first entries.
 *
 * @throws {StartError} always.
 */
export function refuseWithoutWal(remains: string, walDir: string): never {
  throw new StartError(
    `${remains} holds data of a member but there is no log in ${walDir}; give the log's place with --wal-dir, ` +
      "restore the directory from a backup, or remove it to start an empty member",
  );
}

/** The directories that have to be made for `path`, itself included. */
export function missingLevels(disk: Disk, path: string): string[] {
  const missing: string[] = [];
  for (let at = path; !disk.exists(at); at = dirname(at)) missing.push(at);
  return missing;
}

/** Makes the names of directories durable. An interrupted start may have made them and not come this far. */
export function syncNames(disk: Disk, directories: Iterable<string>): void {
  for (const directory of directories) {
    try {
      disk.syncDirectorySync(dirname(directory));
    } catch (error) {
      // What is above the data directory may be another user's: then whoever made the directory answers for it.
      if (!(error instanceof DiskError) || error.code !== "EACCES") throw error;
    }
  }
}

function prepare(disk: Disk, log: Logger, path: string, what: string): void {
  try {
    if (disk.exists(path)) {
      const { permissions } = disk.stat(path);
      if (permissions !== DIRECTORY_PERMISSIONS) {
        log.warn("check file permission", {
          error: `directory ${JSON.stringify(path)} exist, but the permission is ${permissions.toString(8)}. The recommended permission is 700 to prevent possible unprivileged access to the data`,
        });
      }
    } else {
      disk.makeDirectory(path, DIRECTORY_PERMISSIONS);
    }
    const probe = join(path, ".touch");
    disk.open(probe, "create", 0o600).close();
    disk.remove(probe);
  } catch (cause) {
    if (!(cause instanceof DiskError)) throw cause;
    throw new StartError(`cannot access ${what}: ${cause.message}`, { cause });
  }
}

/**
 * A directory of backups, as files with everything in their names, and beside each what is known about it:
 *
 *     etcd-<cluster id>-<time>-r<revision>.db[.age]          the snapshot, encrypted or not
 *     etcd-<cluster id>-<time>-r<revision>.db[.age].json     {@link BackupFacts}
 *
 * Names of one cluster sort by time. Files with other names are never touched.
 */
import { join } from "node:path";
import { type Disk, DiskError } from "../../../platform/disk.ts";

export interface BackupFacts {
  /** Hex. */
  readonly clusterId: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  readonly revision: number;
  /** HashKV at that revision, which the member and the restored copy both gave. */
  readonly hash: number;
  readonly compactRevision: number;
  /** Bytes of the file. */
  readonly size: number;
  readonly sha256: string;
  /** Empty when the file is not encrypted. */
  readonly recipients: readonly string[];
  /** When a copy was restored and compared. */
  readonly verifiedAt: string;
  readonly endpoint: string;
}

export interface Backup {
  readonly name: string;
  readonly clusterId: string;
  /** Undefined when the file beside it is missing or unreadable. */
  readonly facts: BackupFacts | undefined;
}

const namePattern = /^etcd-([0-9a-f]{1,16})-(\d{8}T\d{6}Z)-r(\d+)\.db(\.age)?$/;
const factsBytesMax = 64 * 1024;

/** @param createdAt - RFC 3339, UTC. */
export function backupName(clusterId: string, createdAt: string, revision: number, isEncrypted: boolean): string {
  return `${nameStem(clusterId, createdAt)}-r${revision}.db${isEncrypted ? ".age" : ""}`;
}

function nameStem(clusterId: string, createdAt: string): string {
  return `etcd-${clusterId}-${createdAt.slice(0, 19).replace(/[-:]/g, "")}Z`;
}

/** Oldest first within each cluster. */
export function listBackups(disk: Disk, directory: string): Backup[] {
  if (!disk.exists(directory)) return [];
  const backups: Backup[] = [];
  for (const name of disk.list(directory)) {
    const clusterId = namePattern.exec(name)?.[1];
    if (clusterId === undefined) continue;
    backups.push({ name, clusterId, facts: readFacts(disk, join(directory, `${name}.json`)) });
  }
  return backups;
}

/** Complete, or not there. */
export async function writeFacts(disk: Disk, path: string, facts: BackupFacts): Promise<void> {
  const part = `${path}.part`;
  const file = disk.open(part, "create", 0o600);
  try {
    file.truncate(0);
    await file.write(Buffer.from(`${JSON.stringify(facts, undefined, 2)}\n`, "utf8"), 0);
    await file.sync();
  } finally {
    file.close();
  }
  disk.rename(part, path);
}

/** Which backups stay. Both limits hold at once; what breaks one of them goes. */
export interface Retention {
  /** Verified backups that stay; 0 = all. */
  readonly count: number;
  /** Age in milliseconds beyond which a backup goes; 0 = never. */
  readonly ageMs: number;
}

/**
 * Removes the backups of a cluster that `retention` gives up. Only such as have been verified count as kept, and the newest
 * of those stays however old it is.
 *
 * @param now - milliseconds since 1970.
 * @returns the names removed.
 */
export async function removeOld(
  disk: Disk,
  directory: string,
  clusterId: string,
  retention: Retention,
  now: number,
): Promise<string[]> {
  const backups = listBackups(disk, directory).filter((backup) => backup.clusterId === clusterId);
  const verified = backups.filter(({ facts }) => facts !== undefined);
  const newest = verified.at(-1)?.name;
  if (newest === undefined) return [];
  const oldestByCount = retention.count === 0 ? "" : (verified.at(-retention.count)?.name ?? "");
  const oldestByAge = retention.ageMs === 0 ? "" : nameStem(clusterId, new Date(now - retention.ageMs).toISOString());
  const removed = backups
    .map(({ name }) => name)
    .filter((name) => name < newest && (name < oldestByCount || name < oldestByAge));
  for (const name of removed) {
    for (const path of [join(directory, name), join(directory, `${name}.json`)]) {
      if (disk.exists(path)) disk.remove(path);
    }
  }
  if (removed.length > 0) await disk.syncDirectory(directory);
  return removed;
}

/** Nothing takes that long. */
const remainsAgeMs = 24 * 3_600_000;

/**
 * Removes what a backup or a drill that was killed has left in the directory more than a day ago: it may be a copy of every
 * secret in the clear. Younger ones may be somebody's work, on another machine perhaps.
 */
export function removeRemains(disk: Disk, directory: string, now: number): void {
  for (const name of disk.list(directory)) {
    if (!/^\.(saving|verifying)-/.test(name)) continue;
    const path = join(directory, name);
    try {
      if (now - disk.stat(path).modifiedMs > remainsAgeMs) disk.remove(path, { recursive: true });
    } catch (error) {
      // Its owner was faster.
      if (!(error instanceof DiskError) || error.code !== "ENOENT") throw error;
    }
  }
}

/** Undefined when there is no such file, or it is not ours. */
export function readFacts(disk: Disk, path: string): BackupFacts | undefined {
  if (!disk.exists(path)) return undefined;
  const file = disk.open(path, "read");
  try {
    const bytes = new Uint8Array(Math.min(file.size(), factsBytesMax));
    file.readSync(bytes, 0);
    const facts: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    return isFacts(facts) ? facts : undefined;
  } catch (error) {
    // Somebody else's file, or half of one: the backup is listed as not verified.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  } finally {
    file.close();
  }
}

function isFacts(value: unknown): value is BackupFacts {
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  const texts = ["clusterId", "createdAt", "sha256", "verifiedAt", "endpoint"];
  const numbers = ["revision", "hash", "compactRevision", "size"];
  return (
    texts.every((name) => typeof fields.get(name) === "string") &&
    numbers.every((name) => typeof fields.get(name) === "number") &&
    Array.isArray(fields.get("recipients"))
  );
}

/**
 * A directory of backups, as files with everything in their names, and beside each what is known about it:
 *
 *     etcd-<cluster id>-<time>-r<revision>.db[.age]          the snapshot, encrypted or not
 *     etcd-<cluster id>-<time>-r<revision>.db[.age].json     {@link BackupFacts}
 *
 * Names of one cluster sort by time. Files with other names are never touched.
 */
import { join } from "node:path";
import type { Disk } from "../../../platform/disk.ts";

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

export function backupName(clusterId: string, createdAt: string, revision: number, isEncrypted: boolean): string {
  const time = `${createdAt.slice(0, 19).replace(/[-:]/g, "")}Z`;
  return `etcd-${clusterId}-${time}-r${revision}.db${isEncrypted ? ".age" : ""}`;
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

/**
 * Removes the oldest backups of a cluster beyond `keep`. Only such as have been verified count as kept, so that the last
 * good ones stay however many others there are.
 *
 * @returns the names removed.
 */
export async function removeOld(disk: Disk, directory: string, clusterId: string, keep: number): Promise<string[]> {
  const backups = listBackups(disk, directory).filter((backup) => backup.clusterId === clusterId);
  const verified = backups.filter(({ facts }) => facts !== undefined);
  const oldestKept = verified.at(-keep)?.name;
  if (oldestKept === undefined) return [];
  const removed = backups.map(({ name }) => name).filter((name) => name < oldestKept);
  for (const name of removed) {
    for (const path of [join(directory, name), join(directory, `${name}.json`)]) {
      if (disk.exists(path)) disk.remove(path);
    }
  }
  if (removed.length > 0) await disk.syncDirectory(directory);
  return removed;
}

function readFacts(disk: Disk, path: string): BackupFacts | undefined {
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

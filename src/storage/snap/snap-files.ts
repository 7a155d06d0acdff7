/**
 * `.snap` files: raft snapshots on disk. What they hold is small (membership as JSON); the data itself is in the
 * database. Source: etcd server/etcdserver/api/snap/{snapshotter,db}.go.
 *
 * ```text
 * <term>-<index>.snap   1 crc  varint, CRC-32C of 2      never 0
 *                       2 data raftpb.Snapshot           never empty
 * <index>.snap.db       a database that a leader sent, complete, not yet in place
 * db.tmp.*              left over by a defragmentation that did not finish
 * *.broken              a .snap that could not be read
 * ```
 */
import { join } from "node:path";
import { updateCrc32c } from "../../base/crc32c.ts";
import { CorruptionError } from "../../base/corruption.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import { decodeSnapshot, encodeSnapshot } from "../../wire/raft/snapshot-codec.ts";
import type { SnapMetrics } from "./snap-metrics.ts";
import { RaftDecodeError, Reader } from "../../wire/raft/reader.ts";
import { sizeOfVarint, writeVarint } from "../../wire/hot/wire-writer.ts";
import { isEmptySnapshot, type Snapshot } from "../../wire/raft/types.ts";

/** etcd leaves these files to the umask; what is in them is for the member alone. */
const PERMISSIONS = 0o600;

/** What a file must match: a snapshot record of the log. */
export interface SnapshotRecord {
  readonly index: number;
  readonly term: number;
}

const hex = (value: number): string => value.toString(16).padStart(16, "0");

export function snapshotFileName(record: SnapshotRecord): string {
  return `${hex(record.term)}-${hex(record.index)}.snap`;
}

/** Name of the database received with the snapshot at `index`. */
export function snapshotDatabaseName(index: number): string {
  return `${hex(index)}.snap.db`;
}

/** The index in the name of a received database; undefined when it is not one. */
export function parseSnapshotDatabaseName(name: string): number | undefined {
  const match = /^([0-9a-f]{16})\.snap\.db$/.exec(name);
  return match === null ? undefined : Number.parseInt(match[1], 16);
}

/**
 * Writes a snapshot; it is durable, its name included, when the promise resolves. It is built under a temporary name, so
 * that a crash leaves no half of a file (etcd writes in place and finds out by the checksum).
 *
 * @param measure - where to note how long it took; absent = nowhere.
 * @throws {DiskError} by rejection; no file is left behind then.
 */
export async function saveSnapshot(
  disk: Disk,
  directory: string,
  snapshot: Snapshot,
  measure?: { readonly clock: Clock; readonly metrics: SnapMetrics },
): Promise<void> {
  if (isEmptySnapshot(snapshot)) return;
  const path = join(directory, snapshotFileName(snapshot.metadata));
  const temporary = `${path}.tmp`;
  const now = (): number => measure?.clock.monotonic() ?? 0;
  const startedMs = now();
  try {
    const file = disk.open(temporary, "create", PERMISSIONS);
    try {
      file.truncate(0);
      const bytes = encodeSnapshotFile(snapshot);
      measure?.metrics.encodeSeconds.observe((now() - startedMs) / 1000);
      await file.write(bytes, 0);
      const writtenMs = now();
      await file.sync();
      measure?.metrics.fsyncSeconds.observe((now() - writtenMs) / 1000);
    } finally {
      file.close();
    }
    disk.rename(temporary, path);
    await disk.syncDirectory(directory);
    measure?.metrics.totalSeconds.observe((now() - startedMs) / 1000);
  } catch (error) {
    if (disk.exists(temporary)) disk.remove(temporary);
    throw error;
  }
}

/**
 * The newest readable snapshot that the log knows. Those that cannot be read are renamed to `<name>.broken`; left-overs
 * of a defragmentation are removed.
 *
 * @param records - valid snapshot records of the log.
 */
export function loadNewestSnapshot(
  disk: Disk,
  log: Logger,
  directory: string,
  records: readonly SnapshotRecord[],
): Snapshot | undefined {
  for (const name of listSnapshots(disk, log, directory)) {
    const snapshot = loadOrSetAside(disk, log, join(directory, name));
    if (snapshot === undefined) continue;
    const { index, term } = snapshot.metadata;
    if (records.some((record) => record.index === index && record.term === term)) return snapshot;
  }
  return undefined;
}

/** What the newest `.snap` file is of, by its name alone: zeros when there is none, undefined when the name does not say. */
export function newestSnapshotName(disk: Disk, directory: string): SnapshotRecord | undefined {
  const names = disk.list(directory).filter((name) => name.endsWith(".snap"));
  if (names.length === 0) return { index: 0, term: 0 };
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.snap$/.exec(names[names.length - 1]);
  if (match === null) return undefined;
  const [term, index] = [Number(`0x${match[1]}`), Number(`0x${match[2]}`)];
  return Number.isSafeInteger(term) && Number.isSafeInteger(index) ? { index, term } : undefined;
}

/** Deletes the received databases that are older than the snapshot at `index`. A failure is logged only, as in etcd. */
export function removeOrphanedDatabases(disk: Disk, log: Logger, directory: string, index: number): void {
  for (const name of disk.list(directory)) {
    const databaseIndex = parseSnapshotDatabaseName(name);
    if (databaseIndex === undefined || databaseIndex >= index) continue;
    log.info("found orphaned .snap.db file; deleting", { path: name });
    try {
      disk.remove(join(directory, name));
    } catch (error) {
      log.error("failed to remove orphaned .snap.db file", { path: name, error });
    }
  }
}

/** Reads one file. @throws {CorruptionError} when it is not a snapshot with the right checksum. */
export function readSnapshotFile(disk: Disk, path: string): Snapshot {
  const file = disk.open(path, "read");
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(file.size());
    file.readSync(bytes, 0);
  } finally {
    file.close();
  }
  if (bytes.length === 0) throw new CorruptionError({ path }, "snap: empty snapshot");
  try {
    const { crc, data } = decodeEnvelope(bytes);
    if (crc === 0 || data.length === 0) throw new CorruptionError({ path }, "snap: empty snapshot");
    if (updateCrc32c(0, data) !== crc) throw new CorruptionError({ path }, "snap: crc mismatch");
    return decodeSnapshot(data);
  } catch (error) {
    if (!(error instanceof RaftDecodeError)) throw error;
    throw new CorruptionError({ path }, `not a snapshot: ${error.message}`, undefined, { cause: error });
  }
}

/** The bytes of a `.snap` file. */
export function encodeSnapshotFile(snapshot: Snapshot): Uint8Array {
  const data = encodeSnapshot(snapshot);
  const crc = updateCrc32c(0, data);
  const bytes = new Uint8Array(2 + sizeOfVarint(crc) + sizeOfVarint(data.length) + data.length);
  bytes[0] = 0x08;
  let offset = writeVarint(bytes, 1, crc);
  bytes[offset++] = 0x12;
  offset = writeVarint(bytes, offset, data.length);
  bytes.set(data, offset);
  return bytes;
}

function decodeEnvelope(bytes: Uint8Array): { crc: number; data: Uint8Array } {
  const reader = new Reader(bytes);
  let crc = 0;
  let data: Uint8Array = new Uint8Array(0);
  for (let key = reader.key(); key !== 0; key = reader.key()) {
    if (key === 0x08) crc = reader.counter();
    else if (key === 0x12) data = reader.view();
    else reader.skip(key);
  }
  return { crc, data };
}

/** Names of the snapshots, newest first (by term, then index: the names sort that way). */
function listSnapshots(disk: Disk, log: Logger, directory: string): string[] {
  const names: string[] = [];
  for (const name of disk.list(directory)) {
    if (name.endsWith(".snap")) names.push(name);
    else if (name.startsWith("db.tmp")) {
      log.info("found orphaned defragmentation file; deleting", { path: name });
      disk.remove(join(directory, name));
    } else if (name !== "db") log.warn("found unexpected non-snap file; skipping", { path: name });
  }
  return names.reverse();
}

function loadOrSetAside(disk: Disk, log: Logger, path: string): Snapshot | undefined {
  try {
    return readSnapshotFile(disk, path);
  } catch (error) {
    const broken = `${path}.broken`;
    log.warn("failed to read a snap file", { path, error });
    try {
      disk.rename(path, broken);
      log.warn("renamed to a broken snap file", { path, "broken-path": broken });
    } catch (renameError) {
      log.warn("failed to rename a broken snap file", { path, "broken-path": broken, error: renameError });
    }
    return undefined;
  }
}

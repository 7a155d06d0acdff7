/**
 * One backup of this member, step by step. A file gets its name only when all of it went well:
 *
 *     pinned image ──► *.part, synced as it grows ──► restored by another process ──► HashKV of the copy = ours at
 *          └──► HashKV at its revision, in slices ──────────────────────────────────► the image's revision
 *                                                                                             │
 *     remove the oldest  ◄── name it, write what is known beside it  ◄── encrypt, remove the plain part
 *
 * The member's loop reads, hashes and writes in small pieces with rests, and the device is never given more than
 * {@link unsyncedBytesMax} to sync at once, so that the log's syncs do not wait for the backup's.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { formatId } from "../../../membership/member.ts";
import type { KeyValueHash } from "../../../mvcc/hash.ts";
import { formatTimestamp } from "../../../platform/node/stderr-logger.ts";
import type { Member } from "../../../server/member.ts";
import type { SnapshotImage } from "../../../storage/backend/backend.ts";
import { EtcdError } from "../../../wire/errors.ts";
import {
  backupName,
  type BackupFacts,
  removeOld,
  removeRemains,
  type Retention,
  writeFacts,
} from "../../quorate/backup/catalog.ts";
import type { FileDigest } from "../../quorate/backup/encrypt.ts";
import type { BackupTool } from "./backup-tool.ts";

export interface BackupJob {
  readonly member: Member;
  readonly tool: BackupTool;
  readonly directory: string;
  /** Of age; none = not encrypted. */
  readonly recipients: readonly string[];
  readonly retention: Retention;
  /** Bytes that are free where `path` lies. */
  readonly freeBytes: (path: string) => Promise<number>;
  /** Ends it early. */
  readonly signal: AbortSignal;
  /** The copy was restored and compared. */
  readonly onVerified: () => void;
}

export interface TakenBackup {
  readonly name: string;
  readonly facts: BackupFacts;
  readonly removed: readonly string[];
}

/** About a millisecond to hash; as long again the loop is left to others. */
const chunkBytes = 512 * 1024;
const hashRowsPerStep = 1000;
const unsyncedBytesMax = 8 << 20;
/** Left free for the member itself, whose log is perhaps on the same device. */
const reserveBytes = 128 << 20;
/** A compaction in the middle makes the hashes incomparable: then all is done again. */
const attemptsMax = 3;

/** @throws {Error} when there is no verified backup; nothing but the backups from before is left then. */
export async function takeBackup(job: BackupJob): Promise<TakenBackup> {
  const { member, directory, recipients, tool, signal } = job;
  const { disk, clock } = member.platform;
  disk.makeDirectory(directory);
  // Of this member alone, which takes one at a time: what lies there is left from one that was killed.
  const part = join(directory, `.saving-${formatId(member.memberId)}.part`);
  const sealed = `${part}.age`;
  const scratch = `${part}.scratch`;
  const cleanUp = (): void => {
    for (const path of [part, sealed, scratch]) disk.remove(path, { recursive: true });
  };
  cleanUp();
  removeRemains(disk, directory, clock.now());
  try {
    const { hash, digest: plain } = await writeVerified(job, part, scratch);
    job.onVerified();
    const digest =
      recipients.length === 0 ? plain : await tool.encrypt({ source: part, target: sealed }, recipients, signal);
    const now = clock.now();
    const verifiedAt = formatTimestamp(now);
    const clusterId = formatId(member.clusterId);
    const name = freeName(job, hash.revision, now);
    const facts: BackupFacts = {
      clusterId,
      createdAt: verifiedAt,
      revision: hash.revision,
      hash: hash.hash,
      compactRevision: hash.compactRevision,
      ...digest,
      recipients,
      verifiedAt,
      endpoint: member.config.advertiseClientUrls[0] ?? member.config.name,
    };
    disk.rename(recipients.length === 0 ? part : sealed, join(directory, name));
    await writeFacts(disk, join(directory, `${name}.json`), facts);
    await disk.syncDirectory(directory);
    return { name, facts, removed: await removeOld(disk, directory, clusterId, job.retention, now) };
  } finally {
    cleanUp();
  }
}

/** Members that share a directory may be done in the same second: the later one is named after the next. */
function freeName({ member, directory, recipients }: BackupJob, revision: number, now: number): string {
  for (let at = now; ; at += 1000) {
    const createdAt = new Date(at).toISOString();
    const name = backupName(formatId(member.clusterId), createdAt, revision, recipients.length > 0);
    if (!member.platform.disk.exists(join(directory, name))) return name;
  }
}

async function writeVerified(
  job: BackupJob,
  part: string,
  scratch: string,
): Promise<{ hash: KeyValueHash; digest: FileDigest }> {
  const { disk, log } = job.member.platform;
  for (let attempt = 1; ; attempt++) {
    const { hash, digest } = await writePart(job, part);
    job.signal.throwIfAborted();
    disk.makeDirectory(scratch);
    const copy = await job.tool.verify(part, scratch, job.signal);
    const isComparable = copy.hashRevision === hash?.revision && copy.compactRevision === hash.compactRevision;
    if (isComparable && copy.hash === hash.hash) return { hash, digest };
    if (isComparable) {
      throw new Error(
        `the restored copy is not what the member has: HashKV at revision ${hash.revision} is ${copy.hash} in the copy ` +
          `and ${hash.hash} in the member`,
      );
    }
    if (attempt === attemptsMax) {
      throw new Error(`the member was compacted during each of ${attemptsMax} attempts; nothing could be compared`);
    }
    log.withCaller("backup/take-backup.ts").warn("compacted while the backup was taken; taking another", { attempt });
  }
}

/** Writes the image and its SHA-256, as `snapshot save` would. @returns our hash of it; undefined: compacted meanwhile. */
async function writePart(
  job: BackupJob,
  part: string,
): Promise<{ hash: KeyValueHash | undefined; digest: FileDigest }> {
  const { member } = job;
  const image = await member.backend.snapshot();
  const failing = new AbortController();
  const signal = AbortSignal.any([job.signal, failing.signal]);
  // Begun in the same turn: it pins what the image shows. What a file tells of its revision is the same maximum.
  const revision = Math.max(image.lastRow()?.main ?? 0, member.store.compactRevision, 1);
  const hashing = hashMember(member, revision, signal);
  // It may fail before it is awaited below.
  hashing.catch(() => undefined);
  try {
    await expectRoom(job, image.size);
    const [digest, hash] = await Promise.all([copyImage({ ...job, signal }, image, part), hashing]);
    return { hash, digest };
  } catch (error) {
    failing.abort(error);
    throw error;
  } finally {
    // Both hold on to the database, which may be closed next.
    await Promise.allSettled([hashing]);
    image.close();
  }
}

/** Full disks hurt the member itself, so one that would become full is not begun with. */
async function expectRoom({ freeBytes, directory }: BackupJob, size: number): Promise<void> {
  const free = await freeBytes(directory);
  // The part, and beside it either the restored copy or the encrypted file.
  const wanted = 2 * size + reserveBytes;
  if (free >= wanted) return;
  throw new Error(
    `no space for a backup in ${directory}: ${free} bytes are free, ${wanted} are wanted (twice the database's ${size}, ` +
      `and ${reserveBytes} for the member)`,
  );
}

async function copyImage({ member, signal }: BackupJob, image: SnapshotImage, part: string): Promise<FileDigest> {
  const { disk, clock } = member.platform;
  const inner = createHash("sha256");
  const outer = createHash("sha256");
  const buffer = new Uint8Array(chunkBytes);
  // There already when this is another attempt.
  const file = disk.open(part, "create", 0o600);
  try {
    file.truncate(0);
    let position = 0;
    let synced = 0;
    while (position < image.size) {
      signal.throwIfAborted();
      const startedMs = clock.monotonic();
      const count = await image.read(buffer, position);
      if (count === 0) throw new EtcdError("corrupt");
      const chunk = buffer.subarray(0, count);
      inner.update(chunk);
      outer.update(chunk);
      await file.write(chunk, position);
      position += count;
      if (position - synced >= unsyncedBytesMax) {
        await file.datasync();
        synced = position;
      }
      await rest(member, clock.monotonic() - startedMs);
    }
    const end = inner.digest();
    outer.update(end);
    await file.write(end, position);
    await file.sync();
    return { size: position + end.length, sha256: outer.digest("hex") };
  } finally {
    file.close();
  }
}

/** Undefined when the member was compacted beyond `revision`. */
async function hashMember(member: Member, revision: number, signal: AbortSignal): Promise<KeyValueHash | undefined> {
  const { store, platform } = member;
  // Asked for a revision at which it was compacted the store gives the hash of before; asked for the present, it computes.
  const asked = revision === store.currentRevision ? 0 : revision;
  if (asked !== 0 && asked < store.compactRevision) return undefined;
  const job = store.hashKv(asked);
  try {
    for (;;) {
      signal.throwIfAborted();
      const startedMs = platform.clock.monotonic();
      if (job.step(hashRowsPerStep)) return job.result;
      await rest(member, platform.clock.monotonic() - startedMs);
    }
  } finally {
    job.close();
  }
}

/** As long as the work took, the loop is for others. */
function rest({ platform: { clock } }: Member, workedMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(resolve, Math.ceil(workedMs));
  });
}

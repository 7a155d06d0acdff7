/**
 * Brings the storage of a stopped member to the form of another minor version. Between 3.5 and 3.6 that is one row, the
 * storage version itself, which 3.5 does not have. Going down needs a log without anything that the older version cannot
 * read. Source: etcdutl/etcdutl/migrate_command.go, server/storage/schema.
 */
import {
  compareVersions,
  formatMinor,
  formatVersion,
  isOlderMinor,
  parseVersion,
  toMinor,
  type Version,
} from "../../membership/version.ts";
import { decodeEntryRequest } from "../../server/apply/entry-request.ts";
import { storageVersion } from "../../server/version-monitor.ts";
import { writeStorageVersion } from "../../storage/backend/schema.ts";
import { loadNewestSnapshot } from "../../storage/snap/snap-files.ts";
import { readLog, readValidSnapshots } from "../../storage/wal/log-reader.ts";
import { EntryType } from "../../wire/raft/types.ts";
import { messageOf } from "../shared/failure.ts";
import { parseInt64 } from "../shared/go-number.ts";
import { quote } from "../shared/go-quote.ts";
import type { StoppedMember } from "./stopped-member.ts";

const oldest: Version = { major: 3, minor: 5, patch: 0 };
/** The first version with a row for it, and the last that this program knows. */
const newest: Version = { major: 3, minor: 6, patch: 0 };

/** @throws {Error} with etcd's text unless `text` is `X.Y`, 3.5 or later. */
export function parseTarget(text: string): Version {
  const parts = text.split(".");
  if (parts.length !== 2) throw new Error(`wrong target version format, expected "X.Y", got ${quote(text)}`);
  let numbers: bigint[];
  try {
    numbers = parts.map((part) => parseInt64(part, 10));
  } catch (cause) {
    throw new Error(`failed to parse target version: ${messageOf(cause)}`, { cause });
  }
  const version = { major: Number(numbers[0]), minor: Number(numbers[1]), patch: 0 };
  if (compareVersions(version, oldest) < 0) {
    throw new Error(`target version "${formatMinor(version)}" not supported. Minimal "3.5"`);
  }
  return version;
}

/** @param force - sets the version even where the rules are against it. @throws {Error} with etcd's text. */
export async function migrate(member: StoppedMember, target: Version, force: boolean): Promise<void> {
  const { backend, log } = member;
  const current = storageVersion(backend);
  if (current === undefined) {
    log.error("failed to detect storage version. Please make sure you are using data dir from etcd v3.5 and older");
    throw new Error("missing term information");
  }
  if (compareVersions(current, target) === 0) {
    log.info("storage version up-to-date", { "storage-version": formatMinor(current) });
    return;
  }
  const needed = versionOfLog(member);
  try {
    checkPlan(member, current, target, needed);
    writeVersion(member, target);
    log.info("updated storage version", { "new-storage-version": formatVersion(target) });
  } catch (error) {
    if (!force) throw error;
    log.info("normal migrate failed, trying with force", { error: messageOf(error) });
    writeVersion(member, target);
    if (isOlderMinor(target, newest)) log.warn("forcefully cleared storage version");
    else log.warn("forcefully set storage version", { "storage-version": formatMinor(target) });
  }
  await backend.commit();
}

function writeVersion({ backend }: StoppedMember, target: Version): void {
  writeStorageVersion(backend, isOlderMinor(target, newest) ? undefined : formatVersion(target));
}

function checkPlan({ log }: StoppedMember, current: Version, target: Version, needed: Version | undefined): void {
  const refuse = (reason: string): never => {
    throw new Error(`cannot create migration plan: ${reason}`);
  };
  if (current.major !== target.major) {
    const fields = { "storage-version": formatVersion(current), "target-storage-version": formatVersion(target) };
    log.error("Changing major storage version is not supported", fields);
    refuse("changing major storage version is not supported");
  }
  const unknown = [current, target].find((version) => isOlderMinor(newest, version));
  if (unknown !== undefined) {
    // Named is the first step that is not known: one above the newest on the way up, the present one on the way down.
    const step = unknown === current ? toMinor(current) : { ...newest, minor: newest.minor + 1 };
    refuse(`version "${formatVersion(step)}" is not supported`);
  }
  if (needed === undefined || !isOlderMinor(target, current) || compareVersions(target, needed) >= 0) return;
  throw new Error(
    `cannot downgrade storage, WAL contains newer entries, as the target version (${formatVersion(target)}) is lower ` +
      `than the version (${formatVersion(needed)}) detected from WAL logs`,
  );
}

/**
 * The oldest version that can read the log behind its last snapshot, as far as it matters from 3.5 on: everything that
 * is logged is at least as old as that, but for the request with which downgrades are tested.
 */
function versionOfLog({ disk, log, walDir, snapDir }: StoppedMember): Version | undefined {
  let entries;
  try {
    const snapshot = loadNewestSnapshot(disk, log, snapDir, readValidSnapshots(disk, walDir, log));
    const from = { index: snapshot?.metadata.index ?? 0, term: snapshot?.metadata.term ?? 0 };
    ({ entries } = readLog(disk, walDir, from, log).contents);
  } catch (error) {
    log.error("Failed to finalize config", { error: messageOf(error) });
    throw new Error(`failed to read wal: ${messageOf(error)}`, { cause: error });
  }
  let needed: Version | undefined;
  for (const { type, data } of entries) {
    if (type !== EntryType.Normal || data.length === 0) continue;
    const request = decodeEntryRequest(data);
    if (request.kind !== "downgradeVersionTest") continue;
    const version = parseVersion(request.downgradeVersionTest.ver);
    if (version !== undefined && (needed === undefined || compareVersions(needed, version) < 0)) needed = version;
  }
  return needed;
}

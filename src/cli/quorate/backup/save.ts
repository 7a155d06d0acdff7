/**
 * `quorate backup save`, step by step; a file gets its name only when all of it went well:
 *
 *     download to *.part ──► restore it into a scratch directory ──► HashKV of the copy = HashKV of the member
 *                                                                            │
 *     remove the oldest  ◄── name it, write what is known beside it  ◄── encrypt, remove the plain part
 */
import { join } from "node:path";
import type { Client } from "../../../client/client.ts";
import { methods } from "../../../client/methods.ts";
import type { HashKVResponse } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { formatTimestamp } from "../../../platform/node/stderr-logger.ts";
import type { RestoreHost } from "../../etcdutl/restore/restore.ts";
import { downloadSnapshot } from "../../etcdctl/snapshot-download.ts";
import { hex } from "../../shared/go-number.ts";
import type { FileHash } from "../../etcdutl/hash-kv.ts";
import { backupName, type BackupFacts, removeOld, removeRemains, writeFacts } from "./catalog.ts";
import { drill } from "./drill.ts";
import { createEncrypter, digestFile, encryptFile } from "./encrypt.ts";

export interface SaveOptions {
  readonly client: Client;
  readonly endpoint: string;
  readonly directory: string;
  /** Of age; none = not encrypted. */
  readonly recipients: readonly string[];
  /** Verified backups of this cluster to keep; 0 = all. */
  readonly keep: number;
  /** Of each request but the download. */
  readonly timeoutMs: number;
}

export interface Saved {
  readonly name: string;
  readonly facts: BackupFacts;
  readonly removed: readonly string[];
}

/** A compaction between download and comparison makes the hashes incomparable: then all is done again. */
const attemptsMax = 3;

/** @throws {Error} when there is no verified backup; nothing but the backups from before is left then. */
export async function saveBackup(host: RestoreHost, options: SaveOptions): Promise<Saved> {
  const { disk } = host;
  const { directory, recipients, endpoint } = options;
  const encrypter = recipients.length === 0 ? undefined : createEncrypter(recipients);
  disk.makeDirectory(directory);
  removeRemains(disk, directory, host.clock.now());
  // Of this process alone: two that save at once must not write into one file.
  const part = join(directory, `.saving-${process.pid}.part`);
  const sealed = `${part}.age`;
  try {
    const hash = await downloadVerified(host, options, part);
    const { header } = await options.client.call(methods.status, {}, { timeoutMs: options.timeoutMs });
    const clusterId = hex(header?.clusterId ?? 0n);
    const verifiedAt = formatTimestamp();
    const digest =
      encrypter === undefined ? await digestFile(disk, part) : await encryptFile(disk, encrypter, part, sealed);
    const name = backupName(clusterId, verifiedAt, hash.hashRevision, encrypter !== undefined);
    const facts: BackupFacts = {
      clusterId,
      createdAt: verifiedAt,
      revision: hash.hashRevision,
      hash: hash.hash,
      compactRevision: hash.compactRevision,
      ...digest,
      recipients,
      verifiedAt,
      endpoint,
    };
    disk.rename(encrypter === undefined ? part : sealed, join(directory, name));
    await writeFacts(disk, join(directory, `${name}.json`), facts);
    if (disk.exists(part)) disk.remove(part);
    await disk.syncDirectory(directory);
    const retention = { count: options.keep, ageMs: 0 };
    const removed = await removeOld(disk, directory, clusterId, retention, host.clock.now());
    return { name, facts, removed };
  } finally {
    for (const path of [part, sealed]) if (disk.exists(path)) disk.remove(path);
  }
}

async function downloadVerified(host: RestoreHost, options: SaveOptions, part: string): Promise<FileHash> {
  const { endpoint } = options;
  for (let attempt = 1; ; attempt++) {
    await download(host, options, part);
    const copy = await drill(host, part, `${part}.drill`);
    const member = await hashOfMember(options, copy.hashRevision);
    const isComparable = Number(member.compactRevision) === copy.compactRevision;
    if (isComparable && member.hash === copy.hash) return copy;
    if (isComparable) {
      throw new Error(
        `the restored copy is not what ${endpoint} has: HashKV at revision ${copy.hashRevision} is ${copy.hash} in the ` +
          `copy and ${member.hash} at the member`,
      );
    }
    if (attempt === attemptsMax) {
      throw new Error(`${endpoint} was compacted during each of ${attemptsMax} attempts; nothing could be compared`);
    }
    host.log.warn("compacted while the backup was taken; taking another", { endpoint, attempt });
  }
}

/**
 * Asked for a revision at which it was compacted, a member answers with the hash of before; asked for the present one
 * without naming it, it computes. So that is tried first.
 */
async function hashOfMember({ client, timeoutMs }: SaveOptions, revision: number): Promise<HashKVResponse> {
  const present = await client.call(methods.hashKv, {}, { timeoutMs });
  if (Number(present.header?.revision) === revision) return present;
  return client.call(methods.hashKv, { revision: BigInt(revision) }, { timeoutMs });
}

async function download({ disk, log }: RestoreHost, { client, endpoint }: SaveOptions, part: string): Promise<void> {
  const file = disk.open(part, "create", 0o600);
  try {
    file.truncate(0);
    await downloadSnapshot(client, file, { endpoint, log, clientLog: log, options: {} });
    await file.sync();
  } finally {
    file.close();
  }
}

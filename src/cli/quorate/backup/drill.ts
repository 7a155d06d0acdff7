/** The restore drill: restores a snapshot into a scratch directory, and says what the restored keys hash to. */
import { join } from "node:path";
import type { Logger } from "../../../platform/logger.ts";
import { BoltDb } from "../../../storage/bbolt/db.ts";
import { inTransaction } from "../../etcdutl/database.ts";
import { type FileHash, hashKeyValues } from "../../etcdutl/hash-kv.ts";
import { type RestoreHost, restoreSnapshot } from "../../etcdutl/restore/restore.ts";

/** The steps of a restore are not worth a line each here. */
function quiet(log: Logger): Logger {
  return { ...mute, withCaller: () => quiet(log), warn: (text, fields) => log.warn(text, fields) };
}

const mute: Logger = {
  enabled: () => false,
  log: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  fatal: () => undefined,
  withCaller: () => mute,
};

/**
 * @param scratch - a path where nothing is; nothing is left there.
 * @throws {Error} when the snapshot cannot be restored.
 */
export async function drill(host: RestoreHost, snapshotPath: string, scratch: string): Promise<FileHash> {
  const { disk } = host;
  try {
    const peerUrl = "http://localhost:2380";
    await restoreSnapshot(
      { ...host, log: quiet(host.log) },
      {
        snapshotPath,
        dataDir: scratch,
        walDir: undefined,
        name: "drill",
        initialCluster: `drill=${peerUrl}`,
        initialClusterToken: "drill",
        peerUrls: [peerUrl],
        skipHashCheck: false,
        bumpRevision: 0,
        initialMmapSize: 0n,
      },
    );
    const db = BoltDb.open(disk, join(scratch, "member", "snap", "db"), { readOnly: true });
    try {
      return inTransaction(db, (tx) => hashKeyValues(tx, 0));
    } finally {
      db.close();
    }
  } finally {
    disk.remove(scratch, { recursive: true });
  }
}

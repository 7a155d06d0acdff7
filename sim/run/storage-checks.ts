/** What must be true of the files of a member that is down: of a database, of a log, and of both together. */
import { join } from "node:path";
import { checkDatabase } from "../../src/storage/bbolt/check.ts";
import { BoltDb } from "../../src/storage/bbolt/db.ts";
import { buckets } from "../../src/storage/backend/bucket.ts";
import { metaKeys } from "../../src/storage/backend/schema.ts";
import { readLog, readValidSnapshots } from "../../src/storage/wal/log-reader.ts";
import { loadNewestSnapshot } from "../../src/storage/snap/snap-files.ts";
import { Scheduler, VirtualClock, VirtualDisk, VirtualDrive } from "../../src/platform/virtual/index.ts";
import { dataDir } from "../world/machine.ts";
import { SimLog } from "../world/sim-log.ts";

const snapDir = join(dataDir, "member", "snap");
const walDir = join(dataDir, "member", "wal");
const databasePath = join(snapDir, "db");
const silent = new SimLog(() => 0, "fatal");

/** @returns what is wrong. Changes nothing on the drive but what a start would: broken snapshot files get another name. */
export function checkDrive(drive: VirtualDrive): string[] {
  const disk = new VirtualDisk(drive, new VirtualClock(new Scheduler()));
  if (!disk.exists(databasePath) || !disk.exists(walDir)) return []; // it died before it was founded
  const database = openAndCheck(disk, databasePath);
  if (database.faults.length > 0) return database.faults.map((fault) => `database: ${fault}`);
  try {
    const snapshot = loadNewestSnapshot(disk, silent, snapDir, readValidSnapshots(disk, walDir, silent));
    const from = { index: snapshot?.metadata.index ?? 0, term: snapshot?.metadata.term ?? 0 };
    const { contents } = readLog(disk, walDir, from, silent);
    const last = contents.entries.at(-1)?.index ?? from.index;
    const isReceived = disk.exists(join(snapDir, `${from.index.toString(16).padStart(16, "0")}.snap.db`));
    if (database.consistentIndex > last) {
      return [`the database has applied entry ${database.consistentIndex}, but the log ends at ${last}`];
    }
    if (database.consistentIndex < from.index && !isReceived) {
      return [`the database has applied entry ${database.consistentIndex}, but the log begins behind ${from.index}`];
    }
    if (contents.hardState.commit > last)
      return [`commit ${contents.hardState.commit} is beyond the log's end ${last}`];
    return [];
  } catch (error) {
    return [`log: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** Of a database that was sent: the file, with its SHA-256 behind it. */
export function checkImage(bytes: Uint8Array): string[] {
  const drive = new VirtualDrive({ seed: 1 });
  const disk = new VirtualDisk(drive, new VirtualClock(new Scheduler()));
  disk.open("/image", "createNew").writeSync(bytes.subarray(0, bytes.length - 32), 0);
  return openAndCheck(disk, "/image").faults;
}

function openAndCheck(disk: VirtualDisk, path: string): { faults: string[]; consistentIndex: number } {
  try {
    const db = BoltDb.open(disk, path, { readOnly: true });
    try {
      return { faults: checkDatabase(db), consistentIndex: consistentIndexOf(db) };
    } finally {
      db.close();
    }
  } catch (error) {
    return { faults: [error instanceof Error ? error.message : String(error)], consistentIndex: 0 };
  }
}

function consistentIndexOf(db: BoltDb): number {
  const tx = db.begin(false);
  try {
    const value = tx.bucket(buckets.meta.bytes)?.get(metaKeys.consistentIndex);
    return value === undefined ? 0 : Number(Buffer.from(value).readBigUInt64BE());
  } finally {
    tx.rollback();
  }
}

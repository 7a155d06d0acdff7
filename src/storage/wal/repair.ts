/**
 * Mends a log whose last write was cut short by a crash: the last segment is copied to `<name>.broken` and shortened to
 * its last good record. Source: etcd server/storage/wal/repair.go.
 */
import type { Disk, DiskFile } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import type { LogTail } from "./log-reader.ts";

const COPY_SIZE = 1 << 20;

/** What a segment holds beyond its last record. */
const zeros = new Uint8Array(COPY_SIZE);

/** Cuts the torn end off the segment at `tail.path`, which must be the last one. The cut is durable on return. */
export async function repairTornTail(disk: Disk, tail: LogTail, log: Logger): Promise<void> {
  const { path, offset } = tail;
  log.info("repairing", { path });
  const file = disk.open(path, "write");
  try {
    await copyFile(disk, file, `${path}.broken`);
    file.truncate(offset);
    await file.sync();
  } finally {
    file.close();
  }
  log.info("repaired", { path, error: "unexpected EOF" });
}

/** Zeros become holes: the end of a full disk is one thing that tears a log, and the copy must fit what was freed since. */
async function copyFile(disk: Disk, source: DiskFile, path: string): Promise<void> {
  const copy = disk.open(path, "create");
  try {
    copy.truncate(0);
    const block = new Uint8Array(COPY_SIZE);
    for (let position = 0; ; position += COPY_SIZE) {
      const count = source.readSync(block, position);
      const isEmpty = Buffer.compare(block.subarray(0, count), zeros.subarray(0, count)) === 0;
      if (!isEmpty) await copy.write(block.subarray(0, count), position);
      if (count === COPY_SIZE) continue;
      copy.truncate(position + count);
      break;
    }
  } finally {
    copy.close();
  }
}

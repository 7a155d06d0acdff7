/**
 * Mends a log whose last write was cut short by a crash: the last segment is copied to `<name>.broken` and shortened to
 * its last good record. Source: etcd server/storage/wal/repair.go.
 */
import type { Disk, DiskFile } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import type { LogTail } from "./log-reader.ts";

const COPY_SIZE = 1 << 20;

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

async function copyFile(disk: Disk, source: DiskFile, path: string): Promise<void> {
  const copy = disk.open(path, "create");
  try {
    copy.truncate(0);
    const block = new Uint8Array(COPY_SIZE);
    for (let position = 0; ; position += COPY_SIZE) {
      const count = source.readSync(block, position);
      await copy.write(block.subarray(0, count), position);
      if (count < COPY_SIZE) break;
    }
  } finally {
    copy.close();
  }
}

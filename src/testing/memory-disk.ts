/** A disk in memory that takes no time, for members on a real clock. */
import type { Clock } from "../platform/clock.ts";
import { VirtualDisk, type VirtualDrive } from "../platform/virtual/index.ts";

export function memoryDisk(drive: VirtualDrive, clock: Clock): VirtualDisk {
  const disk = new VirtualDisk(drive, clock);
  Object.assign(disk.times, { readMs: 0, writeMs: 0, syncMs: 0 });
  return disk;
}

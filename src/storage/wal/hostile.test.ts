/** Logs that somebody wrote on purpose to bring a member down (the audit of 2020, CVE-2020-15106 and CVE-2020-15112). */
import { describe, expect, test } from "vitest";
import { CorruptionError } from "../../base/corruption.ts";
import { createStderrLogger } from "../../platform/node/stderr-logger.ts";
import { Scheduler, VirtualClock, VirtualDisk, VirtualDrive } from "../../platform/virtual/index.ts";
import { type Entry, EntryType } from "../../wire/raft/types.ts";
import { readLog, readValidSnapshots, verifyLog } from "./log-reader.ts";
import { Wal } from "./wal.ts";

const start = { index: 0, term: 0 };

/** A sound log of three entries, then `damage` where the fourth would be. */
async function logWith(entries: readonly Entry[], damage?: Uint8Array): Promise<VirtualDisk> {
  const scheduler = new Scheduler();
  const clock = new VirtualClock(scheduler);
  const disk = new VirtualDisk(new VirtualDrive({ seed: 1 }), clock);
  disk.makeDirectory("/m");
  disk.syncDirectorySync("/");
  const options = { clock, log: createStderrLogger("fatal") };
  const wal = await scheduler.run(Wal.create(disk, "/m/wal", Uint8Array.of(8, 1), options));
  await scheduler.run(
    new Promise<void>((resolve, reject) => {
      const done = (error?: Error): void => (error === undefined ? resolve() : reject(error));
      wal.save({ term: 1, vote: 1n, commit: 1 }, entries, true, done);
    }),
  );
  await scheduler.run(wal.close());
  if (damage !== undefined) {
    const { tail } = readLog(disk, "/m/wal", start);
    const file = disk.open(`/m/wal/${tail.segments[tail.segments.length - 1].name}`, "write");
    await scheduler.run(file.write(damage, tail.offset));
    file.close();
  }
  return disk;
}

const entry = (index: number, size = 10): Entry => ({
  type: EntryType.Normal,
  term: 1,
  index,
  data: new Uint8Array(size),
});

describe("a record that claims a size", () => {
  test.each([
    ["of 2^55 bytes", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00]],
    ["that is negative, with padding", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ["beyond the end of its file", [0x00, 0x00, 0x00, 0x3f, 0x00, 0x00, 0x00, 0x00]],
    ["of one byte, with seven of padding", [0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x87]],
  ])("%s ends reading, without memory for it and without a crash", async (_what, frame) => {
    const disk = await logWith(
      [entry(1), entry(2), entry(3)],
      Uint8Array.of(...frame, ...new Uint8Array(64).fill(0x55)),
    );
    const before = process.memoryUsage.rss();
    for (const read of [readLog, verifyLog]) {
      let error: unknown;
      try {
        read(disk, "/m/wal", start);
      } catch (caught) {
        error = caught;
      }
      if (error !== undefined) expect(error).toBeInstanceOf(CorruptionError);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 << 20);
  });
});

test("entries that begin far behind the snapshot are refused, not put into a slice", async () => {
  const disk = await logWith([entry(1), entry(1_000_000_000)]);
  expect(() => readLog(disk, "/m/wal", start)).toThrow(CorruptionError);
  expect(() => readValidSnapshots(disk, "/m/wal")).not.toThrow();
});

import { expect, test } from "vitest";
import { createStderrLogger } from "../../platform/node/stderr-logger.ts";
import { Scheduler, VirtualClock, VirtualDisk, VirtualDrive } from "../../platform/virtual/index.ts";
import { Backend } from "../backend/backend.ts";

test("a transient scan shows the same rows as any other, and its views are not kept", async () => {
  const scheduler = new Scheduler();
  const clock = new VirtualClock(scheduler);
  const disk = new VirtualDisk(new VirtualDrive({ seed: 1 }), clock);
  const log = createStderrLogger("fatal");
  disk.makeDirectory("/m");
  // A small cache, so that the scan has to read; rows enough for many pieces.
  const backend = await scheduler.run(Backend.open(disk, clock, log, "/m/db", { pageCacheBytes: 64 << 10 }));
  const count = 20_000;
  // In no order, so that leaves split and neighbours lie far apart: the scan jumps about in the file.
  for (let row = 0; row < count; row++) {
    const main = 1 + ((row * 7_919) % count);
    backend.putRow(main, 0, main % 7 === 0, new Uint8Array(100 + (main % 50)).fill(main & 0xff));
    if (row % 500 === 0) await scheduler.run(backend.commit());
  }
  await scheduler.run(backend.commit());
  const seen: { main: number; isTombstone: boolean; length: number; first: number }[] = [];
  const kept: Uint8Array[] = [];
  const visit = (main: number, _sub: number, isTombstone: boolean, value: Uint8Array): boolean => {
    seen.push({ main, isTombstone, length: value.length, first: value[0] });
    kept.push(value);
    return true;
  };
  backend.scanRows({ main: 1, sub: 0 }, undefined, visit, true);
  const memory = new Set(kept.map(({ buffer }) => buffer)).size;
  const ofTransient = seen.splice(0);
  kept.length = 0;
  backend.scanRows({ main: 1, sub: 0 }, undefined, visit);
  expect(ofTransient).toEqual(seen);
  expect(seen).toHaveLength(count);
  expect(memory).toBeLessThan(new Set(kept.map(({ buffer }) => buffer)).size);
  await scheduler.run(backend.close());
});

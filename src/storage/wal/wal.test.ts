import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { equalBytes } from "../../base/bytes.ts";
import { createStderrLogger } from "../../platform/node/stderr-logger.ts";
import { Scheduler, SeededRandom, VirtualClock, VirtualDisk, VirtualDrive } from "../../platform/virtual/index.ts";
import { type Entry, EntryType, type HardState } from "../../wire/raft/types.ts";
import { isUnchanged, readLog, readValidSnapshots, tryReadLog } from "./log-reader.ts";
import { type OpenedWal, Wal, type WalOptions } from "./wal.ts";

const metadata = Uint8Array.of(8, 1, 16, 2);
const start = { index: 0, term: 0 };
const confState = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };

interface World {
  readonly scheduler: Scheduler;
  readonly drive: VirtualDrive;
  readonly disk: VirtualDisk;
  readonly lines: string[];
  readonly options: WalOptions;
}

function mount(scheduler: Scheduler, drive: VirtualDrive, segmentSize = 64_000_000): World {
  const lines: string[] = [];
  const clock = new VirtualClock(scheduler);
  const log = createStderrLogger("debug", (line) => lines.push(line));
  return { scheduler, drive, disk: new VirtualDisk(drive, clock), lines, options: { clock, log, segmentSize } };
}

function newWorld(seed = 1, segmentSize?: number): World {
  const world = mount(new Scheduler(), new VirtualDrive({ seed }), segmentSize);
  world.disk.makeDirectory("/m");
  world.disk.syncDirectorySync("/");
  return world;
}

const create = ({ scheduler, disk, options }: World): Promise<Wal> =>
  scheduler.run(Wal.create(disk, "/m/wal", metadata, options));
const open = ({ scheduler, disk, options }: World, from = start): Promise<OpenedWal> =>
  scheduler.run(Wal.open(disk, "/m/wal", from, options));

const entry = (index: number, size = 100, term = 1): Entry => ({
  type: EntryType.Normal,
  term,
  index,
  data: new Uint8Array(size).fill(index & 0xff),
});
const state = (commit: number, term = 1): HardState => ({ term, vote: 1n, commit });
const save = (wal: Wal, hardState: HardState | undefined, entries: Entry[], mustSync = true): Promise<void> =>
  new Promise((resolve, reject) => {
    wal.save(hardState, entries, mustSync, (error) => (error === undefined ? resolve() : reject(error)));
  });

test("a new log holds its metadata and nothing else, and a second one is refused", async () => {
  const world = newWorld();
  const wal = await create(world);
  await world.scheduler.run(wal.close());
  const opened = await open(world);
  expect(opened.metadata).toEqual(metadata);
  expect(opened.entries).toEqual([]);
  expect(opened.hardState).toEqual({ term: 0, vote: 0n, commit: 0 });
  await expect(create(world)).rejects.toMatchObject({ code: "EEXIST" });
  expect(world.disk.list("/m")).toEqual(["wal"]);
});

test("what was saved is read again, a later entry of the same index replaces it and those behind it", async () => {
  const world = newWorld();
  const wal = await create(world);
  await world.scheduler.run(save(wal, state(1), [entry(1), entry(2), entry(3)]));
  await world.scheduler.run(save(wal, state(2, 2), [entry(2, 7, 2)]));
  await world.scheduler.run(wal.close());
  const { entries, hardState } = await open(world);
  expect(entries).toEqual([entry(1), entry(2, 7, 2)]);
  expect(hardState).toEqual(state(2, 2));
});

test("saves made while a sync is under way share the next one, and are answered in order", async () => {
  const world = newWorld();
  const wal = await create(world);
  world.disk.times.syncMs = 10;
  const before = world.drive.operationCount;
  const answered: number[] = [];
  for (let index = 1; index <= 500; index++) {
    wal.save(undefined, [entry(index)], true, () => answered.push(index));
    if (index === 100) await world.scheduler.runFor(5);
  }
  wal.save(state(500), [], false, () => answered.push(501));
  expect(answered).toEqual([]);
  await world.scheduler.runUntil(() => answered.length === 501);
  expect(answered).toEqual(Array.from({ length: 501 }, (_, index) => index + 1));
  // Two batches, each written and synced; the first with zeros behind it.
  expect(world.drive.operationCount - before).toBe(5);
});

test("a save that only moves the commit index does not wait for the disk, and is written with the next", async () => {
  const world = newWorld();
  const wal = await create(world);
  const before = world.drive.operationCount;
  await world.scheduler.run(save(wal, state(0), [], false));
  expect(world.drive.operationCount).toBe(before);
  await world.scheduler.run(save(wal, undefined, [entry(1)]));
  world.drive.crash();
  const { hardState, entries } = await open(mount(world.scheduler, world.drive));
  expect(hardState).toEqual(state(0));
  expect(entries).toHaveLength(1);
});

test("a full segment is cut at its records, and the next begins with checksum, metadata and state", async () => {
  const world = newWorld(1, 4096);
  const wal = await create(world);
  for (let index = 1; index <= 30; index++) await world.scheduler.run(save(wal, state(index), [entry(index, 500)]));
  await world.scheduler.run(wal.close());
  const names = world.disk.list("/m/wal").filter((name) => name.endsWith(".wal"));
  expect(names.length).toBeGreaterThan(3);
  expect(names[1]).toMatch(/^0{15}1-0{15}9\.wal$/);
  for (const name of names.slice(0, -1)) expect(world.disk.stat(`/m/wal/${name}`).size).toBeLessThan(5000);
  expect(world.disk.list("/m/wal")).not.toContain("0.tmp");
  const { entries, hardState } = await open(world);
  expect(entries).toEqual(Array.from({ length: 30 }, (_, index) => entry(index + 1, 500)));
  expect(hardState).toEqual(state(30));
  expect(world.lines.join("")).toContain("created a new WAL segment");
});

test("many saves at once may fill several segments before the first is written", async () => {
  const world = newWorld(1, 4096);
  const wal = await create(world);
  const saves: Promise<void>[] = [];
  for (let index = 1; index <= 40; index++) saves.push(save(wal, undefined, [entry(index, 900)]));
  await world.scheduler.run(Promise.all(saves));
  await world.scheduler.run(wal.close());
  expect((await open(world)).entries).toEqual(Array.from({ length: 40 }, (_, index) => entry(index + 1, 900)));
});

test("a log that was read before is taken as it was read, unless something was written behind its end", async () => {
  const world = newWorld();
  const wal = await create(world);
  await world.scheduler.run(save(wal, state(1), [entry(1)]));
  const before = tryReadLog(world.disk, "/m/wal", start)!;
  expect(isUnchanged(world.disk, "/m/wal", before)).toBe(true);
  await world.scheduler.run(wal.close());
  const opened = await world.scheduler.run(Wal.open(world.disk, "/m/wal", start, world.options, before));
  expect(opened.entries).toBe(before.contents.entries);
  // It goes on where it ended.
  await world.scheduler.run(save(opened.wal, state(2), [entry(2)]));
  await world.scheduler.run(opened.wal.close());
  expect(isUnchanged(world.disk, "/m/wal", before)).toBe(false);
  const again = await world.scheduler.run(Wal.open(world.disk, "/m/wal", start, world.options, before));
  expect(again.entries).toEqual([entry(1), entry(2)]);
  await world.scheduler.run(again.wal.close());
});

test("a try to read behind a snapshot gives nothing when it is not there, not committed, or the log is damaged", async () => {
  const world = newWorld();
  const wal = await create(world);
  await world.scheduler.run(save(wal, state(1), [entry(1), entry(2)]));
  await world.scheduler.run(
    new Promise<void>((resolve) => {
      wal.saveSnapshot({ index: 2, term: 1, confState }, () => resolve());
    }),
  );
  expect(tryReadLog(world.disk, "/m/wal", { index: 2, term: 1 })).toBeUndefined();
  await world.scheduler.run(save(wal, state(2), []));
  expect(tryReadLog(world.disk, "/m/wal", { index: 2, term: 1 })?.contents.entries).toEqual([]);
  expect(tryReadLog(world.disk, "/m/wal", { index: 1, term: 1 })).toBeUndefined();
  expect(tryReadLog(world.disk, "/m/wal", { index: 2, term: 2 })).toBeUndefined();
  await world.scheduler.run(wal.close());
  const [name] = world.disk.list("/m/wal");
  const file = world.disk.open(`/m/wal/${name}`, "write");
  file.writeSync(Uint8Array.of(0xff), 200);
  file.close();
  expect(tryReadLog(world.disk, "/m/wal", start)).toBeUndefined();
});

test("after a snapshot, reading begins there, and the segments before it can be purged but no others", async () => {
  const world = newWorld(1, 4096);
  const wal = await create(world);
  for (let index = 1; index <= 40; index++) await world.scheduler.run(save(wal, state(index), [entry(index, 500)]));
  await world.scheduler.run(
    new Promise<void>((resolve) => {
      wal.saveSnapshot({ index: 20, term: 1, confState }, () => resolve());
    }),
  );
  const count = world.disk.list("/m/wal").length;
  expect(wal.purge(1)).toEqual([]);
  wal.releaseTo(20);
  const purged = wal.purge(1);
  expect(purged.length).toBeGreaterThan(0);
  expect(world.disk.list("/m/wal")).toHaveLength(count - purged.length);
  wal.releaseTo(20);
  expect(wal.purge(1)).toEqual([]);
  await world.scheduler.run(wal.close());
  expect(readValidSnapshots(world.disk, "/m/wal")).toEqual([{ index: 20, term: 1, confState }]);
  const opened = await open(world, { index: 20, term: 1 });
  expect(opened.entries[0].index).toBe(21);
  expect(opened.entries).toHaveLength(20);
  await world.scheduler.run(opened.wal.close());
  await expect(open(world)).rejects.toThrow("file not found which matches the snapshot index '0'");
  await expect(open(world, { index: 20, term: 9 })).rejects.toThrow("snapshot mismatch");
  await expect(open(world, { index: 25, term: 1 })).rejects.toThrow("snapshot not found");
});

test("a missing segment in between is refused by name", async () => {
  const world = newWorld(1, 4096);
  const wal = await create(world);
  for (let index = 1; index <= 30; index++) await world.scheduler.run(save(wal, state(index), [entry(index, 500)]));
  await world.scheduler.run(wal.close());
  world.disk.remove(`/m/wal/${world.disk.list("/m/wal")[1]}`);
  await expect(open(world)).rejects.toThrow("do not increase continuously");
});

test("a failed sync fails everything that waits and everything after it", async () => {
  const world = newWorld();
  const wal = await create(world);
  world.drive.fault = (operation) => {
    if (operation === "sync") throw Object.assign(new Error("EIO"), { code: "EIO" });
  };
  const first = save(wal, undefined, [entry(1)]);
  const second = save(wal, undefined, [entry(2)]);
  const results = await world.scheduler.run(Promise.allSettled([first, second]));
  expect(results.map((result) => result.status)).toEqual(["rejected", "rejected"]);
  world.drive.fault = undefined;
  await expect(world.scheduler.run(save(wal, undefined, [entry(3)]))).rejects.toThrow("EIO");
  await world.scheduler.run(wal.close());
});

test("a full disk fails the save, and what was acknowledged before is read again", async () => {
  const world = newWorld();
  const wal = await create(world);
  await world.scheduler.run(save(wal, state(1), [entry(1)]));
  world.drive.capacity = 1 << 20;
  await expect(world.scheduler.run(save(wal, undefined, [entry(2, 2 << 20)]))).rejects.toMatchObject({
    code: "ENOSPC",
  });
  await world.scheduler.run(wal.close());
  expect((await open(world)).entries).toEqual([entry(1)]);
});

test("a slow sync is warned about as etcd does", async () => {
  const world = newWorld();
  const wal = await create(world);
  world.disk.times.syncMs = 1500;
  await world.scheduler.run(save(wal, undefined, [entry(1)]));
  const warning = world.lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .find((line) => line["level"] === "warn");
  expect(warning).toMatchObject({ msg: "slow fdatasync", took: "1.5s", "expected-duration": "1s" });
});

test("a log that is open is not opened a second time, and a closed one takes nothing more", async () => {
  const world = newWorld();
  const wal = await create(world);
  await expect(open(world)).rejects.toMatchObject({ code: "EWOULDBLOCK" });
  await world.scheduler.run(wal.close());
  await world.scheduler.run(wal.close());
  await expect(world.scheduler.run(save(wal, undefined, [entry(1)]))).rejects.toMatchObject({ code: "EBADF" });
});

test("what was encoded is read again, whatever its sizes", async () => {
  const sizes = fc.array(fc.oneof(fc.nat(200), fc.nat(5000), fc.constant(300_000)), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(4), async (sizesOfEntries, perSave) => {
      const world = newWorld(1, 20_000);
      const wal = await create(world);
      const entries = sizesOfEntries.map((size, position) => entry(position + 1, size, 1 + (position >> 3)));
      for (let position = 0; position < entries.length; position += perSave + 1) {
        void save(wal, state(position), entries.slice(position, position + perSave + 1));
      }
      await world.scheduler.run(wal.close());
      const read = readLog(world.disk, "/m/wal", start).contents.entries;
      expect(read.map(({ index, term }) => ({ index, term }))).toEqual(
        entries.map(({ index, term }) => ({ index, term })),
      );
      expect(read.every(({ data }, position) => equalBytes(data, entries[position].data))).toBe(true);
    }),
    { numRuns: 25 },
  );
});

/** Saves entries and now and then a snapshot until the power fails; tells what was acknowledged. */
async function work(world: World, seed: number, acknowledged: { index: number; commit: number }): Promise<void> {
  const random = new SeededRandom(seed);
  const wal = await Wal.create(world.disk, "/m/wal", metadata, world.options);
  let index = 0;
  for (let round = 0; round < 12; round++) {
    const batches: Promise<void>[] = [];
    for (let batch = random.below(3); batch >= 0; batch--) {
      const entries = Array.from({ length: random.below(4) }, () => entry(++index, random.below(1500)));
      const commit = Math.max(0, index - random.below(4));
      const last = index;
      const saved = save(wal, state(commit), entries, entries.length > 0);
      batches.push(saved.then(() => void (acknowledged.index = Math.max(acknowledged.index, last))));
    }
    await Promise.all(batches);
  }
  await wal.close();
}

describe("the power fails at every operation of a workload", () => {
  test.each([1, 2, 3, 4, 5, 6])("seed %i: nothing acknowledged is lost, and the log goes on", async (seed) => {
    for (let operation = 1; ; operation++) {
      const world = newWorld(seed * 1000 + operation, 6000);
      let hasCrashed = false;
      world.drive.crashAt(world.drive.operationCount + operation, () => (hasCrashed = true));
      const acknowledged = { index: 0, commit: 0 };
      let isDone = false;
      work(world, seed, acknowledged).then(
        () => (isDone = true),
        () => undefined, // the process died in a synchronous call
      );
      await world.scheduler.runUntil(() => isDone || hasCrashed);
      if (isDone) {
        expect(operation).toBeGreaterThan(40);
        return;
      }
      const after = mount(world.scheduler, world.drive, 6000);
      if (!after.disk.exists("/m/wal")) {
        expect(acknowledged.index).toBe(0);
        continue;
      }
      const opened = await open(after);
      expect(opened.entries.length).toBeGreaterThanOrEqual(acknowledged.index);
      opened.entries.forEach((found, position) => {
        expect(found.index).toBe(position + 1);
        expect(found.data.every((byte) => byte === (found.index & 0xff))).toBe(true);
      });
      const next = entry(opened.entries.length + 1, 3000, 2);
      await world.scheduler.run(save(opened.wal, state(0, 2), [next]));
      after.drive.crash();
      const again = await open(mount(world.scheduler, world.drive, 6000));
      expect(again.entries).toEqual([...opened.entries, next]);
    }
  });
});

import { expect, test } from "vitest";
import { createStderrLogger } from "../../platform/node/stderr-logger.ts";
import { Scheduler, VirtualClock, VirtualDisk, VirtualDrive } from "../../platform/virtual/index.ts";
import type { Snapshot } from "../../wire/raft/types.ts";
import { loadNewestSnapshot, readSnapshotFile, removeOrphanedDatabases, saveSnapshot } from "./snap-files.ts";

const lines: string[] = [];
const log = createStderrLogger("debug", (line) => lines.push(line));

function newDisk(seed = 1): { scheduler: Scheduler; drive: VirtualDrive; disk: VirtualDisk } {
  const scheduler = new Scheduler();
  const drive = new VirtualDrive({ seed });
  const disk = new VirtualDisk(drive, new VirtualClock(scheduler));
  disk.makeDirectory("/snap");
  disk.syncDirectorySync("/");
  lines.length = 0;
  return { scheduler, drive, disk };
}

function snapshot(index: number, term = 1): Snapshot {
  const confState = { voters: [7n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  return { data: new Uint8Array(3000).fill(index & 0xff), metadata: { confState, index, term } };
}

test("the newest snapshot that the log knows is loaded, not a newer one it does not know", async () => {
  const { scheduler, disk } = newDisk();
  for (const [index, term] of [
    [10, 1],
    [20, 1],
    [15, 2],
  ] as const) {
    await scheduler.run(saveSnapshot(disk, "/snap", snapshot(index, term)));
  }
  expect(disk.list("/snap")).toEqual([
    "0000000000000001-000000000000000a.snap",
    "0000000000000001-0000000000000014.snap",
    "0000000000000002-000000000000000f.snap",
  ]);
  const known = [
    { index: 0, term: 0 },
    { index: 10, term: 1 },
    { index: 20, term: 1 },
  ];
  expect(loadNewestSnapshot(disk, log, "/snap", known)).toEqual(snapshot(20, 1));
  expect(loadNewestSnapshot(disk, log, "/snap", [{ index: 15, term: 2 }])).toEqual(snapshot(15, 2));
  expect(loadNewestSnapshot(disk, log, "/snap", [])).toBeUndefined();
});

test("files that cannot be read are set aside, left-overs removed, unknown names left alone", async () => {
  const { scheduler, disk } = newDisk();
  await scheduler.run(saveSnapshot(disk, "/snap", snapshot(10)));
  await scheduler.run(saveSnapshot(disk, "/snap", snapshot(20)));
  await scheduler.run(saveSnapshot(disk, "/snap", snapshot(30)));
  disk.open("/snap/0000000000000001-000000000000001e.snap", "write").truncate(0);
  disk.open("/snap/0000000000000001-0000000000000014.snap", "write").writeSync(Uint8Array.of(0xff), 100);
  for (const name of ["db", "db.tmp.123", "strange"]) disk.open(`/snap/${name}`, "createNew").close();
  const known = [10, 20, 30].map((index) => ({ index, term: 1 }));
  expect(loadNewestSnapshot(disk, log, "/snap", known)).toEqual(snapshot(10));
  expect(disk.list("/snap")).toEqual([
    "0000000000000001-000000000000000a.snap",
    "0000000000000001-0000000000000014.snap.broken",
    "0000000000000001-000000000000001e.snap.broken",
    "db",
    "strange",
  ]);
  const messages = lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
  expect(messages).toContain("found orphaned defragmentation file; deleting");
  expect(messages).toContain("found unexpected non-snap file; skipping");
  expect(messages.filter((message) => message === "renamed to a broken snap file")).toHaveLength(2);
});

test("an empty snapshot is not written", async () => {
  const { scheduler, disk } = newDisk();
  await scheduler.run(saveSnapshot(disk, "/snap", snapshot(0, 0)));
  expect(disk.list("/snap")).toEqual([]);
});

test("a full disk leaves no file behind", async () => {
  const { scheduler, drive, disk } = newDisk();
  drive.capacity = 0;
  await expect(scheduler.run(saveSnapshot(disk, "/snap", snapshot(5)))).rejects.toMatchObject({ code: "ENOSPC" });
  expect(disk.list("/snap")).toEqual([]);
});

test("received databases older than the snapshot are removed", () => {
  const { disk } = newDisk();
  for (const index of [9, 10, 11]) disk.open(`/snap/${index.toString(16).padStart(16, "0")}.snap.db`, "createNew");
  removeOrphanedDatabases(disk, log, "/snap", 10);
  expect(disk.list("/snap")).toEqual(["000000000000000a.snap.db", "000000000000000b.snap.db"]);
});

test("whenever the power fails while a snapshot is saved, every .snap file there is whole", async () => {
  for (let operation = 1; operation <= 8; operation++) {
    for (let seed = 1; seed <= 10; seed++) {
      const { scheduler, drive, disk } = newDisk(seed);
      await scheduler.run(saveSnapshot(disk, "/snap", snapshot(1)));
      let isOver = false;
      drive.crashAt(drive.operationCount + operation, () => (isOver = true));
      let isSaved = false;
      const saved = saveSnapshot(disk, "/snap", snapshot(2)).then(() => (isSaved = true));
      saved.then(
        () => (isOver = true),
        () => (isOver = true),
      );
      await scheduler.runUntil(() => isOver);
      if (isSaved) drive.crash();
      const after = new VirtualDisk(drive, new VirtualClock(scheduler));
      const names = after.list("/snap").filter((name) => name.endsWith(".snap"));
      expect(names.length).toBeGreaterThanOrEqual(isSaved ? 2 : 1);
      for (const name of names) expect(readSnapshotFile(after, `/snap/${name}`).data).toHaveLength(3000);
    }
  }
});

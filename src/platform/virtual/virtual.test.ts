import fc from "fast-check";
import { expect, test } from "vitest";
import { createStderrLogger } from "../node/stderr-logger.ts";
import type { Connection, ConnectionHandlers } from "../network.ts";
import {
  CrashedError,
  createVirtualPlatform,
  Scheduler,
  VirtualClock,
  VirtualDisk,
  VirtualDrive,
  VirtualInternet,
} from "./index.ts";

const log = createStderrLogger("fatal");
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function setUp(seed = 1): { scheduler: Scheduler; drive: VirtualDrive; disk: VirtualDisk } {
  const scheduler = new Scheduler();
  const drive = new VirtualDrive({ seed });
  return { scheduler, drive, disk: new VirtualDisk(drive, new VirtualClock(scheduler)) };
}

function contentsOf(disk: VirtualDisk, path: string): string {
  const file = disk.open(path, "read");
  const bytes = new Uint8Array(file.size());
  file.readSync(bytes, 0);
  return new TextDecoder().decode(bytes);
}

test("events run in the order of time, promises settle in between, and a wait without end is told", async () => {
  const scheduler = new Scheduler();
  const clock = new VirtualClock(scheduler);
  const seen: string[] = [];
  clock.setTimer(() => seen.push(`b ${clock.monotonic()}`), 20);
  clock.setTimer(() => {
    seen.push("a");
    void Promise.resolve()
      .then(() => undefined)
      .then(() => clock.setTimer(() => seen.push(`from promise ${clock.monotonic()}`), 5));
  }, 10);
  const cancelled = clock.setTimer(() => seen.push("never"), 12);
  cancelled.cancel();
  const ticker = clock.setTicker(() => seen.push("tick"), 8);
  await scheduler.runFor(17);
  ticker.cancel();
  await scheduler.runFor(10);
  expect(seen).toEqual(["tick", "a", "from promise 15", "tick", "b 20"]);
  await expect(scheduler.run(new Promise(() => undefined))).rejects.toThrow("nothing is left to happen");
});

test("what was synced survives every crash, and what was not may be lost", async () => {
  let lost = 0;
  let kept = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const { scheduler, drive, disk } = setUp(seed);
    disk.makeDirectory("/d");
    disk.syncDirectorySync("/");
    const file = disk.open("/d/f", "createNew");
    await scheduler.run(file.write(text("synced"), 0));
    await scheduler.run(file.datasync());
    await scheduler.run(disk.syncDirectory("/d"));
    file.writeSync(text("UN"), 0);
    disk.open("/d/nameless", "createNew");
    drive.crash();
    expect(() => file.size()).toThrow(CrashedError);
    const after = new VirtualDisk(drive, new VirtualClock(scheduler));
    const found = contentsOf(after, "/d/f");
    expect(["synced", "UNnced"]).toContain(found);
    if (found === "synced" && !after.exists("/d/nameless")) lost += 1;
    if (found !== "synced" && after.exists("/d/nameless")) kept += 1;
  }
  expect(lost).toBeGreaterThan(0);
  expect(kept).toBeGreaterThan(0);
});

test("a large write can be torn at sectors, and a sync covers only what was written before it began", async () => {
  let torn = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const { scheduler, drive, disk } = setUp(seed);
    const file = disk.open("/f", "createNew");
    disk.syncDirectorySync("/");
    file.writeSync(new Uint8Array(2048).fill(1), 0);
    const synced = file.datasync();
    file.writeSync(new Uint8Array(2048).fill(2), 2048);
    await scheduler.run(synced);
    drive.crash();
    const after = new VirtualDisk(drive, new VirtualClock(scheduler)).open("/f", "read");
    const bytes = new Uint8Array(4096);
    after.readSync(bytes, 0);
    expect(bytes.subarray(0, 2048).every((byte) => byte === 1)).toBe(true);
    for (let sector = 2048; sector < 4096; sector += 512) {
      expect(new Set(bytes.subarray(sector, sector + 512)).size).toBe(1);
    }
    if (bytes[2048] !== bytes[2560]) torn += 1;
  }
  expect(torn).toBeGreaterThan(0);
});

test("any file operations read back like a plain array, before a crash and after a sync and a crash", () => {
  const operation = fc.oneof(
    fc.record({ write: fc.uint8Array({ maxLength: 6000 }), at: fc.nat(20_000) }),
    fc.record({ truncate: fc.nat(20_000) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 20 }), fc.integer(), (operations, seed) => {
      const { drive, disk, scheduler } = setUp(seed);
      const file = disk.open("/f", "createNew");
      disk.syncDirectorySync("/");
      let model = Buffer.alloc(0);
      const grow = (size: number): void => {
        if (size > model.length) model = Buffer.concat([model, Buffer.alloc(size - model.length)]);
      };
      for (const step of operations) {
        if ("write" in step) {
          file.writeSync(step.write, step.at);
          if (step.write.length > 0) grow(step.at + step.write.length);
          model.set(step.write, step.write.length === 0 ? 0 : step.at);
        } else {
          file.truncate(step.truncate);
          grow(step.truncate);
          model = Buffer.from(model.subarray(0, step.truncate));
        }
      }
      file.datasyncSync();
      drive.crash();
      const after = new VirtualDisk(drive, new VirtualClock(scheduler)).open("/f", "read");
      const bytes = new Uint8Array(after.size());
      after.readSync(bytes, 0);
      expect(Buffer.compare(bytes, model)).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test("a full drive says ENOSPC and keeps what it has; a fault can be put in", async () => {
  const { scheduler, drive, disk } = setUp();
  const file = disk.open("/f", "createNew");
  drive.capacity = 8192;
  await scheduler.run(file.write(new Uint8Array(8192).fill(1), 0));
  await expect(scheduler.run(file.write(Uint8Array.of(1), 8192))).rejects.toMatchObject({ code: "ENOSPC" });
  await scheduler.run(file.write(Uint8Array.of(9), 0));
  expect(file.size()).toBe(8192);
  drive.fault = (operation) => {
    if (operation === "sync") throw new Error("EIO");
  };
  await expect(scheduler.run(file.datasync())).rejects.toThrow("EIO");
});

test("syncs take the time that was set, and a stall holds them until it ends", async () => {
  const { scheduler, disk } = setUp();
  const file = disk.open("/f", "createNew");
  disk.times.syncMs = 120;
  await scheduler.run(file.datasync());
  expect(scheduler.nowMs).toBe(120);
  disk.times.isSyncStalled = true;
  let isDone = false;
  const synced = file.datasync().then(() => (isDone = true));
  await scheduler.runFor(10_000);
  expect(isDone).toBe(false);
  disk.resumeSyncs();
  await scheduler.run(synced);
});

test("the power fails at exactly the operation asked for; the dead process hears nothing more", async () => {
  const { scheduler, drive, disk } = setUp();
  const heard: string[] = [];
  let crashed = false;
  drive.crashAt(3, () => (crashed = true));
  const file = disk.open("/f", "createNew"); // 1
  void file.write(text("x"), 0).then(() => heard.push("written")); // 2
  await scheduler.runFor(1);
  void file.datasync().then(
    () => heard.push("synced"),
    () => heard.push("failed"),
  ); // 3
  await scheduler.runFor(10);
  expect(crashed).toBe(true);
  expect(heard).toEqual(["written"]);
  expect(drive.operationCount).toBe(3);
});

test("a lock is held by one open file until it closes or the power fails", () => {
  const { drive, disk, scheduler } = setUp();
  disk.makeDirectory("/d");
  disk.syncDirectorySync("/");
  const first = disk.open("/d", "read");
  const second = disk.open("/d", "read");
  expect(first.tryLock()).toBe(true);
  expect(second.tryLock()).toBe(false);
  first.close();
  expect(second.tryLock()).toBe(true);
  drive.crash();
  expect(new VirtualDisk(drive, new VirtualClock(scheduler)).open("/d", "read").tryLock()).toBe(true);
});

test("connections carry bytes in order with a delay, through a cut link after it heals, and close on both sides", async () => {
  const scheduler = new Scheduler();
  const internet = new VirtualInternet();
  const make = (host: string): ReturnType<typeof createVirtualPlatform> =>
    createVirtualPlatform({ scheduler, drive: new VirtualDrive({ seed: 1 }), internet, host, seed: 1, log });
  const a = make("a");
  const b = make("b");
  const handlers = (own: Partial<ConnectionHandlers>): ConnectionHandlers => ({
    data() {},
    end() {},
    drained() {},
    closed() {},
    ...own,
  });
  const closed: string[] = [];
  const listener = await b.network.listen({ host: "", port: 0 }, (connection) => {
    connection.setHandlers(
      handlers({
        data: (chunk) => void connection.write(chunk),
        end: () => connection.end(),
        closed: () => closed.push("b"),
      }),
    );
  });
  const { port } = listener.address as { port: number };
  await expect(scheduler.run(a.network.connect({ host: "b", port: 1 }))).rejects.toMatchObject({
    code: "ECONNREFUSED",
  });
  const connection: Connection = await scheduler.run(a.network.connect({ host: "b", port }));
  let received = "";
  connection.setHandlers(
    handlers({
      data: (chunk) => void (received += new TextDecoder().decode(chunk)),
      closed: () => closed.push("a"),
    }),
  );
  connection.write(text("one "));
  connection.cork();
  connection.write(text("two "));
  connection.write(text("three "));
  connection.uncork();
  await scheduler.runFor(5);
  expect(received).toBe("one two three ");
  expect(connection.waitingBytes).toBe(0);
  internet.cut("a", "b");
  connection.write(text("four"));
  await scheduler.runFor(1000);
  expect(received).toBe("one two three ");
  internet.heal("a", "b");
  await scheduler.runFor(5);
  expect(received).toBe("one two three four");
  connection.end();
  await scheduler.runFor(5);
  expect(closed.sort()).toEqual(["a", "b"]);
});

test("what is sent into the dark comes when the link is whole, and a host whose power failed says so only when it is back", async () => {
  const scheduler = new Scheduler();
  const internet = new VirtualInternet();
  const make = (host: string): ReturnType<typeof createVirtualPlatform> =>
    createVirtualPlatform({ scheduler, drive: new VirtualDrive({ seed: 1 }), internet, host, seed: 1, log });
  const a = make("a");
  const b = make("b");
  const received: string[] = [];
  await b.network.listen({ host: "", port: 7 }, (connection) =>
    connection.setHandlers({
      data: (chunk) => received.push(new TextDecoder().decode(chunk)),
      end() {},
      drained() {},
      closed() {},
    }),
  );
  const connection = await scheduler.run(a.network.connect({ host: "b", port: 7 }));
  let loss: string | undefined;
  connection.setHandlers({ data() {}, end() {}, drained() {}, closed: (error) => (loss = error?.code) });
  internet.cutOneWay("a", "b");
  connection.write(text("one"));
  await scheduler.runFor(1_000);
  expect(received).toEqual([]);
  internet.heal("a", "b");
  await scheduler.runFor(1);
  expect(received).toEqual(["one"]);

  b.clock.stop();
  internet.leave("b", "powerFailed");
  connection.write(text("two"));
  await scheduler.runFor(10_000);
  expect(loss).toBe(undefined);
  make("b");
  await scheduler.runFor(1);
  expect(loss).toBe("ECONNRESET");
  await expect(scheduler.run(a.network.connect({ host: "b", port: 7 }))).rejects.toMatchObject({
    code: "ECONNREFUSED",
  });
});

test("a connection on which nobody says anything outlives the other host by the time of TCP's keep-alive", async () => {
  const scheduler = new Scheduler();
  const internet = new VirtualInternet();
  const make = (host: string): ReturnType<typeof createVirtualPlatform> =>
    createVirtualPlatform({ scheduler, drive: new VirtualDrive({ seed: 1 }), internet, host, seed: 1, log });
  const a = make("a");
  const b = make("b");
  await b.network.listen({ host: "", port: 7 }, () => undefined);
  const connection = await scheduler.run(a.network.connect({ host: "b", port: 7 }));
  let loss: string | undefined;
  connection.setHandlers({ data() {}, end() {}, drained() {}, closed: (error) => (loss = error?.code) });
  b.clock.stop();
  internet.leave("b", "powerFailed");
  await scheduler.runFor(39_000);
  expect(loss).toBe(undefined);
  await scheduler.runFor(2_000);
  expect(loss).toBe("ETIMEDOUT");
});

test("a paused process does nothing, and then everything in order; a slow one takes its time", async () => {
  const scheduler = new Scheduler();
  const clock = new VirtualClock(scheduler);
  const seen: string[] = [];
  const ticker = clock.setTicker(() => seen.push("tick"), 100);
  clock.setTimer(() => seen.push("timer"), 150);
  clock.pause();
  await scheduler.runFor(1_000);
  expect(seen).toEqual([]);
  clock.resume();
  await scheduler.runFor(50);
  expect(seen).toEqual(["tick", "timer"]);
  ticker.cancel();
  clock.turnCostMs = 10;
  const times: number[] = [];
  const startMs = clock.monotonic();
  for (let turn = 0; turn < 3; turn++) clock.nextTurn(() => times.push(clock.monotonic() - startMs));
  await scheduler.runFor(100);
  expect(times).toEqual([0, 10, 20]);
  clock.turnCostMs = 0;
  clock.lookCostMs = 1;
  const before = clock.monotonic();
  expect(clock.monotonic() - before).toBe(1);
  let laterMs = 0;
  clock.nextTurn(() => (laterMs = clock.monotonic()));
  await scheduler.runFor(10);
  expect(laterMs - before).toBe(2);
});

test("a clock that runs fast, and one that jumps: only the wall clock jumps", async () => {
  const scheduler = new Scheduler();
  const clock = new VirtualClock(scheduler);
  await scheduler.runFor(1_000);
  clock.rate = 2;
  let firedMs = 0;
  clock.setTimer(() => (firedMs = scheduler.nowMs), 1_000);
  await scheduler.runFor(1_000);
  expect(firedMs).toBe(1_500);
  expect(clock.monotonic()).toBe(3_000);
  const wall = clock.now();
  clock.wallOffsetMs = -60_000;
  expect(clock.now() - wall).toBe(-60_000);
  expect(clock.monotonic()).toBe(3_000);
});

test("a process that is killed leaves what it wrote, synced or not, and frees its locks", () => {
  const { drive, disk, scheduler } = setUp();
  const file = disk.open("/f", "createNew");
  file.writeSync(text("written"), 0);
  expect(file.tryLock()).toBe(true);
  drive.killProcess();
  expect(() => file.size()).toThrow(CrashedError);
  const after = new VirtualDisk(drive, new VirtualClock(scheduler));
  expect(contentsOf(after, "/f")).toBe("written");
  expect(after.open("/f", "write").tryLock()).toBe(true);
});

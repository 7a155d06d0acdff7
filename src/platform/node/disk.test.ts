import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DiskError, type DiskFile } from "../disk.ts";
import { NodeDisk } from "./disk.ts";
import { createStderrLogger, formatTimestamp } from "./stderr-logger.ts";

let directory: string;
const lines: string[] = [];
const disk = new NodeDisk(createStderrLogger("debug", (line) => lines.push(line)));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "quorate-disk-"));
  lines.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

test("writes at a position, of one and of many buffers, are read back, and a read is short only at the end", async () => {
  const file = disk.open(join(directory, "f"), "createNew", 0o600);
  await file.writeMany([text("abc"), text(""), text("defg")], 0);
  await file.write(text("XY"), 2);
  file.writeSync(text("!"), 7);
  await file.datasync();
  const target = new Uint8Array(20);
  expect(file.readSync(target, 1)).toBe(7);
  expect(new TextDecoder().decode(target.subarray(0, 7))).toBe("bXYefg!");
  expect(await file.read(target, 6)).toBe(2);
  expect(await file.read(target, 100)).toBe(0);
  file.truncate(3);
  expect(file.size()).toBe(3);
  file.close();
  file.close();
  expect(disk.stat(join(directory, "f"))).toMatchObject({ size: 3, isDirectory: false, permissions: 0o600 });
});

/** Asks for the same write until it is taken: the thread that does it starts behind the first ones. */
async function writeDurably(file: DiskFile, source: Uint8Array, position: number, zeros: number): Promise<void> {
  const times = file.writeDurably?.(source, position, zeros);
  if (times === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return writeDurably(file, source, position, zeros);
  }
  const { writeMs, syncMs } = await times;
  expect(writeMs).toBeGreaterThan(0);
  expect(syncMs).toBeGreaterThan(0);
}

test("a write that is made durable in one go is read back, with the zeros behind it", async () => {
  const file = disk.open(join(directory, "f"), "createNew");
  file.writeSync(text("aaaaaaaaaa"), 0);
  await writeDurably(file, text("bcd"), 2, 4);
  const target = new Uint8Array(20);
  expect(file.readSync(target, 0)).toBe(10);
  expect(new TextDecoder().decode(target.subarray(0, 10))).toBe("aabcd\0\0\0\0a");
  const large = new Uint8Array(1 << 20).fill(7);
  await writeDurably(file, large, 5, 512 << 10);
  expect(file.size()).toBe(5 + (1 << 20) + (512 << 10));
  expect(file.writeDurably?.(new Uint8Array((1 << 20) + 1), 0, 0)).toBeUndefined();
  file.close();
});

test("one write at a time is made durable in one go", async () => {
  const file = disk.open(join(directory, "f"), "createNew");
  await writeDurably(file, text("first"), 0, 0);
  const second = file.writeDurably?.(text("second"), 5, 0);
  expect(file.writeDurably?.(text("third"), 11, 0)).toBeUndefined();
  await second;
  expect(file.size()).toBe(11);
  file.close();
});

test("all disks of a process share one thread", async () => {
  const file = disk.open(join(directory, "f"), "createNew");
  await writeDurably(file, text("first"), 0, 0);
  const other = new NodeDisk(createStderrLogger("error")).open(join(directory, "g"), "createNew");
  const taken = other.writeDurably?.(text("second"), 0, 0);
  expect(taken).toBeDefined();
  await taken;
  expect(other.size()).toBe(6);
  other.close();
  file.close();
});

test("a write that fails in the thread says what the system said", async () => {
  const path = join(directory, "f");
  disk.open(path, "createNew").close();
  const file = disk.open(path, "read");
  await expect(writeDurably(file, text("x"), 0, 0)).rejects.toThrow(
    expect.objectContaining({ name: "DiskError", code: "EBADF", path, message: `write ${path}: bad file descriptor` }),
  );
  file.close();
});

test("errors carry the system's code and the path", () => {
  const path = join(directory, "missing");
  expect(() => disk.open(path, "read")).toThrow(DiskError);
  expect(() => disk.open(path, "read")).toThrow(expect.objectContaining({ code: "ENOENT", path }));
  disk.open(path, "createNew").close();
  expect(() => disk.open(path, "createNew")).toThrow(expect.objectContaining({ code: "EEXIST" }));
});

test("a lock keeps another open file and another process out until it is closed", async () => {
  const path = join(directory, "f");
  const first = disk.open(path, "create");
  const second = disk.open(path, "create");
  expect(first.tryLock()).toBe(true);
  expect(second.tryLock()).toBe(false);
  expect(await exitCode("flock", ["-xn", path, "true"])).toBe(1);
  first.close();
  expect(await exitCode("flock", ["-xn", path, "true"])).toBe(0);
  expect(second.tryLock()).toBe(true);
  second.close();
});

test("without the flock program a lock held by another process is still seen, with a warning", () => {
  const path = join(directory, "f");
  const holder = disk.open(path, "create");
  expect(holder.tryLock()).toBe(true);
  const other = disk.open(path, "create");
  const searchPath = process.env["PATH"];
  process.env["PATH"] = directory;
  try {
    expect(other.tryLock()).toBe(false);
    holder.close();
    expect(other.tryLock()).toBe(true);
  } finally {
    process.env["PATH"] = searchPath;
  }
  expect(lines.join("")).toContain("flock is missing");
  other.close();
});

test("log lines have etcd's fields and time layout", () => {
  const log = createStderrLogger("info", (line) => lines.push(line)).withCaller("a/b.ts");
  log.debug("hidden");
  log.info("shown", { lease: 5n, error: new Error("why") });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0])).toMatchObject({
    level: "info",
    caller: "a/b.ts",
    msg: "shown",
    lease: "5",
    error: "why",
  });
  expect(JSON.parse(lines[0]).ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d{4})$/);
  expect(formatTimestamp(1000.5)).toMatch(/:01\.0005/);
  expect(formatTimestamp(2000)).not.toContain(".");
});

function exitCode(program: string, args: string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    spawn(program, args, { stdio: "ignore" }).once("exit", resolve).once("error", reject);
  });
}

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { JournalOutput } from "./journal-output.ts";
import { checkRotationOutputs, type LogRotation, parseLogRotation } from "./log-rotation.ts";
import { createLogger } from "./logging.ts";
import { RotatingFile } from "./rotating-file.ts";

const dayMs = 86_400_000;
const start = Date.parse("2026-11-25T03:12:58.294Z");
let folder: string;
let clock: ManualClock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quorate-"));
  clock = new ManualClock();
  clock.advance(start);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function names(): string[] {
  return readdirSync(folder).sort();
}

function text(name: string): string {
  return readFileSync(join(folder, name), "utf8");
}

function open(changes: Partial<LogRotation>, complaints: string[] = []): RotatingFile {
  const rotation = { maxBytes: 20, maxAgeDays: 0, maxBackups: 0, localTime: false, compress: false, ...changes };
  return new RotatingFile(join(folder, "etcd.log"), rotation, clock, (line) => complaints.push(line));
}

test("a line that does not fit any more goes into a new file; the old one has the time in its name", () => {
  writeFileSync(join(folder, "etcd.log"), "of before\n");
  chmodSync(join(folder, "etcd.log"), 0o640);
  const file = open({});
  file.write("ten bytes\n");
  expect(names()).toEqual(["etcd.log"]);
  file.write("next\n");
  expect(names()).toEqual(["etcd-2026-11-25T03-12-58.294.log", "etcd.log"]);
  expect(text("etcd-2026-11-25T03-12-58.294.log")).toBe("of before\nten bytes\n");
  expect(text("etcd.log")).toBe("next\n");
  expect(statSync(join(folder, "etcd.log")).mode & 0o777).toBe(0o640);
  // Longer than any file may be, and in the same millisecond.
  file.write(`${"x".repeat(30)}\n`);
  expect(names()).toContain("etcd-2026-11-25T03-12-58.295.log");
  expect(text("etcd.log")).toHaveLength(31);
});

test("only the newest old files stay", async () => {
  writeFileSync(join(folder, "etcd-notes.log"), "somebody's");
  const file = open({ maxBackups: 2 });
  for (let round = 0; round < 5; round++) {
    file.write(`${"x".repeat(15)}${round}\n`);
    clock.advance(1000);
  }
  await file.settled();
  expect(names()).toEqual([
    "etcd-2026-11-25T03-13-01.294.log",
    "etcd-2026-11-25T03-13-02.294.log",
    "etcd-notes.log",
    "etcd.log",
  ]);
});

test("old files go when they are too old, also at a start", async () => {
  writeFileSync(join(folder, "etcd-2026-11-21T00-00-00.000.log"), "old");
  writeFileSync(join(folder, "etcd-2026-11-20T00-00-00.000.log.gz"), "older");
  writeFileSync(join(folder, "etcd-2026-11-24T00-00-00.000.log"), "yesterday's");
  const file = open({ maxAgeDays: 3 });
  await file.settled();
  expect(names()).toEqual(["etcd-2026-11-24T00-00-00.000.log", "etcd.log"]);
  clock.advance(3 * dayMs);
  file.write("x".repeat(20));
  file.write("x");
  await file.settled();
  expect(names()).toEqual(["etcd-2026-11-28T03-12-58.294.log", "etcd.log"]);
});

test("old files are compressed", async () => {
  const file = open({ compress: true, maxBackups: 2 });
  for (let round = 0; round < 4; round++) {
    file.write(`${"x".repeat(15)}${round}\n`);
    clock.advance(1000);
    await file.settled();
  }
  const [first] = names();
  expect(names()).toEqual(["etcd-2026-11-25T03-13-00.294.log.gz", "etcd-2026-11-25T03-13-01.294.log.gz", "etcd.log"]);
  expect(gunzipSync(readFileSync(join(folder, first))).toString()).toBe(`${"x".repeat(15)}1\n`);
});

test("with localtime names bear local time", () => {
  const file = open({ localTime: true });
  file.write("x".repeat(20));
  file.write("x");
  const local = new Date(start - new Date(start).getTimezoneOffset() * 60_000).toISOString();
  expect(names()[0]).toBe(`etcd-${local.slice(0, -1).replaceAll(":", "-")}.log`);
});

test("a directory that vanishes costs lines, and is told once", () => {
  const complaints: string[] = [];
  const file = open({}, complaints);
  rmSync(folder, { recursive: true });
  for (let round = 0; round < 5; round++) file.write("x".repeat(15));
  expect(complaints).toEqual([expect.stringMatching(/^lines are lost: ENOENT/)]);
});

test.each([
  ["{", "improperly formatted log rotation config: unexpected end of JSON input"],
  ["", "improperly formatted log rotation config: unexpected end of JSON input"],
  ['{"maxsize":1} x', "improperly formatted log rotation config: invalid character 'x' after top-level value"],
  ["[]", "invalid log rotation config: json: cannot unmarshal array into Go value of type embed.logRotationConfig"],
  ["5", "invalid log rotation config: json: cannot unmarshal number into Go value of type embed.logRotationConfig"],
  [
    '{"maxsize":"1"}',
    "invalid log rotation config: json: cannot unmarshal string into Go struct field logRotationConfig.Logger.maxsize of type int",
  ],
  [
    '{"maxsize":1.5}',
    "invalid log rotation config: json: cannot unmarshal number 1.5 into Go struct field logRotationConfig.Logger.maxsize of type int",
  ],
  [
    '{"maxsize":99999999999999999999}',
    "invalid log rotation config: json: cannot unmarshal number 99999999999999999999 into Go struct field logRotationConfig.Logger.maxsize of type int",
  ],
  [
    '{"compress":1}',
    "invalid log rotation config: json: cannot unmarshal number into Go struct field logRotationConfig.Logger.compress of type bool",
  ],
  ['{"maxbackups":-1}', "invalid log rotation config: maxbackups is -1, and must not be negative"],
])("the rotation %j is refused", (json, message) => {
  expect(() => parseLogRotation(json)).toThrow(new Error(message));
});

test("what is not said has lumberjack's default; names count in any case, null and unknown ones are nothing", () => {
  expect(parseLogRotation('{"MaxSize": 2, "compress": null, "color": "red"}')).toEqual({
    maxBytes: 2 << 20,
    maxAgeDays: 0,
    maxBackups: 0,
    localTime: false,
    compress: false,
  });
  expect(parseLogRotation("{}").maxBytes).toBe(100 << 20);
});

test("rotation is of one file", () => {
  const message = "--log-outputs requires a single file path when --log-rotate-config-json is defined";
  for (const outputs of [["default"], ["stderr"], ["a", "b"]]) {
    expect(() => checkRotationOutputs(outputs)).toThrow(message);
  }
  checkRotationOutputs(["a"]);
  checkRotationOutputs(["a", "stderr"]);
});

test("lines go to every file, from the level on, in the form asked for", () => {
  const outputs = [join(folder, "a.log"), join(folder, "b.log")];
  const log = createLogger({ level: "warn", format: "console", outputs }, clock).withCaller("x/y.ts");
  log.info("not this");
  log.warn("but this", { size: 3 });
  expect(text("a.log")).toBe('2026-11-25T03:12:58.294000Z\twarn\tx/y.ts\tbut this\t{"size":3}\n');
  expect(text("b.log")).toBe(text("a.log"));
  const rotation = { ...parseLogRotation("{}"), maxBytes: 150 };
  const json = createLogger({ level: "debug", format: "json", outputs: [join(folder, "c.log")], rotation }, clock);
  for (const word of ["one", "two"]) json.withCaller("x/y.ts").debug(word);
  const lines = names()
    .filter((name) => name.startsWith("c"))
    .map((name) => JSON.parse(text(name)) as object);
  const common = { level: "debug", ts: "2026-11-25T03:12:58.294000Z", caller: "x/y.ts" };
  expect(lines).toEqual([
    { ...common, msg: "one" },
    { ...common, msg: "two" },
  ]);
});

test("a file that cannot be opened is named as etcd does; /dev/null discards all", () => {
  const at = (outputs: string[]) => () => createLogger({ level: "info", format: "json", outputs }, clock);
  expect(at(["/nonexistent/x"])).toThrow('open sink "/nonexistent/x": open /nonexistent/x: no such file or directory');
  expect(at([""])).toThrow('open sink "": open : no such file or directory');
  at([join(folder, "no.log"), "/dev/null"])().info("nothing");
  expect(names()).toEqual([]);
});

test("the journal gets lines with their priority; standard error those from before and after", async () => {
  const path = join(folder, "stdout");
  let received = "";
  let changed = (): void => undefined;
  const server = createServer((socket) => {
    socket.on("data", (chunk) => {
      received += chunk.toString();
      changed();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const fallback: string[] = [];
  const output = new JournalOutput((line) => fallback.push(line), path);
  output.write("info", "early\n");
  const head = "etcd\n\n6\n1\n0\n0\n0\n";
  while (received !== head) await new Promise<void>((resolve) => (changed = resolve));
  output.write("warn", "careful\n");
  output.write("fatal", "the end\n");
  while (!received.endsWith("the end\n")) await new Promise<void>((resolve) => (changed = resolve));
  expect(received).toBe(`${head}<4>careful\n<2>the end\n`);
  expect(fallback).toEqual(["early\n"]);
  server.close();
});

test("without a journal the member does not start", () => {
  expect(() => new JournalOutput(() => undefined, join(folder, "stdout"))).toThrow(
    `can't find journal (dial unixgram ${folder}/socket: connect: no such file or directory)`,
  );
});

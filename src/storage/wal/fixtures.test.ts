/** The logs and `.snap` files of recorded data directories against what `expected.json` says is in them. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixtureText, removeDirectory, temporaryDirectory, unpackFixture } from "../../../test/support/fixture.ts";
import { equalBytes } from "../../base/bytes.ts";
import { CorruptionError } from "../../base/corruption.ts";
import { NodeClock } from "../../platform/node/clock.ts";
import { NodeDisk } from "../../platform/node/disk.ts";
import { createStderrLogger } from "../../platform/node/stderr-logger.ts";
import { decodeEntry, decodeHardState, encodeEntry, encodeHardState } from "../../wire/raft/entry-codec.ts";
import { EntryType } from "../../wire/raft/types.ts";
import { encodeSnapshotFile, loadNewestSnapshot, readSnapshotFile } from "../snap/snap-files.ts";
import { readLog, readValidSnapshots, verifyLog } from "./log-reader.ts";
import { RecordEncoder } from "./record-encoder.ts";
import { RecordReader } from "./record-reader.ts";
import { RecordType } from "./record.ts";
import { Wal } from "./wal.ts";

interface ExpectedWal {
  readonly segments: readonly { name: string; size: number; records: number; data_end: number; ends_with: string }[];
  readonly record_counts: Readonly<Record<string, number>>;
  readonly last_index: number | null;
  readonly hard_state: { term: string; vote: string; commit: string } | null;
  readonly snapshot_records: readonly { index: string; term: string }[];
  readonly entries_sha256: string;
}
interface ExpectedSnap {
  readonly name: string;
  readonly crc: number;
  readonly crc_ok: boolean;
  readonly index: string;
  readonly term: string;
}
interface Expected {
  readonly offline: { readonly wal: ExpectedWal; readonly snap: readonly ExpectedSnap[] };
  readonly expect: { readonly outcome: string; readonly after_stop?: { readonly broken: readonly string[] } };
}

const root = join(import.meta.dirname, "../../../test/fixtures/data-dirs");
const names = readdirSync(root).sort();
const corrupt = ["torn-tail-crc-bad", "wal-bitflip-entry-data", "wal-bitflip-metadata"];
const typeNames = ["", "metadata", "entry", "state", "crc", "snapshot"];

const entryNames = ["EntryNormal", "EntryConfChange", "EntryConfChangeV2"];

const lines: string[] = [];
const log = createStderrLogger("debug", (line) => lines.push(line));
const disk = new NodeDisk(log);
const options = { clock: new NodeClock(), log };
let directory: string;
let wal: string;

beforeEach(() => {
  lines.length = 0;
  directory = temporaryDirectory();
});
afterEach(() => removeDirectory(directory));

function unpack(name: string): Expected {
  unpackFixture(`data-dirs/${name}/data.tar.gz`, directory);
  wal = join(directory, name === "separate-wal-dir" ? "wal" : "data/member/wal");
  return JSON.parse(fixtureText(`data-dirs/${name}/expected.json`)) as Expected;
}

const readerOf = (expected: Expected): RecordReader =>
  new RecordReader(
    disk,
    expected.offline.wal.segments.map((segment) => join(wal, segment.name)),
  );

function entriesHash(entries: ReturnType<typeof readLog>["contents"]["entries"]): string {
  const text = entries.map(
    (entry) =>
      `${entry.term} ${entry.index} ${entryNames[entry.type]} ${createHash("sha256").update(encodeEntry(entry)).digest("hex")}`,
  );
  return createHash("sha256").update(text.join("\n")).digest("hex");
}

describe.each(names)("%s", (name) => {
  test("has the records that were counted, and ours for the same contents are the same bytes", () => {
    const expected = unpack(name);
    const reader = readerOf(expected);
    const counts: Record<string, number> = {};
    const encoder = new RecordEncoder(new Uint8Array(64), 0);
    const ends = new Map<string, number>();
    const check = (): void => {
      if (reader.record.type === RecordType.Crc) {
        encoder.useBuffer(new Uint8Array(64));
        encoder.addCrc();
      } else if (reader.record.type === RecordType.Entry) encoder.addEntry(decodeEntry(reader.data));
      else if (reader.record.type === RecordType.HardState) encoder.addHardState(decodeHardState(reader.data));
      else encoder.add(reader.record.type as RecordType, reader.data);
      expect(encoder.crc).toBe(reader.crc);
      expect(encoder.length).toBe(reader.lastValidOffset);
    };
    const read = (): void => {
      while (reader.next()) {
        const typeName = typeNames[reader.record.type];
        counts[typeName] = (counts[typeName] ?? 0) + 1;
        if (reader.record.type === RecordType.Entry) {
          expect(equalBytes(encodeEntry(decodeEntry(reader.data)), reader.data)).toBe(true);
        } else if (reader.record.type === RecordType.HardState) {
          expect(equalBytes(encodeHardState(decodeHardState(reader.data)), reader.data)).toBe(true);
        }
        check();
        ends.set(reader.path, reader.lastValidOffset);
      }
    };
    if (corrupt.includes(name)) expect(read).toThrow(CorruptionError);
    else read();
    expect(counts).toEqual(expected.offline.wal.record_counts);
    const last = expected.offline.wal.segments[expected.offline.wal.segments.length - 1];
    const lastPath = join(wal, last.name);
    expect(reader.path).toBe(lastPath);
    // Where a checksum did not match, the record it stands in was counted too.
    if (last.ends_with === "crc mismatch") expect(ends.get(lastPath)).toBeLessThan(last.data_end);
    else expect(ends.get(lastPath)).toBe(last.data_end);
    // The whole last segment as we would have written it.
    const bytes = new Uint8Array(encoder.length);
    const file = disk.open(lastPath, "read");
    file.readSync(bytes, 0);
    file.close();
    expect(equalBytes(bytes, encoder.buffer.subarray(0, encoder.length))).toBe(true);
  });

  test("opens to the recorded entries and state, or is refused when it was damaged", async () => {
    const { offline, expect: outcome } = unpack(name);
    const from = { index: 0, term: 0 };
    if (corrupt.includes(name)) {
      const before = disk.list(wal);
      expect(() => verifyLog(disk, wal, from)).toThrow(CorruptionError);
      expect(() => readValidSnapshots(disk, wal)).toThrow(/crc mismatch/);
      await expect(Wal.open(disk, wal, from, options)).rejects.toMatchObject({
        name: "CorruptionError",
        path: join(wal, offline.wal.segments[0].name),
        message: expect.stringMatching(/offset \d+: wal: crc mismatch; .*restore the member/),
      });
      expect(disk.list(wal)).toEqual(before);
      return;
    }
    const valid = readValidSnapshots(disk, wal);
    expect(valid.map(({ index, term }) => ({ index: `${index}`, term: `${term}` }))).toEqual(
      offline.wal.snapshot_records,
    );
    expect(readLog(disk, wal, from).tail.lastIndex).toBe(offline.wal.last_index);
    const opened = await Wal.open(disk, wal, from, options);
    const { term, vote, commit } = opened.hardState;
    expect({ term: `${term}`, vote: `${vote}`, commit: `${commit}` }).toEqual(offline.wal.hard_state);
    expect(entriesHash(opened.entries)).toBe(offline.wal.entries_sha256);
    const next = { type: EntryType.Normal, term, index: opened.entries.length + 1, data: new Uint8Array(700) };
    const saved = new Promise<void>((resolve, reject) => {
      opened.wal.save(undefined, [next], true, (error) => (error === undefined ? resolve() : reject(error)));
    });
    await saved;
    await opened.wal.close();
    expect(disk.list(wal).filter((file) => file.endsWith(".broken"))).toEqual(outcome.after_stop?.broken ?? []);
    const again = readLog(disk, wal, from);
    expect(again.tail.ending).toBe("end");
    expect(again.contents.entries.pop()).toEqual(next);
    expect(entriesHash(again.contents.entries)).toBe(offline.wal.entries_sha256);
  });

  test("gives its .snap files, newest valid first, and sets the broken aside", () => {
    const { offline } = unpack(name);
    const snap = join(directory, "data/member/snap");
    for (const { name: file, crc_ok, index, term } of offline.snap) {
      const path = join(snap, file);
      if (!crc_ok) {
        expect(() => readSnapshotFile(disk, path)).toThrow(/crc mismatch/);
        continue;
      }
      const snapshot = readSnapshotFile(disk, path);
      expect(`${snapshot.metadata.index} ${snapshot.metadata.term}`).toBe(`${index} ${term}`);
      const bytes = new Uint8Array(disk.stat(path).size);
      const opened = disk.open(path, "read");
      opened.readSync(bytes, 0);
      opened.close();
      expect(equalBytes(encodeSnapshotFile(snapshot), bytes)).toBe(true);
    }
    if (corrupt.includes(name)) return;
    const newest = loadNewestSnapshot(disk, log, snap, readValidSnapshots(disk, wal));
    const sound = offline.snap.filter((file) => file.crc_ok);
    expect(newest?.metadata.index).toBe(sound.length === 0 ? undefined : Number(sound[sound.length - 1].index));
    const broken = disk.list(snap).filter((file) => file.endsWith(".broken"));
    expect(broken).toEqual(offline.snap.filter((file) => !file.crc_ok).map((file) => `${file.name}.broken`));
    if (broken.length > 0) expect(lines.join("")).toContain("renamed to a broken snap file");
  });
});

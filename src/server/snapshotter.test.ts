import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { removeDirectory, temporaryDirectory } from "../../test/support/fixture.ts";
import { testPlatform } from "../../test/support/member.ts";
import { emptyBytes } from "../base/bytes.ts";
import { MemoryStorage } from "../raft/memory-storage.ts";
import { EntryType } from "../wire/raft/types.ts";
import { memberConfig } from "./config.ts";
import { Snapshotter, type SnapshotterParts } from "./snapshotter.ts";

const directories: string[] = [];

afterEach(() => {
  for (const directory of directories.splice(0)) removeDirectory(directory);
});

/** A snapshotter over a log whose entries share one piece of data, so that gigabytes of it cost nothing. */
function snapshotterOver(dataBytes: number) {
  const directory = temporaryDirectory();
  directories.push(directory);
  const config = memberConfig({ dataDir: directory });
  const dirs = { snapDir: join(directory, "snap"), walDir: join(directory, "wal") };
  mkdirSync(dirs.snapDir, { recursive: true });
  const { disk, clock, log } = testPlatform();
  const storage = new MemoryStorage();
  const data = new Uint8Array(dataBytes);
  const applier = { appliedIndex: 0, confState: storage.snapshot().metadata.confState };
  const snapshotter = new Snapshotter({
    config,
    dirs,
    disk,
    clock,
    log,
    storage,
    applier,
    backend: { commit: () => Promise.resolve() },
    wal: {
      saveSnapshot: (_: unknown, done: () => void) => done(),
      releaseTo: () => undefined,
    },
    membership: { toOldStore: () => emptyBytes },
    consistentIndex: { index: 0 },
    holdsLog: () => false,
    failpoints: {},
    fatal: (error: Error) => {
      throw error;
    },
  } as unknown as SnapshotterParts);
  const apply = (count: number): void => {
    for (let entry = 0; entry < count; entry++) {
      const index = storage.lastIndex() + 1;
      storage.append([{ type: EntryType.Normal, term: 1, index, data }]);
      applier.appliedIndex = index;
      snapshotter.afterApply();
    }
  };
  const snapshots = (): number => readdirSync(dirs.snapDir).filter((name) => name.endsWith(".snap")).length;
  return { snapshotter, storage, apply, snapshots };
}

test("large entries leave memory, and get a snapshot on disk, long before their number asks for it", async () => {
  const { snapshotter, storage, apply, snapshots } = snapshotterOver(1 << 20);
  apply(200);
  const held = storage.lastIndex() - storage.firstIndex() + 1;
  expect(held).toBeGreaterThanOrEqual(128);
  expect(held).toBeLessThanOrEqual(128 + 33);
  expect(snapshots()).toBe(0);
  apply(100);
  await snapshotter.settled();
  expect(snapshots()).toBe(1);
  snapshotter.stop();
});

test("small entries are kept by their number", async () => {
  const { snapshotter, storage, apply, snapshots } = snapshotterOver(100);
  apply(9_999);
  expect(storage.firstIndex()).toBe(9_000 - 5_000 + 1);
  expect(snapshots()).toBe(0);
  snapshotter.stop();
});

test("one entry beyond the limit does not take the log's last applied entry", async () => {
  const { snapshotter, storage, apply } = snapshotterOver(200 << 20);
  apply(3);
  expect(storage.firstIndex()).toBe(storage.lastIndex());
  await snapshotter.settled();
  snapshotter.stop();
});

/**
 * What the log costs the event loop per entry, and what one client waits for. Run it with
 * `npx vitest bench --run src/storage/wal` on the disk that matters (TMPDIR).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, bench, describe } from "vitest";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";
import { type Entry, EntryType } from "../../wire/raft/types.ts";
import { RecordEncoder } from "./record-encoder.ts";
import { Wal } from "./wal.ts";

const ENTRIES = 10_000;
const directory = mkdtempSync(join(tmpdir(), "quorate-wal-bench-"));
const { disk, clock, log } = createNodePlatform({ log: createStderrLogger("warn") });
const wal = await Wal.create(disk, join(directory, "wal"), new Uint8Array(24), { clock, log });
afterAll(async () => {
  await wal.close();
  rmSync(directory, { recursive: true });
});

let index = 0;
const data = new Uint8Array(300).fill(7);
const next = (): Entry => ({ type: EntryType.Normal, term: 2, index: ++index, data });

describe("300-byte entries", () => {
  const encoder = new RecordEncoder(new Uint8Array(8 << 20), 0);
  bench(`encode ${ENTRIES}`, () => {
    encoder.length = 0;
    for (let count = 0; count < ENTRIES; count++) encoder.addEntry(next());
  });

  bench(`save ${ENTRIES} one by one, synced together`, async () => {
    await new Promise<void>((resolve) => {
      let left = ENTRIES;
      const done = (): void => {
        if (--left === 0) resolve();
      };
      for (let count = 0; count < ENTRIES; count++)
        wal.save({ term: 2, vote: 1n, commit: index }, [next()], true, done);
    });
  });

  bench("save one and wait", async () => {
    await new Promise<void>((resolve) => {
      wal.save({ term: 2, vote: 1n, commit: index }, [next()], true, () => resolve());
    });
  });
});

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { join } from "node:path";
import { removeDirectory, temporaryDirectory } from "../../../test/support/fixture.ts";
import { createNodePlatform, createStderrLogger } from "../../platform/node/index.ts";
import { BoltDb } from "../bbolt/db.ts";
import { RowFinder } from "./row-finder.ts";
import { encodeRowKey } from "./row-key.ts";

const { disk } = createNodePlatform({ log: createStderrLogger("fatal") });
const bucketName = new Uint8Array(Buffer.from("key"));

/** Gaps between revisions, operations of each, and whether the last operation is a delete. */
const revisions = fc.array(
  fc.record({
    gap: fc.integer({ min: 1, max: 40 }),
    operations: fc.integer({ min: 1, max: 30 }),
    isDelete: fc.boolean(),
  }),
  { minLength: 1, maxLength: 400 },
);

test("the finder finds every plain row, and nothing else, whatever gaps, operations and tombstones there are", async () => {
  const directory = temporaryDirectory();
  let files = 0;
  await fc.assert(
    fc.asyncProperty(revisions, async (made) => {
      const db = BoltDb.open(disk, join(directory, `db${files++}`), { noSync: true });
      const tx = db.begin(true);
      const bucket = tx.root.createBucket(bucketName);
      const plain: { main: number; sub: number }[] = [];
      const absent: { main: number; sub: number }[] = [];
      let main = 0;
      for (const { gap, operations, isDelete } of made) {
        if (gap > 1) absent.push({ main: main + 1, sub: 0 });
        main += gap;
        for (let sub = 0; sub < operations; sub++) {
          const isTombstone = isDelete && sub === operations - 1;
          bucket.put(encodeRowKey(main, sub, isTombstone), new Uint8Array(Buffer.from(`${main}.${sub}`.padEnd(120))));
          (isTombstone ? absent : plain).push({ main, sub });
        }
        absent.push({ main, sub: operations });
      }
      await tx.commit();
      const reader = db.begin(false);
      const tree = reader.bucket(bucketName)!;
      const finder = RowFinder.of(reader, tree);
      // A bucket this small lies inside its parent's page and has none of its own.
      if (finder === undefined) expect(tree.rootPage).toBe(0);
      else {
        const found = (row: { main: number; sub: number }) => {
          const value = finder.get(row.main, row.sub);
          return value === undefined ? undefined : Buffer.from(value).toString().trimEnd();
        };
        for (const row of plain) expect(found(row)).toBe(`${row.main}.${row.sub}`);
        for (const row of plain.toReversed()) expect(found(row)).toBe(`${row.main}.${row.sub}`);
        for (const row of absent) expect(found(row)).toBeUndefined();
        expect(finder.get(0, 0)).toBeUndefined();
        expect(finder.get(main + 1, 0)).toBeUndefined();
      }
      reader.rollback();
      db.close();
    }),
    { numRuns: 30 },
  );
  removeDirectory(directory);
});

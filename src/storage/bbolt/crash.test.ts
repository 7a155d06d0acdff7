import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RecordedDisk } from "../../../test/support/recorded-disk.ts";
import { CorruptionError } from "../../base/corruption.ts";
import { BucketError } from "./bucket.ts";
import { checkDatabase } from "./check.ts";
import { BoltDb } from "./db.ts";
import type { Tx } from "./tx.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** Everything in a database, as text. */
function contents(db: BoltDb): string {
  const tx = db.begin(false);
  const lines: string[] = [];
  const names = tx.cursor();
  for (let more = names.first(); more; more = names.next()) {
    const name = Buffer.from(names.key).toString("latin1");
    const cursor = tx.bucket(names.key)?.cursor();
    // An element of the root that damage has made an ordinary pair.
    if (cursor === undefined) continue;
    for (let row = cursor.first(); row; row = cursor.next()) {
      lines.push(
        `${name}/${Buffer.from(cursor.key).toString("latin1")}=${Buffer.from(cursor.value).toString("latin1")}`,
      );
    }
  }
  tx.rollback();
  return lines.join("\n");
}

/** A transaction of puts and deletes that a number decides. */
function change(tx: Tx, round: number): void {
  const bucket = tx.root.createBucket(bytes(`b${round % 2}`));
  for (let index = 0; index < 40; index++) {
    const key = bytes(`key-${(round * 37 + index * 11) % 200}`);
    if ((round + index) % 3 === 0) bucket.delete(key);
    else bucket.put(key, bytes(`${round}-`.repeat(20 + (index % 60))));
  }
}

/** Runs `rounds` commits. @returns the states after each, and how many changes of the file each had made. */
async function record(
  disk: RecordedDisk,
  storeFreelist: boolean,
  rounds: number,
): Promise<{ state: string; changes: number }[]> {
  const db = BoltDb.open(disk, "db", { storeFreelist, pageSize: 1024, pageCacheBytes: 8_000 });
  const states = [{ state: "", changes: disk.file("db").changes.length }];
  for (let round = 0; round < rounds; round++) {
    const tx = db.begin(true);
    change(tx, round);
    await tx.commit();
    states.push({ state: contents(db), changes: disk.file("db").changes.length });
  }
  db.close();
  return states;
}

test.each([false, true])(
  "a crash after any disk operation leaves the old or the new state (free list stored: %s)",
  async (stored) => {
    const disk = new RecordedDisk();
    const states = await record(disk, stored, 12);
    const file = disk.file("db");
    let seed = 1;
    const random = (): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed / 2 ** 32;
    };
    const modes = [() => false, () => true, () => random() < 0.5, () => random() < 0.9, () => random() < 0.1];
    for (let count = 0; count <= file.changes.length; count++) {
      const durable = states.findLastIndex(({ changes }) => changes <= count);
      for (const [mode, keep] of modes.entries()) {
        const survivor = new RecordedDisk();
        survivor.add("db", file.afterCrash(count, keep));
        // A torn creation of the file itself: nothing was promised yet, so a refusal is as good as an empty database.
        const open = (): BoltDb => BoltDb.open(survivor, "db", { storeFreelist: stored, pageSize: 1024 });
        if (durable < 0) {
          try {
            open().close();
          } catch (error) {
            expect(error).toBeInstanceOf(CorruptionError);
          }
          continue;
        }
        const db = open();
        expect(checkDatabase(db), `after ${count} changes, mode ${mode}`).toEqual([]);
        expect([states[durable].state, states[durable + 1]?.state]).toContain(contents(db));
        // And it takes the next transaction.
        const tx = db.begin(true);
        change(tx, count);
        await tx.commit();
        expect(checkDatabase(db)).toEqual([]);
        db.close();
      }
    }
  },
);

test("a database with damaged bytes is served, or refused as corrupt, but never hangs or crashes us", async () => {
  const disk = new RecordedDisk();
  await record(disk, false, 12);
  const sound = disk.file("db").contents;
  const damage = fc.record({
    position: fc.nat(sound.length - 1),
    value: fc.nat(255),
    // Headers, elements and metas are where it hurts; values hardly matter.
    inHeader: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 6 }), fc.boolean(), async (damages, readOnly) => {
      const bad = new Uint8Array(sound);
      for (const { position, value, inHeader } of damages) {
        bad[inHeader ? position - (position % 1024) + (position % 64) : position] = value;
      }
      const survivor = new RecordedDisk();
      survivor.add("db", bad);
      try {
        const db = BoltDb.open(survivor, "db", { readOnly });
        contents(db);
        checkDatabase(db);
        if (readOnly) return;
        for (let round = 0; round < 3; round++) {
          const tx = db.begin(true);
          change(tx, round);
          await tx.commit();
        }
      } catch (error) {
        // A bucket whose flag was damaged is an ordinary key, with which a bucket cannot be created.
        if (!(error instanceof BucketError)) expect(error).toBeInstanceOf(CorruptionError);
      }
    }),
    { numRuns: 1500 },
  );
});

/** Brings a closed stage into the tree, in slices. */
import type { Bucket as TreeBucket } from "../bbolt/bucket.ts";
import type { Pace, Tx } from "../bbolt/tx.ts";
import { allBuckets, buckets } from "./bucket.ts";
import { encodeRowKey } from "./row-key.ts";
import type { RowColumns, Stage } from "./stage.ts";

/** Rows between two looks at the clock. */
const rowsPerStep = 64;
/** etcd fills pages of sequential rows so far: little is ever inserted between them. */
export const sequentialFill = 0.9;

export async function mergeStage(tx: Tx, stage: Stage, pace: Pace): Promise<void> {
  const tree = tx.root.createBucket(buckets.key.bytes);
  await deleteRows(tree, stage.deletes, pace);
  if (stage.puts.length > 0) {
    tree.fillPercent = sequentialFill;
    const first = encodeRowKey(stage.puts.mains[0], stage.puts.subs[0], stage.puts.tombstones[0] === 1);
    if (!stage.hasHoles && tree.canAppend(first)) await appendRows(tree, stage.puts, pace);
    else await putRows(tree, stage.puts, pace);
  }
  for (const bucket of allBuckets) {
    const pairs = stage.pairs(bucket);
    if (pairs === undefined) continue;
    const target = tx.root.createBucket(bucket.bytes);
    for (const { key, value } of pairs.values()) {
      if (value === undefined) target.delete(key);
      else target.put(key, value);
      if (pace.due()) await pace.turn();
    }
  }
}

async function deleteRows(tree: TreeBucket, rows: RowColumns, pace: Pace): Promise<void> {
  for (let index = 0; index < rows.length; index++) {
    tree.delete(encodeRowKey(rows.mains[index], rows.subs[index], rows.tombstones[index] === 1));
    if (index % rowsPerStep === 0 && pace.due()) await pace.turn();
  }
}

async function appendRows(tree: TreeBucket, rows: RowColumns, pace: Pace): Promise<void> {
  const appender = tree.appender(rows);
  for (let from = 0; from < rows.length; from += rowsPerStep * 4) {
    appender.append(from, Math.min(from + rowsPerStep * 4, rows.length));
    if (pace.due()) await pace.turn();
  }
}

/** Rows that do not simply come last, or that were deleted again. */
async function putRows(tree: TreeBucket, rows: RowColumns, pace: Pace): Promise<void> {
  for (let index = 0; index < rows.length; index++) {
    const key = encodeRowKey(rows.mains[index], rows.subs[index], rows.tombstones[index] === 1);
    const value = rows.values[index];
    if (value === undefined) tree.delete(key);
    else tree.put(key, value);
    if (index % rowsPerStep === 0 && pace.due()) await pace.turn();
  }
}

/** What a planted bug is, and what several of them use. */
import type { DiskFile } from "../../src/platform/disk.ts";
import { VirtualDisk } from "../../src/platform/virtual/index.ts";
import { Backend } from "../../src/storage/backend/backend.ts";
import { buckets } from "../../src/storage/backend/bucket.ts";
import { metaKeys } from "../../src/storage/backend/schema.ts";
import type { DrawOptions } from "../plan/draw.ts";
import type { FaultKind } from "../plan/plan.ts";
import { type Undo, wrap } from "../world/wrap.ts";

export type PlanHints = Pick<DrawOptions, "faults" | "flags" | "failpoints" | "pace">;

export interface Mutation {
  readonly what: string;
  plant(): Undo;
  /** How plans are drawn that bring it out often enough. */
  readonly hints?: PlanHints;
}

export const restarts: readonly FaultKind[] = ["powerFailure", "powerFailureAtWrite", "blackout", "kill"];
export const partitions: readonly FaultKind[] = ["isolate", "cut", "pause", "moveLeader", "kill"];

/** True every `period`-th time. */
export function every(period: number): () => boolean {
  let count = 0;
  return () => ++count % period === 0;
}

/** Changes files that members open, by their path. */
export function onFiles(path: RegExp, change: (file: DiskFile) => void): Undo {
  return wrap(VirtualDisk.prototype, "open", function (this: VirtualDisk, open, name, mode, permissions) {
    const file = open.call(this, name, mode, permissions);
    if (mode !== "read" && path.test(name)) change(file);
    return file;
  });
}

/** The database claims to hold the entries up to another one than it does. */
export function onConsistentIndex(change: (index: bigint) => bigint): Undo {
  return wrap(Backend.prototype, "put", function (this: Backend, put, bucket, key, value) {
    if (bucket !== buckets.meta || Buffer.compare(key, metaKeys.consistentIndex) !== 0) {
      put.call(this, bucket, key, value);
      return;
    }
    const other = Buffer.alloc(8);
    other.writeBigUInt64BE(change(Buffer.from(value).readBigUInt64BE()));
    put.call(this, bucket, key, other);
  });
}

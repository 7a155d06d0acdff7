/** What a planted bug is, and what several of them use. */
import type { DiskFile } from "../../src/platform/disk.ts";
import { VirtualDisk } from "../../src/platform/virtual/index.ts";
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

/**
 * Builds the index from the rows, in one pass in revision order, and attaches keys to their leases: at start all at once,
 * and in steps over the database of a snapshot, beside the state that is still in use.
 * Source: etcd server/storage/mvcc/kvstore.go (restore).
 */
import type { Steps } from "../base/steps.ts";
import type { BackendReader, RowPosition, RowVisitor } from "../storage/backend/bucket.ts";
import { readFinishedCompact, readScheduledCompact } from "../storage/backend/schema.ts";
import type { Core } from "./core.ts";
import type { LeaseBook } from "./lease-book.ts";

/** Leases attached between two yields. */
const attachedPerStep = 5_000;

export interface RestoreSource {
  /** The database; the core's own, or one that will become it. */
  readonly rows: BackendReader;
  /** Where keys are attached: the core's leases, or those that will become them. */
  readonly leases: Pick<LeaseBook, "attach">;
  /** Rows read between two yields. Infinity reads all of them in the first step, with long sequential reads. */
  readonly rowsPerStep: number;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/**
 * Sets current and compact revision of `core`.
 *
 * @returns the revision of a compaction to run again, or 0.
 */
export function* restore(core: Core, source: RestoreSource): Steps<number> {
  const { rows, leases, warn } = source;
  const { index } = core;
  const finished = readFinishedCompact(rows) ?? -1;
  const scheduled = readScheduledCompact(rows) ?? 0;
  index.beginLoad();
  const { newest, leased } = yield* loadRows(core, source);
  yield* index.endLoad();
  core.compactRevision = finished;
  // Rows up to the compact revision may all be gone, and then even the newest revision ever given out has none.
  core.currentRevision = Math.max(newest, finished, scheduled);
  let attached = 0;
  for (const [slot, lease] of leased) {
    if (!leases.attach(lease, slot)) warn("failed to attach a lease", { "lease-id": lease.toString(16) });
    if (++attached % attachedPerStep === 0) yield;
  }
  return scheduled > finished ? scheduled : 0;
}

interface Loaded {
  readonly newest: number;
  /** Slot → lease of its newest row, for keys that name one. */
  readonly leased: ReadonlyMap<number, bigint>;
}

function* loadRows({ index, pair: reader }: Core, { rows, rowsPerStep }: RestoreSource): Steps<Loaded> {
  const leased = new Map<number, bigint>();
  let next: RowPosition | undefined = { main: 1, sub: 0 };
  let newest = 1;
  while (next !== undefined) {
    const from: RowPosition = next;
    next = undefined;
    let left = rowsPerStep;
    const visit: RowVisitor = (main, sub, isTombstone, value) => {
      if (left-- === 0) {
        next = { main, sub };
        return false;
      }
      const pair = reader.read(value);
      const slot = index.load(pair.key, main, sub, isTombstone, pair.createRevision, pair.version, pair.hasLease);
      if (pair.hasLease) leased.set(slot, pair.lease);
      else if (leased.size > 0) leased.delete(slot);
      newest = main;
      return true;
    };
    rows.scanRows(from, undefined, visit, true);
    yield;
  }
  return { newest, leased };
}

/**
 * Builds the index from the rows at start, in one pass in revision order, and attaches keys to their leases.
 * Source: etcd server/storage/mvcc/kvstore.go (restore).
 */
import { readFinishedCompact, readScheduledCompact } from "../storage/backend/schema.ts";
import type { Core } from "./core.ts";

/**
 * Sets current and compact revision of `core`.
 *
 * @returns the revision of a compaction to run again, or 0.
 */
export function restore(core: Core, warn: (message: string, fields: Record<string, unknown>) => void): number {
  const { rows, index } = core;
  const finished = readFinishedCompact(rows) ?? -1;
  const scheduled = readScheduledCompact(rows) ?? 0;
  /** Slot → lease of its newest row, for keys that name one. */
  const leased = new Map<number, bigint>();
  let newest = 1;
  index.beginLoad();
  rows.scanRows({ main: 1, sub: 0 }, undefined, (main, sub, isTombstone, value) => {
    const pair = core.pair.read(value);
    const slot = index.load(pair.key, main, sub, isTombstone, pair.createRevision, pair.version, pair.hasLease);
    if (pair.hasLease) leased.set(slot, pair.lease);
    else if (leased.size > 0) leased.delete(slot);
    newest = main;
    return true;
  });
  index.endLoad();
  core.compactRevision = finished;
  // Rows up to the compact revision may all be gone, and then even the newest revision ever given out has none.
  core.currentRevision = Math.max(newest, finished, scheduled);
  for (const [slot, lease] of leased) {
    if (!core.leases.attach(lease, slot)) warn("failed to attach a lease", { "lease-id": lease.toString(16) });
  }
  return scheduled > finished ? scheduled : 0;
}

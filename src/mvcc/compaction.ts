/**
 * Compactions, one after the other, in slices.
 *
 * Ordering one makes old revisions unreadable at once and writes `scheduledCompactRev` durably; the rest may be cut by a
 * crash anywhere and is repeated at the next start. A job first compacts the index slot by slot, then walks the rows up
 * to its revision in batches, deletes those the index does not keep (hashing all on the way, see hash.ts), and with the
 * last batch writes `finishedCompactRev`. Source: etcd server/storage/mvcc/{kvstore,kvstore_compaction}.go.
 */
import { unreachable } from "../base/assert.ts";
import { EtcdError } from "../wire/errors.ts";
import {
  readFinishedCompact,
  readScheduledCompact,
  writeFinishedCompact,
  writeScheduledCompact,
} from "../storage/backend/schema.ts";
import type { RowPosition } from "../storage/backend/bucket.ts";
import type { Core } from "./core.ts";
import { type CompactionHashes, RowHasher } from "./hash.ts";
import { PairReader } from "./stored-pair.ts";

/** What to do after a step of background work. */
export type StepResult =
  /** Nothing to do, or an open reader must go first: wait for `onWork`. */
  | "idle"
  /** A slice is done: call again in a later turn of the loop. */
  | "more"
  /** A batch is done and its commit requested: call again after the pause between batches (`--compaction-sleep-interval`). */
  | "pause";

interface Job {
  readonly revision: number;
  readonly previousRevision: number;
  /** Only then does the hash cover everything since the compaction before. */
  readonly previousWasFinished: boolean;
  readonly whenDone: (() => void) | undefined;
}

/** Moving one slab of keys costs as much as looking at this many slots. */
const unitsPerSlab = 512;

export class Compaction {
  readonly #core: Core;
  readonly #hashes: CompactionHashes;
  readonly #batchRows: number;
  readonly #queue: Job[] = [];
  readonly #pair = new PairReader();
  #phase: "waiting" | "index" | "slabs" | "rows" = "waiting";
  #nextSlot = 0;
  #slabsLeft = 0;
  #keepsAnything = false;
  #nextRow: RowPosition = { main: 0, sub: 0 };
  #batchLeft = 0;
  #hasher = new RowHasher();

  constructor(core: Core, hashes: CompactionHashes, batchRows: number) {
    this.#core = core;
    this.#hashes = hashes;
    this.#batchRows = batchRows;
  }

  get pendingCount(): number {
    return this.#queue.length;
  }

  /** True while the next slice looks at keys in memory, false when it looks at rows. */
  get isInIndex(): boolean {
    return this.#phase !== "rows";
  }

  /** The database was replaced: nobody shall wait for what does not go on here. */
  abandon(): void {
    for (const { whenDone } of this.#queue.splice(0)) whenDone?.();
  }

  /** See `Store.compact`. */
  order(revision: number, whenDone: (() => void) | undefined): void {
    const core = this.#core;
    if (revision <= core.compactRevision) throw new EtcdError("compacted");
    if (revision > core.currentRevision) throw new EtcdError("futureRevision");
    const previousWasFinished = readScheduledCompact(core.rows) === readFinishedCompact(core.rows);
    this.#queue.push({ revision, previousRevision: core.compactRevision, previousWasFinished, whenDone });
    core.compactRevision = revision;
    writeScheduledCompact(core.rows, revision);
    core.failpoints.compactBeforeCommitScheduledCompact?.hit();
    core.commit(() => core.failpoints.compactAfterCommitScheduledCompact?.hit());
    core.onWork?.();
  }

  /** See `Store.stepCompaction`. */
  step(maxUnits: number): StepResult {
    const job = this.#queue[0];
    if (job === undefined) return "idle";
    switch (this.#phase) {
      case "waiting":
        if (this.#core.indexReaders.some((revision) => revision < job.revision)) return "idle";
        this.#start();
        return "more";
      case "index":
        this.#stepIndex(job, maxUnits);
        return "more";
      case "slabs":
        this.#stepSlabs(maxUnits);
        return "more";
      case "rows":
        return this.#stepRows(job, maxUnits);
      default:
        return unreachable(this.#phase);
    }
  }

  #start(): void {
    this.#phase = "index";
    this.#nextSlot = 0;
    this.#keepsAnything = false;
    this.#nextRow = { main: 0, sub: 0 };
    this.#batchLeft = this.#batchRows;
    this.#hasher = new RowHasher();
  }

  /** By slot and not in key order: slots do not move when keys are added meanwhile, and new ones need no look. */
  #stepIndex(job: Job, maxUnits: number): void {
    const { index } = this.#core;
    const end = Math.min(this.#nextSlot + maxUnits, index.slotCount);
    for (; this.#nextSlot < end; this.#nextSlot++) {
      if (index.compactSlot(this.#nextSlot, job.revision)) this.#keepsAnything = true;
    }
    if (end < index.slotCount) return;
    this.#slabsLeft = index.slabCount;
    this.#phase = "slabs";
  }

  #stepSlabs(maxUnits: number): void {
    for (let units = 0; units < maxUnits && this.#slabsLeft > 0; units += unitsPerSlab) {
      this.#core.index.evacuateSlab();
      this.#slabsLeft--;
    }
    if (this.#slabsLeft === 0) this.#phase = "rows";
  }

  #stepRows(job: Job, maxUnits: number): StepResult {
    const { rows } = this.#core;
    const most = Math.min(maxUnits, this.#batchLeft);
    const dropped: { main: number; sub: number; isTombstone: boolean }[] = [];
    let looked = 0;
    let last = 0;
    let lastSub = 0;
    rows.scanRows(this.#nextRow, { main: job.revision + 1, sub: 0 }, (main, sub, isTombstone, value) => {
      if (looked === most) return false;
      looked++;
      last = main;
      lastSub = sub;
      const isKept = this.#isKept(main, sub, value);
      if (!isKept) dropped.push({ main, sub, isTombstone });
      if (this.#counts(job, main, isTombstone, isKept)) this.#hasher.add(main, sub, isTombstone, value);
      return true;
    });
    for (const { main, sub, isTombstone } of dropped) rows.deleteRow(main, sub, isTombstone);
    this.#core.counters.compactedRows += dropped.length;
    if (looked < most) {
      this.#finish(job);
      return this.#queue.length > 0 ? "more" : "idle";
    }
    this.#nextRow = { main: last, sub: lastSub + 1 };
    this.#batchLeft -= looked;
    if (this.#batchLeft > 0) return "more";
    this.#batchLeft = this.#batchRows;
    const { failpoints } = this.#core;
    failpoints.compactBeforeCommitBatch?.hit();
    this.#core.commit(() => failpoints.compactAfterCommitBatch?.hit());
    return "pause";
  }

  /** The index is compacted: what it keeps of a key at or below the revision is the oldest it has. */
  #isKept(main: number, sub: number, value: Uint8Array): boolean {
    const { index } = this.#core;
    const slot = index.find(this.#pair.read(value).key);
    return slot >= 0 && index.isOldest(slot, main, sub);
  }

  #counts(job: Job, main: number, isTombstone: boolean, isKept: boolean): boolean {
    if (isTombstone && main === job.previousRevision) return false;
    return main > job.previousRevision || isKept || !this.#keepsAnything;
  }

  #finish(job: Job): void {
    const { rows, failpoints } = this.#core;
    failpoints.compactBeforeSetFinishedCompact?.hit();
    writeFinishedCompact(rows, job.revision);
    failpoints.compactAfterSetFinishedCompact?.hit();
    if (job.previousWasFinished) {
      const { revision, previousRevision } = job;
      this.#hashes.remember({ hash: this.#hasher.sum, revision, compactRevision: previousRevision });
    }
    this.#queue.shift();
    this.#phase = "waiting";
    this.#core.onCompacted?.(job.revision);
    const { whenDone } = job;
    if (whenDone !== undefined) this.#core.commit(whenDone);
  }
}

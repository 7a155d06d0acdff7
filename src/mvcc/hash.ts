/**
 * HashKV: CRC-32C over the bucket name `key` and the rows (row key, then value) that are visible at a revision, whatever
 * the progress of a compaction, so that members can be compared. etcd server/storage/mvcc/hash.go; the rules:
 *
 *   - rows above the hashed revision do not count;
 *   - rows at or below the compact revision count only when they are kept: the revision of a key that holds at the
 *     hashed revision (unless nothing is kept at all: then every row counts);
 *   - a tombstone exactly at the compact revision does not count, because etcd before 3.5.16 deleted it.
 *
 * A compaction hashes on its way (rule two with what it keeps); the last ten of those hashes are remembered and answer
 * for exactly those revisions.
 */
import { assert } from "../base/assert.ts";
import { updateCrc32c } from "../base/crc32c.ts";
import type { PinnedView, RowPosition } from "../storage/backend/bucket.ts";
import { tombstoneKeySize, rowKeySize, writeRowKey } from "../storage/backend/row-key.ts";
import type { Core } from "./core.ts";
import { PairReader } from "./stored-pair.ts";

export interface KeyValueHash {
  readonly hash: number;
  readonly revision: number;
  /** -1 when nothing was ever compacted. */
  readonly compactRevision: number;
}

/** Hashes of compactions kept, as etcd does. */
const rememberedMax = 10;
/** A step that has looked at this much ends; a millisecond or two. */
const stepBytesMax = 1 << 20;
const bucketName = new Uint8Array(Buffer.from("key", "latin1"));

/** Feeds rows that count; deciding which do is the caller's part. */
export class RowHasher {
  readonly #rowKey = new Uint8Array(tombstoneKeySize);
  readonly #row = this.#rowKey.subarray(0, rowKeySize);
  #sum = updateCrc32c(0, bucketName);

  get sum(): number {
    return this.#sum;
  }

  add(main: number, sub: number, isTombstone: boolean, value: Uint8Array): void {
    writeRowKey(this.#rowKey, 0, main, sub, isTombstone);
    this.#sum = updateCrc32c(updateCrc32c(this.#sum, isTombstone ? this.#rowKey : this.#row), value);
  }
}

/** Hashes remembered from compactions, oldest revision first. */
export class CompactionHashes {
  #hashes: KeyValueHash[] = [];

  get all(): readonly KeyValueHash[] {
    return this.#hashes;
  }

  find(revision: number): KeyValueHash | undefined {
    return this.#hashes.find((hash) => hash.revision === revision);
  }

  remember(hash: KeyValueHash): void {
    this.#hashes.push(hash);
    this.#hashes.sort((a, b) => a.revision - b.revision);
    this.#hashes = this.#hashes.slice(-rememberedMax);
  }
}

/** HashKV in slices, over the state at its start. */
export class HashJob {
  readonly #core: Core;
  readonly #revision: number;
  readonly #compactRevision: number;
  readonly #hasher = new RowHasher();
  readonly #pair = new PairReader();
  readonly #keepsNothing: boolean;
  #view: PinnedView | undefined;
  #next: RowPosition = { main: 0, sub: 0 };
  #result: KeyValueHash | undefined;

  /** @param known - a remembered hash: the job is done at once. @throws {EtcdError} `compacted`, `futureRevision`. */
  constructor(core: Core, revision: number, known: KeyValueHash | undefined) {
    this.#core = core;
    this.#compactRevision = core.compactRevision;
    this.#result = known;
    // A negative revision (only 0 means now) is accepted by etcd, and lies below every row.
    this.#revision =
      known?.revision ?? (revision < 0 ? revision : core.readableRevision(revision, core.currentRevision));
    this.#keepsNothing = known === undefined && !core.ranges.hasAnyAt(this.#revision);
    if (known !== undefined) return;
    this.#view = core.rows.pin();
    core.addIndexReader(this.#revision);
  }

  /** Only after {@link step} has returned true. */
  get result(): KeyValueHash {
    assert(this.#result !== undefined, "hash asked for before it is done");
    return this.#result;
  }

  /** Looks at up to `maxRows` more rows, fewer when they are big; true when the hash is known. */
  step(maxRows: number): boolean {
    if (this.#result !== undefined) return true;
    assert(this.#view !== undefined, "step of a closed hash job");
    let looked = 0;
    let bytes = 0;
    let stopped = false;
    this.#view.scanRows(this.#next, { main: this.#revision + 1, sub: 0 }, (main, sub, isTombstone, value) => {
      if (looked === maxRows || bytes >= stepBytesMax) {
        this.#next = { main, sub };
        stopped = true;
        return false;
      }
      looked++;
      bytes += value.length;
      if (this.#counts(main, sub, isTombstone, value)) this.#hasher.add(main, sub, isTombstone, value);
      return true;
    });
    if (stopped) return false;
    this.#result = { hash: this.#hasher.sum, revision: this.#revision, compactRevision: this.#compactRevision };
    this.close();
    return true;
  }

  /** Releases what the job pins. Idempotent; a {@link step} that returned true has done it. */
  close(): void {
    if (this.#view === undefined) return;
    this.#view.release();
    this.#view = undefined;
    this.#core.removeIndexReader(this.#revision);
  }

  #counts(main: number, sub: number, isTombstone: boolean, value: Uint8Array): boolean {
    if (main > this.#compactRevision) return true;
    if (isTombstone && main === this.#compactRevision) return false;
    if (this.#keepsNothing) return true;
    if (isTombstone) return false;
    const { index } = this.#core;
    const slot = index.find(this.#pair.read(value).key);
    if (slot < 0 || !index.findAt(slot, this.#revision)) return false;
    return index.foundMain === main && index.foundSub === sub;
  }
}

/** UNDER CONSTRUCTION: signatures first, so that the layers above compile. */
import { InvariantError } from "../../base/assert.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import type { BackendReader, Bucket, PairVisitor, PinnedView, RowPosition, RowVisitor } from "./bucket.ts";

export interface BackendOptions {
  /** A commit starts at latest this long after a write. Default 100. */
  readonly batchIntervalMs?: number;
  /** A commit starts (in the next turn) when so many operations wait. Default 10,000. */
  readonly batchLimit?: number;
  /** Most bytes of database pages kept in memory. Default 64 MiB. */
  readonly pageCacheBytes?: number;
  /** From so many buffered bytes on, `overloaded` is true. Default 64 MiB. */
  readonly bufferBytesMax?: number;
  /** `--unsafe-no-fsync`. */
  readonly noSync?: boolean;
  /** Opens without lock, writing nothing: for tools. */
  readonly readOnly?: boolean;
  /** A write or sync failed: what was not durable may never be. The process must stop. */
  readonly onFatal?: (error: Error) => void;
}

/** A consistent image of the database file, as `Maintenance.Snapshot` sends it. */
export interface SnapshotImage {
  /** A multiple of the page size. */
  readonly size: number;
  /** Fills `target` from `position`; returns the count, short only at the end. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Releases the pinned pages. Idempotent. */
  close(): void;
}

export class Backend implements BackendReader {
  /** Opens or creates `path`. Waits for ever while another process holds its lock, as etcd does. @throws {CorruptionError} */
  static open(
    _disk: Disk,
    _clock: Clock,
    _log: Logger,
    _path: string,
    _options: BackendOptions = {},
  ): Promise<Backend> {
    throw new InvariantError("under construction");
  }

  /** Appends one row. `value` belongs to the backend from now on. Rows normally come in ascending order (fast path). */
  putRow(_main: number, _sub: number, _tombstone: boolean, _value: Uint8Array): void {
    throw new InvariantError("under construction");
  }
  deleteRow(_main: number, _sub: number, _tombstone: boolean): void {
    throw new InvariantError("under construction");
  }
  /** `key` and `value` belong to the backend from now on. */
  put(_bucket: Bucket, _key: Uint8Array, _value: Uint8Array): void {
    throw new InvariantError("under construction");
  }
  delete(_bucket: Bucket, _key: Uint8Array): void {
    throw new InvariantError("under construction");
  }
  getRow(_main: number, _sub: number, _tombstone?: boolean): Uint8Array | undefined {
    throw new InvariantError("under construction");
  }
  scanRows(_from: RowPosition, _to: RowPosition | undefined, _visit: RowVisitor): void {
    throw new InvariantError("under construction");
  }
  lastRow(): RowPosition | undefined {
    throw new InvariantError("under construction");
  }
  get(_bucket: Bucket, _key: Uint8Array): Uint8Array | undefined {
    throw new InvariantError("under construction");
  }
  range(_bucket: Bucket, _start: Uint8Array, _end: Uint8Array | undefined, _limit: number, _visit: PairVisitor): void {
    throw new InvariantError("under construction");
  }
  /**
   * Called right before a batch is closed, in a turn of its own or inside `commit()`: never between the writes of one
   * synchronous piece of work. It writes consistent_index, term and confState with `put`.
   */
  setPreCommitHook(_hook: () => void): void {
    throw new InvariantError("under construction");
  }
  /**
   * Closes the batch at once (synchronously) and resolves when everything written so far is durable. Nothing to write =
   * resolves without a commit. Call it between entries, not in the middle of one.
   */
  commit(): Promise<void> {
    throw new InvariantError("under construction");
  }
  /** Exactly the state now, buffered writes included. Cheap (no copy). */
  pin(): PinnedView {
    throw new InvariantError("under construction");
  }
  /** Bytes of the database (high water mark), as etcd's `dbSize`. */
  get size(): number {
    throw new InvariantError("under construction");
  }
  /** `size` without free pages, as etcd's `dbSizeInUse`. */
  get sizeInUse(): number {
    throw new InvariantError("under construction");
  }
  /** Pinned views, snapshots and other open readers. */
  get openReaders(): number {
    throw new InvariantError("under construction");
  }
  /** Commits done since the start. */
  get commits(): number {
    throw new InvariantError("under construction");
  }
  /** Bytes written and not yet durable. */
  get bufferedBytes(): number {
    throw new InvariantError("under construction");
  }
  /** The disk does not follow: stop accepting proposals until `drained`. */
  get overloaded(): boolean {
    throw new InvariantError("under construction");
  }
  /** Resolves when no longer overloaded. */
  drained(): Promise<void> {
    throw new InvariantError("under construction");
  }
  /** CRC-32C over all buckets after a commit, without the pairs that `ignore` names (etcd's `Hash`). Sliced. */
  hash(_ignore: (bucket: string, key: Uint8Array) => boolean): Promise<number> {
    throw new InvariantError("under construction");
  }
  /** Commits, then pins the file for copying. Writes go on meanwhile. */
  snapshot(): Promise<SnapshotImage> {
    throw new InvariantError("under construction");
  }
  /** Copies everything into a new, dense file and takes it into use. Writes go on into the buffer meanwhile. */
  defragment(): Promise<void> {
    throw new InvariantError("under construction");
  }
  /** Commits what is buffered and closes the file. */
  close(): Promise<void> {
    throw new InvariantError("under construction");
  }
}

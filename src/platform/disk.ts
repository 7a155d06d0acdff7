/**
 * Files. Synchronous calls are for start-up, command lines and reads that a measurement justifies (a `readSync` at a
 * known offset costs 1-2 µs, an asynchronous read about 10); everything that waits for the device is asynchronous.
 *
 * Durability contract, which the virtual disk enforces: written bytes survive a crash only after `datasync`/`sync` of
 * that file resolved; a created, renamed or removed name only after `syncDirectory` of its parent resolved.
 */
export interface Disk {
  /** Opens a file. @throws {DiskError} with the system's code (`ENOENT`, `EACCES`, `ENOSPC`, ...). */
  open(path: string, mode: OpenMode, permissions?: number): DiskFile;
  exists(path: string): boolean;
  stat(path: string): FileStatus;
  /** Names in a directory, sorted. */
  list(path: string): string[];
  /** Creates a directory and its missing parents, each with `permissions` (default 0o700, as etcd). */
  makeDirectory(path: string, permissions?: number): void;
  rename(from: string, to: string): void;
  /** Removes a file; `recursive` also a directory tree. */
  remove(path: string, options?: { recursive?: boolean }): void;
  syncDirectory(path: string): Promise<void>;
  syncDirectorySync(path: string): void;
}

/** `read`: existing, read only. `write`: existing, read and write. `create`: read and write, created when missing. `createNew`: fails with `EEXIST`. */
export type OpenMode = "read" | "write" | "create" | "createNew";

export interface FileStatus {
  readonly size: number;
  readonly isDirectory: boolean;
  /** Permission bits, such as 0o600. */
  readonly permissions: number;
  readonly modifiedMs: number;
}

export interface DiskFile {
  readonly path: string;
  size(): number;
  /** Reads up to `target.length` bytes at `position`; returns the count, short only at the end of the file. */
  readSync(target: Uint8Array, position: number): number;
  read(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `source` at `position`. The bytes belong to the disk until the promise settles. */
  write(source: Uint8Array, position: number): Promise<void>;
  /** Writes all of `sources` one after the other at `position` (one `writev`). */
  writeMany(sources: readonly Uint8Array[], position: number): Promise<void>;
  writeSync(source: Uint8Array, position: number): void;
  /** fdatasync: contents and the size needed to read them. */
  datasync(): Promise<void>;
  datasyncSync(): void;
  /**
   * `write`, `zeros` bytes of zero behind it, and `datasync`, in one go, where the system has a way that is shorter than one
   * after the other.
   *
   * @returns undefined when there is none now: nothing was done then. Otherwise as {@link write}.
   */
  writeDurably?(source: Uint8Array, position: number, zeros: number): Promise<DurableWrite> | undefined;
  /** fsync. */
  sync(): Promise<void>;
  syncSync(): void;
  truncate(size: number): void;
  /** Takes an exclusive advisory lock (flock) without waiting; false when another process holds it. Released by `close`. */
  tryLock(): boolean;
  close(): void;
  /** As `close`, without waiting for the system: for a file without a name, whose blocks are given back now. */
  release(): void;
}

/** What a {@link DiskFile.writeDurably} took. */
export interface DurableWrite {
  readonly writeMs: number;
  readonly syncMs: number;
}

/** An operating-system error of a disk call; `code` is the system's (`ENOSPC`, `EIO`, ...). */
export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly code: string;
  readonly path: string;
  constructor(code: string, path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

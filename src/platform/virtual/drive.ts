/**
 * A virtual drive: what is on it now, and what would be left after a power failure.
 *
 * ```text
 * file:       durable contents  +  changes since (writes, cuts)  =  current contents
 * directory:  durable names     +  changes since (sets of names) =  current names
 * ```
 *
 * A sync of a file makes the changes durable that were made before it began; a sync of a directory its names. At a
 * crash the seed decides, for every change not synced, what is left of it: of a write any set of its 512-byte sectors, in
 * any order; of cuts and of names a prefix, as a journaling file system keeps their order. That is the contract of
 * `Disk` and no more: a file system may keep more, so code that survives here survives there.
 */
import { posix } from "node:path";
import { assert } from "../../base/assert.ts";
import { DiskError } from "../disk.ts";
import { Contents } from "./contents.ts";
import { SeededRandom } from "./random.ts";

const SECTOR_SIZE = 512;

type FileChange =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number };

/** Names set (or removed) together. */
type NameChange = ReadonlyMap<string, Inode | undefined>;

export class FileInode {
  readonly kind = "file";
  current = new Contents();
  durable = new Contents();
  pending: FileChange[] = [];
  /** Changes made durable since the file was made; with `pending.length` it tells which changes a sync covers. */
  committed = 0;
  permissions: number;
  modifiedMs = 0;
  lock: object | undefined;

  constructor(permissions: number) {
    this.permissions = permissions;
  }

  write(bytes: Uint8Array, position: number): void {
    this.current.write(bytes, position);
    this.pending.push({ kind: "write", position, bytes: new Uint8Array(bytes) });
  }

  truncate(size: number): void {
    this.current.truncate(size);
    this.pending.push({ kind: "truncate", size });
  }

  /** Makes every change up to number `end` (from the beginning) durable; an overlapping sync may have done so already. */
  commitTo(end: number): void {
    const changes = this.pending.splice(0, Math.max(0, end - this.committed));
    this.committed += changes.length;
    for (const change of changes) {
      if (change.kind === "write") this.durable.write(change.bytes, change.position);
      else this.durable.truncate(change.size);
    }
  }

  /** The power fails: loses what the seed says. */
  crash(random: SeededRandom): void {
    const fate = random.below(3); // all lost, all kept, or each sector on its own
    const cuts = this.pending.filter((change) => change.kind === "truncate").length;
    let cutsLeft = fate === 0 ? 0 : fate === 1 ? cuts : random.below(cuts + 1);
    for (const change of this.pending) {
      if (change.kind === "truncate") {
        if (cutsLeft > 0) this.durable.truncate(change.size);
        cutsLeft -= 1;
      } else if (fate === 1) this.durable.write(change.bytes, change.position);
      else if (fate === 2) this.#writeSectors(change.bytes, change.position, random);
    }
    this.pending = [];
    this.current = this.durable;
    this.durable = this.current.clone();
    this.lock = undefined;
  }

  #writeSectors(bytes: Uint8Array, position: number, random: SeededRandom): void {
    for (let start = 0; start < bytes.length;) {
      const end = Math.min(bytes.length, start + SECTOR_SIZE - ((position + start) % SECTOR_SIZE));
      if (random.below(2) === 1) this.durable.write(bytes.subarray(start, end), position + start);
      start = end;
    }
  }
}

export class DirectoryInode {
  readonly kind = "directory";
  readonly current = new Map<string, Inode>();
  readonly durable = new Map<string, Inode>();
  pending: NameChange[] = [];
  committed = 0;
  permissions: number;
  modifiedMs = 0;
  lock: object | undefined;

  constructor(permissions: number) {
    this.permissions = permissions;
  }

  change(names: NameChange): void {
    apply(this.current, names);
    this.pending.push(names);
  }

  commitTo(end: number): void {
    const changes = this.pending.splice(0, Math.max(0, end - this.committed));
    this.committed += changes.length;
    for (const names of changes) apply(this.durable, names);
  }

  crash(random: SeededRandom): void {
    this.commitTo(this.committed + random.below(this.pending.length + 1));
    this.pending = [];
    this.current.clear();
    for (const [name, inode] of this.durable) {
      this.current.set(name, inode);
      inode.crash(random);
    }
    this.lock = undefined;
  }
}

export type Inode = FileInode | DirectoryInode;

function apply(target: Map<string, Inode>, names: NameChange): void {
  for (const [name, inode] of names) {
    if (inode === undefined) target.delete(name);
    else target.set(name, inode);
  }
}

export interface DriveOptions {
  /** Decides what a crash leaves. */
  readonly seed: number;
  /** Bytes that fit; unlimited when left out. */
  readonly capacity?: number;
}

/** What is counted as an operation: everything that changes the drive or makes it durable. */
export type Operation =
  | "create"
  | "write"
  | "truncate"
  | "sync"
  | "rename"
  | "remove"
  | "makeDirectory"
  | "syncDirectory";

/** Thrown from a synchronous call at and after the moment of a crash: the process it runs in is dead. */
export class CrashedError extends Error {
  override readonly name = "CrashedError";
}

export class VirtualDrive {
  /** Bytes that fit from now on. */
  capacity: number;
  /** Operations begun since the drive was made. */
  operationCount = 0;
  /** Counts the crashes; a mount of an earlier life is dead. */
  life = 0;
  /** Called before each operation; throws a {@link DiskError} to let it fail. */
  fault: ((operation: Operation, path: string) => void) | undefined;
  readonly root = new DirectoryInode(0o755);
  readonly #random: SeededRandom;
  #crashAt = Infinity;
  #onCrash: (() => void) | undefined;

  constructor({ seed, capacity = Infinity }: DriveOptions) {
    this.#random = new SeededRandom(seed);
    this.capacity = capacity;
  }

  /** Crashes right after the operation number `operation` (from 1) has been handed to the drive, before it is answered. */
  crashAt(operation: number, onCrash: () => void): void {
    this.#crashAt = operation;
    this.#onCrash = onCrash;
  }

  /** The power fails now. Mounts made before are dead; mount again to look at what is left. */
  crash(): void {
    this.life += 1;
    this.#crashAt = Infinity;
    this.root.crash(this.#random);
    const onCrash = this.#onCrash;
    this.#onCrash = undefined;
    onCrash?.();
  }

  /** The process ends, the machine does not: its mounts are dead, its locks free, and everything written is there. */
  killProcess(): void {
    this.life += 1;
    this.#crashAt = Infinity;
    this.#onCrash = undefined;
    unlock(this.root);
  }

  /**
   * Carries out the change of one operation. When it is the one to crash at, the change is made (so that the crash may
   * keep or lose it), the power fails, and this throws.
   */
  perform(operation: Operation, path: string, change: () => void): void {
    this.fault?.(operation, path);
    this.operationCount += 1;
    change();
    if (this.operationCount < this.#crashAt) return;
    this.crash();
    throw new CrashedError(`power failed at operation ${this.operationCount}, ${operation} ${path}`);
  }

  /** Bytes in use, in whole pages. */
  get allocated(): number {
    return allocatedBelow(this.root);
  }

  /** @throws {DiskError} `ENOSPC` when `bytes` more do not fit. */
  reserve(path: string, bytes: number): void {
    if (bytes === 0 || this.capacity === Infinity) return;
    if (this.allocated + bytes > this.capacity) {
      throw new DiskError("ENOSPC", path, `ENOSPC: no space left on device, write '${path}'`);
    }
  }

  find(path: string): Inode | undefined {
    let inode: Inode | undefined = this.root;
    for (const name of partsOf(path)) {
      if (inode?.kind !== "directory") return undefined;
      inode = inode.current.get(name);
    }
    return inode;
  }

  /** The directory that holds the last name of `path`. @throws {DiskError} `ENOENT`. */
  parent(path: string): { directory: DirectoryInode; name: string } {
    const directory = this.find(posix.dirname(posix.resolve("/", path)));
    if (directory?.kind !== "directory") throw new DiskError("ENOENT", path, `ENOENT: no such directory, '${path}'`);
    const name = posix.basename(posix.resolve("/", path));
    assert(name !== "", "the root has no name");
    return { directory, name };
  }
}

export function partsOf(path: string): string[] {
  return posix
    .resolve("/", path)
    .split("/")
    .filter((part) => part !== "");
}

function unlock(directory: DirectoryInode): void {
  directory.lock = undefined;
  for (const inode of directory.current.values()) {
    if (inode.kind === "directory") unlock(inode);
    else inode.lock = undefined;
  }
}

function allocatedBelow(directory: DirectoryInode): number {
  let bytes = 0;
  for (const inode of directory.current.values()) {
    bytes += inode.kind === "file" ? inode.current.allocated : allocatedBelow(inode);
  }
  return bytes;
}

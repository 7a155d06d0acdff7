/**
 * A disk in memory that remembers every change of a file, so that a test can build what a crash would have left at any
 * moment: all that was synced, and any part of what was not (sectors of 512 bytes, in any combination).
 */
import { type Disk, DiskError, type DiskFile, type FileStatus, type OpenMode } from "../../src/platform/disk.ts";

type Change =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number }
  | { readonly kind: "sync" };

const sectorSize = 512;

export class RecordedDisk implements Disk {
  readonly #files = new Map<string, RecordedFile>();

  /** Adds a file with these contents. */
  add(path: string, contents: Uint8Array): void {
    const file = new RecordedFile(path);
    file.contents = contents;
    this.#files.set(path, file);
  }

  file(path: string): RecordedFile {
    const file = this.#files.get(path);
    if (file === undefined) throw new DiskError("ENOENT", path, "no such file");
    return file;
  }

  open(path: string, mode: OpenMode): DiskFile {
    if (!this.#files.has(path) && (mode === "create" || mode === "createNew")) {
      this.#files.set(path, new RecordedFile(path));
    }
    return this.file(path);
  }

  exists(path: string): boolean {
    return this.#files.has(path);
  }

  stat(path: string): FileStatus {
    return { size: this.file(path).size(), isDirectory: false, permissions: 0o600, modifiedMs: 0 };
  }

  list(): string[] {
    return [...this.#files.keys()].sort();
  }

  makeDirectory(): void {
    // There are only names.
  }

  rename(from: string, to: string): void {
    this.#files.set(to, this.file(from));
    this.#files.delete(from);
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  syncDirectory(): Promise<void> {
    return Promise.resolve();
  }

  syncDirectorySync(): void {
    // Names are durable at once.
  }
}

export class RecordedFile implements DiskFile {
  readonly path: string;
  contents: Uint8Array = new Uint8Array(0);
  readonly changes: Change[] = [];

  constructor(path: string) {
    this.path = path;
  }

  /**
   * The contents after a crash right after `count` changes. `keep` decides for every sector (and truncation) that no
   * completed sync covers whether it reached the disk.
   */
  afterCrash(count: number, keep: () => boolean): Uint8Array {
    const survivor = new RecordedFile(this.path);
    const synced = this.changes.slice(0, count).findLastIndex(({ kind }) => kind === "sync");
    for (const [index, change] of this.changes.slice(0, count).entries()) {
      const certain = index < synced;
      if (change.kind === "truncate" && (certain || keep())) survivor.#resize(change.size);
      if (change.kind !== "write") continue;
      for (let at = 0; at < change.bytes.length; at += sectorSize) {
        if (certain || keep()) survivor.#apply(change.bytes.subarray(at, at + sectorSize), change.position + at);
      }
    }
    return survivor.contents;
  }

  size(): number {
    return this.contents.length;
  }

  readSync(target: Uint8Array, position: number): number {
    const part = this.contents.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return Promise.resolve(this.readSync(target, position));
  }

  write(source: Uint8Array, position: number): Promise<void> {
    this.writeSync(source, position);
    return Promise.resolve();
  }

  writeMany(sources: readonly Uint8Array[], position: number): Promise<void> {
    this.writeSync(Buffer.concat(sources), position);
    return Promise.resolve();
  }

  writeSync(source: Uint8Array, position: number): void {
    this.changes.push({ kind: "write", position, bytes: new Uint8Array(source) });
    this.#apply(source, position);
  }

  datasync(): Promise<void> {
    return this.sync();
  }

  datasyncSync(): void {
    this.syncSync();
  }

  sync(): Promise<void> {
    this.syncSync();
    return Promise.resolve();
  }

  syncSync(): void {
    this.changes.push({ kind: "sync" });
  }

  truncate(size: number): void {
    this.changes.push({ kind: "truncate", size });
    this.#resize(size);
  }

  preallocate(size: number): Promise<void> {
    if (size > this.contents.length) this.truncate(size);
    return Promise.resolve();
  }

  tryLock(): boolean {
    return true;
  }

  release(): void {
    this.close();
  }

  close(): void {
    // Contents stay for the next open.
  }

  #apply(bytes: Uint8Array, position: number): void {
    if (position + bytes.length > this.contents.length) this.#resize(position + bytes.length);
    this.contents.set(bytes, position);
  }

  #resize(size: number): void {
    const next = new Uint8Array(size);
    next.set(this.contents.subarray(0, size));
    this.contents = next;
  }
}

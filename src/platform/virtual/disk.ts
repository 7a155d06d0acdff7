/** The `Disk` of one process on a {@link VirtualDrive}: takes virtual time, and dies with the process at a crash. */
import type { Clock } from "../clock.ts";
import { type Disk, DiskError, type DiskFile, type FileStatus, type OpenMode } from "../disk.ts";
import { PAGE_SIZE } from "./contents.ts";
import { CrashedError, DirectoryInode, FileInode, type Inode, partsOf, type VirtualDrive } from "./drive.ts";

/** How long the device takes, in virtual milliseconds. May be changed while it runs. */
export interface DiskTimes {
  readMs: number;
  writeMs: number;
  syncMs: number;
  /** While true no sync ends; they end, in order, after {@link VirtualDisk.resumeSyncs}. */
  isSyncStalled: boolean;
}

export class VirtualDisk implements Disk {
  readonly drive: VirtualDrive;
  readonly clock: Clock;
  readonly times: DiskTimes = { readMs: 0.02, writeMs: 0.02, syncMs: 0.2, isSyncStalled: false };
  readonly #life: number;
  #stalled: (() => void)[] = [];

  constructor(drive: VirtualDrive, clock: Clock) {
    this.drive = drive;
    this.clock = clock;
    this.#life = drive.life;
  }

  get isDead(): boolean {
    return this.drive.life !== this.#life;
  }

  open(path: string, mode: OpenMode, permissions = 0o600): DiskFile {
    this.checkAlive();
    const found = this.drive.find(path);
    if (found === undefined) {
      if (mode === "read" || mode === "write") throw failure("ENOENT", path);
      const { directory, name } = this.drive.parent(path);
      const inode = new FileInode(permissions);
      this.drive.perform("create", path, () => directory.change(new Map([[name, inode]])));
      return new VirtualFile(this, path, inode);
    }
    if (mode === "createNew") throw failure("EEXIST", path);
    if (found.kind === "directory" && mode !== "read") throw failure("EISDIR", path);
    return new VirtualFile(this, path, found);
  }

  exists(path: string): boolean {
    this.checkAlive();
    return this.drive.find(path) !== undefined;
  }

  stat(path: string): FileStatus {
    const inode = this.#find(path);
    return {
      size: inode.kind === "file" ? inode.current.size : 0,
      isDirectory: inode.kind === "directory",
      permissions: inode.permissions,
      modifiedMs: inode.modifiedMs,
    };
  }

  list(path: string): string[] {
    const inode = this.#find(path);
    if (inode.kind !== "directory") throw failure("ENOTDIR", path);
    return [...inode.current.keys()].sort();
  }

  makeDirectory(path: string, permissions = 0o700): void {
    this.checkAlive();
    let directory = this.drive.root;
    for (const name of partsOf(path)) {
      let next = directory.current.get(name);
      if (next === undefined) {
        const made = new DirectoryInode(permissions);
        const parent = directory;
        this.drive.perform("makeDirectory", path, () => parent.change(new Map([[name, made]])));
        next = made;
      }
      if (next.kind !== "directory") throw failure("ENOTDIR", path);
      directory = next;
    }
  }

  rename(from: string, to: string): void {
    const inode = this.#find(from);
    const source = this.drive.parent(from);
    const target = this.drive.parent(to);
    this.drive.perform("rename", from, () => {
      if (source.directory === target.directory) {
        source.directory.change(new Map<string, Inode | undefined>([[source.name, undefined]]).set(target.name, inode));
      } else {
        source.directory.change(new Map([[source.name, undefined]]));
        target.directory.change(new Map([[target.name, inode]]));
      }
    });
  }

  remove(path: string, options?: { recursive?: boolean }): void {
    this.checkAlive();
    const inode = this.drive.find(path);
    if (inode === undefined && options?.recursive === true) return;
    if (inode === undefined) throw failure("ENOENT", path);
    if (inode.kind === "directory" && options?.recursive !== true) throw failure("EISDIR", path);
    const { directory, name } = this.drive.parent(path);
    this.drive.perform("remove", path, () => directory.change(new Map([[name, undefined]])));
  }

  syncDirectory(path: string): Promise<void> {
    return attempt(() => {
      const { directory, end } = this.#beginDirectorySync(path);
      return this.afterSync(() => directory.commitTo(end));
    });
  }

  syncDirectorySync(path: string): void {
    const { directory, end } = this.#beginDirectorySync(path);
    directory.commitTo(end);
  }

  /** Ends the stall: the syncs that wait end one after the other. */
  resumeSyncs(): void {
    this.times.isSyncStalled = false;
    for (const resume of this.#stalled.splice(0)) resume();
  }

  /** @throws {CrashedError} when the process this disk belongs to is dead. */
  checkAlive(): void {
    if (this.isDead) throw new CrashedError("the process of this disk is dead");
  }

  /** Settles after the device's time; never, when the process dies before. */
  after<T>(delayMs: number, action: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const act = (): void => {
        if (this.isDead) return;
        try {
          resolve(action());
        } catch (error) {
          if (!(error instanceof CrashedError)) reject(error);
        }
      };
      // On a real clock a timer of no delay waits for a millisecond.
      if (delayMs === 0) this.clock.nextTurn(act);
      else this.clock.setTimer(act, delayMs);
    });
  }

  async afterSync(action: () => void): Promise<void> {
    if (this.times.isSyncStalled) await new Promise<void>((resolve) => this.#stalled.push(resolve));
    await this.after(this.times.syncMs, action);
  }

  #beginDirectorySync(path: string): { directory: DirectoryInode; end: number } {
    const directory = this.#find(path);
    if (directory.kind !== "directory") throw failure("ENOTDIR", path);
    const end = directory.committed + directory.pending.length;
    this.drive.perform("syncDirectory", path, () => undefined);
    return { directory, end };
  }

  #find(path: string): Inode {
    this.checkAlive();
    const inode = this.drive.find(path);
    if (inode === undefined) throw failure("ENOENT", path);
    return inode;
  }
}

class VirtualFile implements DiskFile {
  readonly path: string;
  readonly #disk: VirtualDisk;
  readonly #inode: Inode;
  #isOpen = true;

  constructor(disk: VirtualDisk, path: string, inode: Inode) {
    this.#disk = disk;
    this.path = path;
    this.#inode = inode;
  }

  size(): number {
    return this.#file().current.size;
  }

  readSync(target: Uint8Array, position: number): number {
    return this.#file().current.read(target, position);
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return attempt(() => {
      const file = this.#file();
      return this.#disk.after(this.#disk.times.readMs, () => file.current.read(target, position));
    });
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.writeMany([source], position);
  }

  writeMany(sources: readonly Uint8Array[], position: number): Promise<void> {
    return attempt(() => {
      this.#file();
      // The bytes are taken when the time is over: the disk owns them until then.
      return this.#disk.after(this.#disk.times.writeMs, () => {
        let offset = position;
        for (const source of sources) {
          this.writeSync(source, offset);
          offset += source.length;
        }
      });
    });
  }

  writeSync(source: Uint8Array, position: number): void {
    const file = this.#file();
    const { drive, clock } = this.#disk;
    drive.reserve(this.path, file.current.missingPages(position, source.length) * PAGE_SIZE);
    drive.perform("write", this.path, () => {
      file.write(source, position);
      file.modifiedMs = clock.now();
    });
  }

  datasync(): Promise<void> {
    return attempt(() => {
      const file = this.#file();
      const end = file.committed + file.pending.length;
      this.#disk.drive.perform("sync", this.path, () => undefined);
      return this.#disk.afterSync(() => file.commitTo(end));
    });
  }

  datasyncSync(): void {
    const file = this.#file();
    this.#disk.drive.perform("sync", this.path, () => undefined);
    file.commitTo(file.committed + file.pending.length);
  }

  sync(): Promise<void> {
    return this.datasync();
  }

  syncSync(): void {
    this.datasyncSync();
  }

  truncate(size: number): void {
    const file = this.#file();
    this.#disk.drive.perform("truncate", this.path, () => file.truncate(size));
  }

  tryLock(): boolean {
    this.#disk.checkAlive();
    if (this.#inode.lock !== undefined && this.#inode.lock !== this) return false;
    this.#inode.lock = this;
    return true;
  }

  release(): void {
    this.close();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#inode.lock === this) this.#inode.lock = undefined;
  }

  #file(): FileInode {
    this.#disk.checkAlive();
    if (!this.#isOpen) throw failure("EBADF", this.path);
    if (this.#inode.kind !== "file") throw failure("EISDIR", this.path);
    return this.#inode;
  }
}

/** Runs the immediate part of an asynchronous call: a process that dies in it never hears of it, other errors reject. */
function attempt<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call();
  } catch (error) {
    return error instanceof CrashedError ? new Promise(() => undefined) : Promise.reject(error);
  }
}

function failure(code: string, path: string): DiskError {
  return new DiskError(code, path, `${code}: '${path}'`);
}

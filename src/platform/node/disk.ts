/**
 * Files of the Node binding. Names are plain paths; every error of the system becomes a {@link DiskError}.
 *
 * Waiting calls run on libuv's thread pool, or in a thread of their own (`sync-thread.ts`), so a device that needs 100 ms for
 * a sync never stops the event loop.
 */
import * as fs from "node:fs";
import { dirname } from "node:path";
import { getSystemErrorMap } from "node:util";
import { type Disk, DiskError, type DiskFile, type DurableWrite, type FileStatus, type OpenMode } from "../disk.ts";
import type { Logger } from "../logger.ts";
import { tryFlock } from "./flock.ts";
import { syncThread, type SystemFailure } from "./sync-thread.ts";

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  write: O_RDWR,
  create: O_RDWR | O_CREAT,
  createNew: O_RDWR | O_CREAT | O_EXCL,
};

export class NodeDisk implements Disk {
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  open(path: string, mode: OpenMode, permissions = 0o600): DiskFile {
    const descriptor = translate(path, () => fs.openSync(path, OPEN_FLAGS[mode], permissions));
    return new NodeFile(path, descriptor, this.#log);
  }

  exists(path: string): boolean {
    return fs.existsSync(path);
  }

  stat(path: string): FileStatus {
    const status = translate(path, () => fs.statSync(path));
    return {
      size: status.size,
      isDirectory: status.isDirectory(),
      permissions: status.mode & 0o7777,
      modifiedMs: status.mtimeMs,
    };
  }

  list(path: string): string[] {
    return translate(path, () => fs.readdirSync(path)).sort();
  }

  makeDirectory(path: string, permissions = 0o700): void {
    // Not Node's own recursion: it never returns where a parent exists and still ENOENT is the answer, as below /proc.
    const missing: string[] = [];
    for (let at = path; !fs.existsSync(at); at = dirname(at)) missing.push(at);
    for (const at of missing.reverse()) translate(at, () => fs.mkdirSync(at, { mode: permissions }));
  }

  rename(from: string, to: string): void {
    translate(from, () => fs.renameSync(from, to));
  }

  remove(path: string, options?: { recursive?: boolean }): void {
    if (options?.recursive === true) translate(path, () => fs.rmSync(path, { recursive: true, force: true }));
    else translate(path, () => fs.unlinkSync(path));
  }

  async syncDirectory(path: string): Promise<void> {
    const descriptor = translate(path, () => fs.openSync(path, O_RDONLY));
    try {
      await settle(path, (done) => fs.fsync(descriptor, done));
    } finally {
      fs.closeSync(descriptor);
    }
  }

  syncDirectorySync(path: string): void {
    const descriptor = translate(path, () => fs.openSync(path, O_RDONLY));
    try {
      translate(path, () => fs.fsyncSync(descriptor));
    } finally {
      fs.closeSync(descriptor);
    }
  }
}

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #log: Logger;
  #open = true;

  constructor(path: string, descriptor: number, log: Logger) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#log = log;
  }

  size(): number {
    return translate(this.path, () => fs.fstatSync(this.#descriptor).size);
  }

  readSync(target: Uint8Array, position: number): number {
    try {
      let count = 0;
      while (count < target.length) {
        const read = fs.readSync(this.#descriptor, target, count, target.length - count, position + count);
        if (read === 0) break;
        count += read;
      }
      return count;
    } catch (error) {
      throw diskError(this.path, error);
    }
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const step = (count: number): void => {
        fs.read(this.#descriptor, target, count, target.length - count, position + count, (error, read) => {
          if (error !== null) reject(diskError(this.path, error));
          else if (read === 0 || count + read === target.length) resolve(count + read);
          else step(count + read);
        });
      };
      if (target.length === 0) resolve(0);
      else step(0);
    });
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return settle(this.path, (done) => this.#write(source, 0, position, done));
  }

  writeMany(sources: readonly Uint8Array[], position: number): Promise<void> {
    return settle(this.path, (done) => this.#writeMany(sources, position, done));
  }

  writeSync(source: Uint8Array, position: number): void {
    try {
      let count = 0;
      while (count < source.length) {
        count += fs.writeSync(this.#descriptor, source, count, source.length - count, position + count);
      }
    } catch (error) {
      throw diskError(this.path, error);
    }
  }

  datasync(): Promise<void> {
    return settle(this.path, (done) => fs.fdatasync(this.#descriptor, done));
  }

  datasyncSync(): void {
    translate(this.path, () => fs.fdatasyncSync(this.#descriptor));
  }

  writeDurably(source: Uint8Array, position: number, zeros: number): Promise<DurableWrite> | undefined {
    return syncThread.write({
      descriptor: this.#descriptor,
      source,
      position,
      zeros,
      toError: this.#toError,
      log: this.#log,
    });
  }

  sync(): Promise<void> {
    return settle(this.path, (done) => fs.fsync(this.#descriptor, done));
  }

  syncSync(): void {
    translate(this.path, () => fs.fsyncSync(this.#descriptor));
  }

  truncate(size: number): void {
    translate(this.path, () => fs.ftruncateSync(this.#descriptor, size));
  }

  tryLock(): boolean {
    return tryFlock({ path: this.path, descriptor: this.#descriptor, log: this.#log });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    translate(this.path, () => fs.closeSync(this.#descriptor));
  }

  release(): void {
    if (!this.#open) return;
    this.#open = false;
    fs.close(this.#descriptor, (error) => {
      if (error !== null && error !== undefined) this.#log.warn("failed to close a file", { path: this.path, error });
    });
  }

  readonly #toError = ({ message, ...fields }: SystemFailure): Error =>
    diskError(this.path, Object.assign(new Error(message), fields));

  /** A write may take only a part (a signal, a nearly full disk): the rest follows until an error says why not. */
  #write(source: Uint8Array, offset: number, position: number, done: Done): void {
    if (offset === source.length) {
      done(null);
      return;
    }
    fs.write(this.#descriptor, source, offset, source.length - offset, position + offset, (error, written) => {
      if (error !== null) done(error);
      else this.#write(source, offset + written, position, done);
    });
  }

  #writeMany(sources: readonly Uint8Array[], position: number, done: Done): void {
    if (sources.length === 0) {
      done(null);
      return;
    }
    fs.writev(this.#descriptor, sources, position, (error, written) => {
      if (error !== null) done(error);
      else this.#writeMany(dropFirst(sources, written), position + written, done);
    });
  }
}

/** What is left of `sources` after its first `count` bytes; empty in the usual case of a full write. */
function dropFirst(sources: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let index = 0;
  let rest = count;
  while (index < sources.length && rest >= sources[index].length) {
    rest -= sources[index].length;
    index += 1;
  }
  if (index === sources.length) return [];
  return [sources[index].subarray(rest), ...sources.slice(index + 1)];
}

type Done = (error: Error | null) => void;

function settle(path: string, start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => {
      if (error === null || error === undefined) resolve();
      else reject(diskError(path, error));
    });
  });
}

function translate<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw diskError(path, error);
  }
}

function diskError(path: string, cause: unknown): DiskError {
  if (cause instanceof DiskError) return cause;
  const { code = "EIO", errno, syscall } = cause as NodeJS.ErrnoException;
  // Worded as Go words them, `open PATH: no such file or directory`: people search for these texts.
  const text = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1];
  const message = cause instanceof Error ? cause.message : String(cause);
  return new DiskError(code, path, text === undefined ? message : `${syscall} ${path}: ${text}`, { cause });
}

/**
 * A database on its way to disk: written as it comes under a temporary name, it gets its own, `<index>.snap.db`, when it
 * is complete and durable. Source: etcd snap/db.go, `SaveDBFrom`.
 */
import { join } from "node:path";
import type { Disk, DiskFile } from "../platform/disk.ts";
import type { Platform } from "../platform/platform.ts";
import { snapshotDatabaseName } from "../storage/snap/snap-files.ts";
import { snapshotWaitingBytesMax } from "./limits.ts";

/** As Go's `os.CreateTemp`; the database inside is a member's secret like the one beside it. */
const permissions = 0o600;

/** Names tried for the temporary file before giving up. */
const nameAttemptsMax = 16;

export class SnapshotFile {
  /** Bytes taken so far. */
  size = 0;
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #file: DiskFile;
  readonly #progress: () => void;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #written = 0;
  #isWriting = false;
  #error: Error | undefined;
  #whenIdle: (() => void) | undefined;

  /**
   * @param progress - called when waiting bytes have reached the disk, or the disk refused.
   * @throws {DiskError}
   */
  constructor(platform: Platform, directory: string, progress: () => void) {
    this.#disk = platform.disk;
    this.#directory = directory;
    this.#progress = progress;
    this.#file = createTemporary(platform, directory);
  }

  /** More waits for the disk than should: stop the sender until `progress`. */
  get isFull(): boolean {
    return this.#waitingBytes > snapshotWaitingBytesMax;
  }

  /** The disk refused; {@link finish} will say so too. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Takes owned bytes. */
  append(piece: Uint8Array): void {
    if (piece.length === 0 || this.#error !== undefined) return;
    this.size += piece.length;
    this.#waiting.push(piece);
    this.#waitingBytes += piece.length;
    if (!this.#isWriting) void this.#write();
  }

  /**
   * Makes all of it durable under its final name. An older file of that name wins: it holds the same state.
   *
   * @param check - throws when it is not a database that can be used.
   * @throws {DiskError} by rejection, or what `check` threw; nothing is left behind.
   */
  async finish(index: number, check: (path: string, index: number) => void): Promise<void> {
    try {
      await this.#idle();
      if (this.#error !== undefined) throw this.#error;
      await this.#file.sync();
      check(this.#file.path, index);
    } catch (error) {
      this.#remove();
      throw error;
    }
    const path = join(this.#directory, snapshotDatabaseName(index));
    if (this.#disk.exists(path)) {
      this.#remove();
      return;
    }
    this.#file.close();
    try {
      this.#disk.rename(this.#file.path, path);
    } catch (error) {
      this.#disk.remove(this.#file.path);
      throw error;
    }
    await this.#disk.syncDirectory(this.#directory);
  }

  /** Gives up and removes the temporary file. */
  async abandon(): Promise<void> {
    this.#waiting = [];
    await this.#idle();
    this.#remove();
  }

  #remove(): void {
    this.#file.close();
    this.#disk.remove(this.#file.path);
  }

  #idle(): Promise<void> {
    if (!this.#isWriting) return Promise.resolve();
    return new Promise((resolve) => (this.#whenIdle = resolve));
  }

  /** Writes what waits, in order; what comes meanwhile goes in one piece next. Never rejects. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0 && this.#error === undefined) {
      const pieces = this.#waiting;
      this.#waiting = [];
      const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
      try {
        await this.#file.writeMany(pieces, this.#written);
        this.#written += bytes;
      } catch (error) {
        this.#error = error as Error;
        this.#waiting = [];
      }
      this.#waitingBytes -= bytes;
      this.#progress();
    }
    this.#isWriting = false;
    this.#whenIdle?.();
  }
}

/** `tmp` and digits: etcd removes such names when it starts. */
function createTemporary({ disk, random }: Platform, directory: string): DiskFile {
  for (let attempt = 1; ; attempt++) {
    const path = join(directory, `tmp${random.uint32()}`);
    try {
      return disk.open(path, "createNew", permissions);
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EEXIST" || attempt === nameAttemptsMax) throw error;
    }
  }
}

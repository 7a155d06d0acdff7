/**
 * A log file that is put aside when it is full, as lumberjack does for etcd:
 *
 *     etcd.log                                  written to
 *     etcd-2026-11-25T03-12-58.294.log          put aside then
 *     etcd-2026-11-24T20-01-07.015.log.gz       compressed, with `compress`
 *
 * Putting aside is two renames' worth of work and done at once; compressing and removing old ones goes on beside.
 * A disk that takes nothing costs lines, never the member.
 */
import {
  chmodSync,
  closeSync,
  createReadStream,
  createWriteStream,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Clock } from "../../platform/clock.ts";
import type { LogRotation } from "./log-rotation.ts";

const dayMs = 86_400_000;
const compressed = ".gz";
const timeForm = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/;

interface OldFile {
  readonly path: string;
  readonly time: string;
  readonly isCompressed: boolean;
}

export class RotatingFile {
  readonly #path: string;
  readonly #rotation: LogRotation;
  readonly #clock: Clock;
  readonly #complain: (text: string) => void;
  #descriptor: number;
  #size: number;
  #isBroken = false;
  /** The one tidying under way, and whether another is to follow it. */
  #tidying: Promise<void> | undefined;
  #tidyAgain = false;

  /**
   * @param complain - gets one line when the file cannot be written, and one when it can again.
   * @throws {Error} when the file cannot be opened. Missing directories are made.
   */
  constructor(path: string, rotation: LogRotation, clock: Clock, complain: (text: string) => void) {
    this.#path = path;
    this.#rotation = rotation;
    this.#clock = clock;
    this.#complain = complain;
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    this.#descriptor = openSync(path, "a", 0o600);
    this.#size = fstatSync(this.#descriptor).size;
    this.#tidy();
  }

  write(line: string): void {
    const bytes = Buffer.from(line, "utf8");
    try {
      // A line that is too long for any file has one for itself.
      if (this.#size > 0 && this.#size + bytes.length > this.#rotation.maxBytes) this.#rotate();
      for (let done = 0; done < bytes.length;) {
        const count = writeSync(this.#descriptor, bytes, done);
        done += count;
        this.#size += count;
      }
      if (this.#isBroken) this.#complain(`${this.#path} can be written again`);
      this.#isBroken = false;
    } catch (error) {
      if (!this.#isBroken) this.#complain(`lines are lost: ${error instanceof Error ? error.message : String(error)}`);
      this.#isBroken = true;
    }
  }

  /** Resolves when old files are compressed and removed as configured. */
  async settled(): Promise<void> {
    while (this.#tidying !== undefined) await this.#tidying;
  }

  #rotate(): void {
    const { mode } = fstatSync(this.#descriptor);
    renameSync(this.#path, this.#nameAside());
    const descriptor = openSync(this.#path, "a", mode);
    closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    this.#size = 0;
    this.#tidy();
  }

  #nameAside(): string {
    const [stem, extension] = this.#parts();
    const { localTime } = this.#rotation;
    const now = this.#clock.now();
    const shown = localTime ? now - new Date(now).getTimezoneOffset() * 60_000 : now;
    // Two within a millisecond must not have one name.
    for (let time = shown; ; time++) {
      const text = new Date(time).toISOString().slice(0, -1).replaceAll(":", "-");
      const path = join(dirname(this.#path), `${stem}${text}${extension}`);
      if (!exists(path) && !exists(path + compressed)) return path;
    }
  }

  /** `["etcd-", ".log"]`. */
  #parts(): [stem: string, extension: string] {
    const extension = extname(this.#path);
    return [`${basename(this.#path, extension)}-`, extension];
  }

  #tidy(): void {
    if (this.#tidying !== undefined) {
      this.#tidyAgain = true;
      return;
    }
    this.#tidying = this.#removeAndCompress()
      .catch((error: unknown) => {
        this.#complain(`old log files are not tidied: ${error instanceof Error ? error.message : String(error)}`);
      })
      .finally(() => {
        this.#tidying = undefined;
        if (!this.#tidyAgain) return;
        this.#tidyAgain = false;
        this.#tidy();
      });
  }

  async #removeAndCompress(): Promise<void> {
    const { maxBackups, maxAgeDays, compress } = this.#rotation;
    const files = this.#oldFiles();
    const times = [...new Set(files.map(({ time }) => time))];
    const keptTimes = new Set(maxBackups === 0 ? times : times.slice(0, maxBackups));
    const oldest = maxAgeDays === 0 ? Number.NEGATIVE_INFINITY : this.#clock.now() - maxAgeDays * dayMs;
    for (const { path, time, isCompressed } of files) {
      if (!keptTimes.has(time) || this.#epochOf(time) < oldest) unlinkSync(path);
      else if (compress && !isCompressed) await gzip(path);
    }
  }

  #epochOf(time: string): number {
    const iso = `${time.slice(0, 10)}T${time.slice(11).replaceAll("-", ":")}`;
    return Date.parse(this.#rotation.localTime ? iso : `${iso}Z`);
  }

  /** Newest first. */
  #oldFiles(): OldFile[] {
    const [stem, extension] = this.#parts();
    const files: OldFile[] = [];
    for (const name of readdirSync(dirname(this.#path))) {
      const isCompressed = name.endsWith(extension + compressed);
      const end = isCompressed ? extension + compressed : extension;
      if (!name.startsWith(stem) || !name.endsWith(end)) continue;
      const time = name.slice(stem.length, name.length - end.length);
      if (timeForm.test(time)) files.push({ path: join(dirname(this.#path), name), time, isCompressed });
    }
    return files.sort((one, other) => (one.time < other.time ? 1 : -1));
  }
}

/** The compressed file has its name only when it is whole; the plain one goes after that. */
async function gzip(path: string): Promise<void> {
  const part = `${path}${compressed}.part`;
  const { mode } = statSync(path);
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(part, { mode }));
    chmodSync(part, mode);
    renameSync(part, path + compressed);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
  unlinkSync(path);
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * An exclusive flock(2), the lock bbolt takes on its file. Node cannot call flock, but such a lock belongs to the
 * *open file description*: the `flock` program, started once with our descriptor inherited as its descriptor 3,
 * takes it, exits, and the lock stays ours until the last copy of the descriptor is closed. When the program is
 * missing, `/proc/locks` at least tells whether somebody else holds one.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { DiskError } from "../disk.ts";
import type { Logger } from "../logger.ts";

/** `flock -n` exits with this when another process holds the lock. */
const EXIT_CONFLICT = 1;

export interface FlockRequest {
  readonly path: string;
  readonly descriptor: number;
  readonly log: Logger;
}

/** False when another process holds the lock. @throws {DiskError} `ENOLCK` when the file system cannot lock. */
export function tryFlock({ path, descriptor, log }: FlockRequest): boolean {
  const child = spawnSync("flock", ["-xn", "3"], { stdio: ["ignore", "ignore", "pipe", descriptor] });
  if (child.error !== undefined) {
    log.warn("cannot lock a file: the program flock is missing, only looking for the lock of another process", {
      path,
      error: child.error,
    });
    return !isFlocked(descriptor);
  }
  if (child.status === 0) return true;
  if (child.status === EXIT_CONFLICT) return false;
  throw new DiskError("ENOLCK", path, `cannot lock ${path}: ${child.stderr.toString().trim()}`);
}

/** Looks for a flock of any process on the file behind `descriptor` (`major:minor:inode` in `/proc/locks`). */
function isFlocked(descriptor: number): boolean {
  const { dev, ino } = fs.fstatSync(descriptor, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  const hex = (value: bigint): string => value.toString(16).padStart(2, "0");
  const name = `${hex(major)}:${hex(minor)}:${ino}`;
  const lines = fs.readFileSync("/proc/locks", "latin1").split("\n");
  return lines.some((line) => line.includes(" FLOCK ") && line.includes(` ${name} `));
}

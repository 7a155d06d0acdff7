/** The database of a member that does not run, opened for changing. */
import { join } from "node:path";
import { failpointsOff } from "../../base/failpoints.ts";
import { Backend } from "../../storage/backend/backend.ts";
import { NodeClock } from "../../platform/node/clock.ts";
import { NodeDisk } from "../../platform/node/disk.ts";
import { failpointsOfProcess } from "../../platform/node/failpoints.ts";
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Terminal } from "../shared/terminal.ts";

/** A running member keeps its database locked; the person is told after so long. */
const lockHintMs = 1_000;

export interface StoppedMember {
  readonly disk: Disk;
  readonly log: Logger;
  readonly backend: Backend;
  readonly walDir: string;
  readonly snapDir: string;
}

/**
 * Waits for ever while the member runs, as etcd's tools do.
 *
 * @param hint - what to do with a running member; printed when it seems to run.
 * @throws {Error} when there is no database. @throws {CorruptionError}
 */
export async function openStoppedMember(
  dataDir: string,
  terminal: Terminal,
  log: Logger,
  hint?: string,
): Promise<StoppedMember> {
  const disk = new NodeDisk(log);
  const clock = new NodeClock();
  const snapDir = join(dataDir, "member", "snap");
  const path = join(snapDir, "db");
  if (!disk.exists(path)) throw new Error(`stat ${path}: no such file or directory`);
  const timer = clock.setTimer(() => {
    const next = hint === undefined ? "" : ` ${hint}`;
    terminal.error.write(`waiting for etcd to close and release its lock on "${path}".${next}\n`);
  }, lockHintMs);
  try {
    const failpoints = failpointsOfProcess(process.env)?.slots ?? failpointsOff;
    const backend = await Backend.open(disk, clock, log, path, { failpoints });
    return { disk, log, backend, walDir: join(dataDir, "member", "wal"), snapDir };
  } finally {
    timer.cancel();
  }
}

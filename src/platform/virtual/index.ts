/**
 * The virtual binding of the platform: everything a member touches, under the control of a test and of one seed. The
 * drive outlives the process: after a crash the next process mounts the same drive.
 */
import type { FailpointSlots } from "../../base/failpoints.ts";
import type { Logger } from "../logger.ts";
import type { Platform } from "../platform.ts";
import { VirtualDisk } from "./disk.ts";
import { CrashedError, VirtualDrive } from "./drive.ts";
import { type Link, type ProcessClock, VirtualInternet } from "./network.ts";
import { SeededRandom } from "./random.ts";
import { VirtualResolver } from "./resolver.ts";
import { Scheduler } from "./scheduler.ts";
import { VirtualClock } from "./clock.ts";

export type { Link, ProcessClock };
export { CrashedError, Scheduler, SeededRandom, VirtualClock, VirtualDisk, VirtualDrive, VirtualInternet };

export interface VirtualPlatformOptions {
  readonly scheduler: Scheduler;
  readonly drive: VirtualDrive;
  readonly internet: VirtualInternet;
  /** Name of the machine on the network. */
  readonly host: string;
  readonly seed: number;
  readonly log: Logger;
  readonly failpoints?: FailpointSlots;
}

export interface VirtualPlatform extends Platform {
  readonly clock: VirtualClock;
  readonly disk: VirtualDisk;
  readonly random: SeededRandom;
}

/** The platform of one process. When it dies, stop its clock; the drive of a crash is already dead to it. */
export function createVirtualPlatform(options: VirtualPlatformOptions): VirtualPlatform {
  const { scheduler, drive, internet, host, seed, log, failpoints } = options;
  const clock = new VirtualClock(scheduler);
  return {
    clock,
    random: new SeededRandom(seed),
    disk: new VirtualDisk(drive, clock),
    network: internet.join(host, clock),
    resolver: new VirtualResolver(internet.names),
    log,
    ...(failpoints === undefined ? {} : { failpoints }),
  };
}

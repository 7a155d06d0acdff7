/**
 * One simulated machine: a drive and a host name that last, and the process of a member on it, which comes and goes. The
 * process is the server program from its flags on, but for the command line's own `main`.
 *
 * ```text
 *            boot                        serves
 *   down ------------> starting ------------------------> serving
 *    ^                    |                                  |
 *    +--- powerFail: what was not synced may be lost --------+
 *    +--- kill: as kill -9, the drive keeps what was written-+
 *    +--- stop: in order                                     |
 *    +--- it ends itself: cannot start, cannot go on, removed, a bug
 * ```
 */
import { Failpoints } from "../../src/base/failpoints.ts";
import { parseArguments } from "../../src/cli/etcd/parse.ts";
import { type RunningMember, runMember } from "../../src/cli/etcd/run-member.ts";
import { resolveSettings } from "../../src/cli/etcd/settings.ts";
import {
  CrashedError,
  createVirtualPlatform,
  type Scheduler,
  VirtualDrive,
  type VirtualInternet,
  type VirtualPlatform,
} from "../../src/platform/virtual/index.ts";
import type { Member } from "../../src/server/member.ts";
import { SimLog } from "./sim-log.ts";

export const dataDir = "/etcd";

/** Why a process ended by itself. */
export type Ending =
  /** An error that nobody handled: a bug. */
  | { readonly kind: "bug"; readonly error: unknown }
  /** It could not go on: the disk failed it. */
  | { readonly kind: "fatal"; readonly error: Error }
  /** It refused to start on what it found. */
  | { readonly kind: "refused"; readonly error: Error }
  | { readonly kind: "removed" }
  /** A failpoint ended it. */
  | { readonly kind: "panic"; readonly error: Error };

export interface MachineOptions {
  readonly name: string;
  readonly host: string;
  readonly scheduler: Scheduler;
  readonly internet: VirtualInternet;
  readonly seed: number;
  /** Told when the process ends without having been asked to. The machine is down then. */
  readonly onEnd: (machine: Machine, ending: Ending) => void;
  readonly verbose?: boolean | undefined;
}

interface Process {
  readonly platform: VirtualPlatform;
  readonly failpoints: Failpoints;
  running: RunningMember | undefined;
  /** Settles when it serves, or never will. */
  readonly started: Promise<void>;
  isStopping: boolean;
}

export class Machine {
  readonly name: string;
  readonly host: string;
  readonly log: SimLog;
  drive: VirtualDrive;
  /** Flags of the next boot. */
  flags: readonly string[] = [];
  /** Of the wall clock and of its speed; they outlive the process. */
  wallOffsetMs = 0;
  rate = 1;
  boots = 0;
  readonly #options: MachineOptions;
  #process: Process | undefined;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.name = options.name;
    this.host = options.host;
    this.log = new SimLog(() => options.scheduler.nowMs, options.verbose === true ? "info" : "warn");
    this.drive = new VirtualDrive({ seed: options.seed });
  }

  get clientUrl(): string {
    return `http://${this.host}:2379`;
  }

  get peerUrl(): string {
    return `http://${this.host}:2380`;
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  get isServing(): boolean {
    return this.#process?.running !== undefined && !this.#process.isStopping;
  }

  get member(): Member | undefined {
    return this.#process?.running?.member;
  }

  get platform(): VirtualPlatform | undefined {
    return this.#process?.platform;
  }

  get failpoints(): Failpoints | undefined {
    return this.#process?.failpoints;
  }

  /** Starts the process. @returns what settles when it serves or has ended. */
  boot(): Promise<void> {
    if (this.#process !== undefined) return this.#process.started;
    const { scheduler, internet, host, seed } = this.#options;
    this.boots += 1;
    const failpoints = this.#failpointsOfBoot();
    const platform = createVirtualPlatform({
      scheduler,
      drive: this.drive,
      internet,
      host,
      seed: seed * 1_000 + this.boots,
      log: this.log,
      failpoints: failpoints.slots,
    });
    platform.clock.wallOffsetMs = this.wallOffsetMs;
    platform.clock.rate = this.rate;
    let settle = (): void => undefined;
    const started = new Promise<void>((resolve) => (settle = resolve));
    const process: Process = { platform, failpoints, running: undefined, isStopping: false, started };
    this.#process = process;
    platform.clock.onError = (error) => this.#end(process, { kind: "bug", error }, "killed");
    void this.#start(process).finally(settle);
    return started;
  }

  /** As flags of the command line would. */
  async #start(process: Process): Promise<void> {
    const { platform } = process;
    try {
      const settings = resolveSettings(parseArguments(this.flags), {
        environment: {},
        log: this.log,
        readFile: () => "",
      });
      process.running = await runMember({
        settings,
        platform,
        onFatal: (error) => this.#end(process, { kind: "fatal", error }, "powerFailed"),
        onRemoved: () => this.#removed(process),
      });
    } catch (error) {
      if (platform.clock.isStopped || error instanceof CrashedError) return;
      this.#end(
        process,
        { kind: "refused", error: error instanceof Error ? error : new Error(String(error)) },
        "killed",
      );
    }
  }

  #removed(process: Process): void {
    const end = (): void => this.#end(process, { kind: "removed" }, "killed");
    if (process.running === undefined) end();
    else void process.running.stop().then(end, end);
  }

  /** The power fails now. */
  powerFail(): void {
    this.drive.crash();
    this.#gone("powerFailed");
  }

  /** The power fails at the disk operation number `count` from now. */
  powerFailAtOperation(count: number, failed: () => void): void {
    this.drive.crashAt(this.drive.operationCount + count, () => {
      this.#gone("powerFailed");
      failed();
    });
  }

  kill(): void {
    this.drive.killProcess();
    this.#gone("killed");
  }

  /** SIGTERM. Resolves when it is down. */
  async stop(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    if (process.running === undefined) return this.kill();
    process.isStopping = true;
    try {
      await process.running.stop();
    } catch {
      // What it says of itself is in its log; it ends in any case.
    }
    if (this.#process === process) this.kill();
  }

  /** A new drive, as after a replacement. */
  replaceDrive(seed: number): void {
    this.drive = new VirtualDrive({ seed });
  }

  #gone(how: "killed" | "powerFailed"): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    process.platform.clock.stop();
    this.#options.internet.leave(this.host, how);
  }

  #end(process: Process, ending: Ending, how: "killed" | "powerFailed"): void {
    if (this.#process !== process) return;
    // A disk that failed may have lost what it did not sync.
    if (how === "powerFailed") this.drive.crash();
    else this.drive.killProcess();
    this.#gone("killed");
    this.#options.onEnd(this, ending);
  }

  #failpointsOfBoot(): Failpoints {
    const { scheduler } = this.#options;
    const platform = (): VirtualPlatform | undefined => this.#process?.platform;
    return new Failpoints({
      panic: (message) => {
        const process = this.#process;
        const how = (process?.platform.random.float() ?? 0) < 0.5 ? "killed" : "powerFailed";
        if (process !== undefined) this.#end(process, { kind: "panic", error: new Error(message) }, how);
        throw new CrashedError(message);
      },
      stall: (ms) => {
        const { clock } = platform() ?? {};
        clock?.pause();
        scheduler.after(ms, () => clock?.resume());
      },
      delay: (ms) => new Promise((resolve) => platform()?.clock.setTimer(resolve, ms)),
      chance: () => platform()?.random.float() ?? 1,
      print: () => undefined,
    });
  }
}

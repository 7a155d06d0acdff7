/** A machine in virtual time whose power may fail: processes come and go, the drive stays. */
import { createStderrLogger } from "../../src/platform/node/stderr-logger.ts";
import {
  createVirtualPlatform,
  Scheduler,
  VirtualDrive,
  VirtualInternet,
  type VirtualPlatform,
} from "../../src/platform/virtual/index.ts";

export class VirtualMachine {
  readonly scheduler = new Scheduler();
  readonly drive: VirtualDrive;
  readonly #internet = new VirtualInternet();
  #boots = 0;

  /** @param seed - decides what a crash leaves of what was not synced. */
  constructor(seed: number) {
    this.drive = new VirtualDrive({ seed });
  }

  /** The platform of a new process. */
  boot(): VirtualPlatform {
    return createVirtualPlatform({
      scheduler: this.scheduler,
      drive: this.drive,
      internet: this.#internet,
      host: "10.0.0.1",
      seed: ++this.#boots,
      log: createStderrLogger("fatal", () => undefined),
    });
  }

  /**
   * Runs `life` until the power fails at its disk operation number `operation` (from 1).
   *
   * @returns false when it was over before.
   */
  async crashDuring(platform: VirtualPlatform, operation: number, life: () => Promise<unknown>): Promise<boolean> {
    let hasCrashed = false;
    let isOver = false;
    this.drive.crashAt(this.drive.operationCount + operation, () => {
      hasCrashed = true;
      platform.clock.stop();
    });
    life().then(
      () => (isOver = true),
      // The promise of a dead process may break or hang; what counts is what the drive has kept.
      () => undefined,
    );
    await this.scheduler.runUntil(() => isOver || hasCrashed);
    return hasCrashed;
  }
}

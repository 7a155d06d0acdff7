/** The Node binding of the platform: the process' own clock, generator, files and sockets. */
import type { Logger } from "../logger.ts";
import type { Platform } from "../platform.ts";
import { NodeClock } from "./clock.ts";
import { NodeDisk } from "./disk.ts";
import { NodeNetwork } from "./network.ts";
import { NodeRandom } from "./random.ts";

export { createStderrLogger } from "./stderr-logger.ts";

export interface NodePlatformOptions {
  readonly log: Logger;
}

export function createNodePlatform(options: NodePlatformOptions): Platform {
  const { log } = options;
  return {
    clock: new NodeClock(),
    random: new NodeRandom(),
    disk: new NodeDisk(log.withCaller("platform/node/disk.ts")),
    network: new NodeNetwork(),
    log,
  };
}

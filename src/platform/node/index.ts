/** The Node binding of the platform: the process' own clock, generator, files and sockets. */
import type { FailpointSlots } from "../../base/failpoints.ts";
import type { Logger } from "../logger.ts";
import type { Platform } from "../platform.ts";
import { NodeClock } from "./clock.ts";
import { NodeDisk } from "./disk.ts";
import { NodeNetwork } from "./network.ts";
import { NodeRandom } from "./random.ts";
import { NodeResolver } from "./resolver.ts";

export { failpointsOfProcess } from "./failpoints.ts";
export { createStderrLogger } from "./stderr-logger.ts";

export interface NodePlatformOptions {
  readonly log: Logger;
  readonly failpoints?: FailpointSlots;
}

export function createNodePlatform(options: NodePlatformOptions): Platform {
  const { log, failpoints } = options;
  return {
    clock: new NodeClock(),
    random: new NodeRandom(),
    disk: new NodeDisk(log.withCaller("platform/node/disk.ts")),
    network: new NodeNetwork(),
    resolver: new NodeResolver(),
    log,
    ...(failpoints === undefined ? {} : { failpoints }),
  };
}

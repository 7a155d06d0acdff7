/**
 * The one boundary between quorate and the world: clock and timers, chance, disk, network, names and logs. Production binds
 * it to Node (`src/platform/node/`), the simulator to virtual time, a disk that can lose and a network that can cut
 * (`src/platform/virtual/`). Nothing above imports `node:fs`, `node:net`, `Date`, `Math.random` or timers.
 */
import type { FailpointSlots } from "../base/failpoints.ts";
import type { Clock } from "./clock.ts";
import type { Disk } from "./disk.ts";
import type { Logger } from "./logger.ts";
import type { Network } from "./network.ts";
import type { Random } from "./random.ts";
import type { Resolver } from "./resolver.ts";

export interface Platform {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly network: Network;
  readonly resolver: Resolver;
  readonly log: Logger;
  /** Places where a test makes this member die, wait or fail; absent: none of them is ever on. */
  readonly failpoints?: FailpointSlots;
}

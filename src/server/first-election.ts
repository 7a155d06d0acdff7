/**
 * Brings the first election of a member near, once it can reach others, instead of letting a whole election timeout pass:
 * if there is a leader it will have been heard from by then. Source: etcd server/etcdserver/server.go, `adjustTicks`.
 */
import type { Clock } from "../platform/clock.ts";
import type { RawNode } from "../raft/raw-node.ts";
import { NONE } from "../wire/raft/types.ts";
import { electionTicksOf, type MemberConfig } from "./config.ts";

const CHECK_INTERVAL_MS = 50;
/** After this long an election has begun by itself. */
const CHECKS_MAX = 100;
/** Ticks left for the first heartbeat of a leader that is there. */
const TICKS_LEFT = 2;

export interface FirstElectionParts {
  readonly config: MemberConfig;
  readonly clock: Clock;
  readonly node: RawNode;
  readonly activePeers: () => number;
  readonly isOver: () => boolean;
}

export function advanceFirstElection(parts: FirstElectionParts): void {
  const { config, clock, node, activePeers, isOver } = parts;
  if (!config.initialElectionTickAdvance) return;
  let checks = 0;
  const check = (): void => {
    if (isOver() || node.lead !== NONE || ++checks > CHECKS_MAX) return;
    if (activePeers() <= 1) {
      clock.setTimer(check, CHECK_INTERVAL_MS);
      return;
    }
    const electionTicks = electionTicksOf(config);
    for (let tick = 0; tick < electionTicks - TICKS_LEFT; tick++) node.tick();
  };
  clock.setTimer(check, CHECK_INTERVAL_MS);
}

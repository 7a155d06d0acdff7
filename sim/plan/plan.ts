/**
 * What will happen in a run, written down before it begins: who works, and what goes wrong when. It is plain data, drawn
 * from one seed, so that a run can be repeated, and made shorter by leaving things out.
 */
import type { FailpointName } from "../../src/base/failpoints.ts";

/** Whom a fault meets: a machine by its place (modulo how many there are), or who leads at that moment. */
export type Target = number | "leader";

export type LostFile = "database" | "snapshot";

/** Everything that takes `forMs` ends by itself. Machines that are down come up again after `forMs`. */
export type Fault = { readonly atMs: number } & (
  | { readonly kind: "powerFailure"; readonly target: Target; readonly forMs: number }
  /** At the disk operation number `operation` from then on. */
  | {
      readonly kind: "powerFailureAtWrite";
      readonly target: Target;
      readonly operation: number;
      readonly forMs: number;
    }
  /** All machines at once. */
  | { readonly kind: "blackout"; readonly forMs: number }
  | { readonly kind: "kill"; readonly target: Target; readonly forMs: number }
  | { readonly kind: "stop"; readonly target: Target; readonly forMs: number }
  | { readonly kind: "pause"; readonly target: Target; readonly forMs: number }
  /** Held for `forMs`, and cut off from all other members, not from clients, for `aloneMs` more: it wakes up with old news. */
  | { readonly kind: "sleepAlone"; readonly target: Target; readonly forMs: number; readonly aloneMs: number }
  /** Every turn of its loop, and every look at the clock in it, takes time. */
  | {
      readonly kind: "slow";
      readonly target: Target;
      readonly turnCostMs: number;
      readonly lookCostMs: number;
      readonly forMs: number;
    }
  /** `rate`: its clocks run so much faster, for good. */
  | { readonly kind: "drift"; readonly target: Target; readonly rate: number }
  | { readonly kind: "clockJump"; readonly target: Target; readonly byMs: number }
  /** From all other members, and from clients or not. */
  | {
      readonly kind: "isolate";
      readonly target: Target;
      readonly way: "both" | "in" | "out";
      readonly fromClients: boolean;
      readonly forMs: number;
    }
  | {
      readonly kind: "cut";
      readonly from: number;
      readonly to: number;
      readonly isOneWay: boolean;
      readonly forMs: number;
    }
  | {
      readonly kind: "badNetwork";
      readonly target: Target;
      readonly delayMs: number;
      readonly jitterMs: number;
      readonly lossRate: number;
      readonly forMs: number;
    }
  | { readonly kind: "reset"; readonly target: Target }
  | { readonly kind: "slowDisk"; readonly target: Target; readonly syncMs: number; readonly forMs: number }
  | { readonly kind: "stalledDisk"; readonly target: Target; readonly forMs: number }
  | { readonly kind: "fullDisk"; readonly target: Target; readonly spareBytes: number; readonly forMs: number }
  /** The sync number `count` from then on fails, and then works again. */
  | { readonly kind: "failedSync"; readonly target: Target; readonly count: number; readonly forMs: number }
  /** A flipped bit in a log or snapshot file of a machine that is killed for it. */
  | { readonly kind: "bitFlip"; readonly target: Target; readonly where: number; readonly forMs: number }
  /** A file of a machine that is killed for it is gone: its database, or its newest raft snapshot. */
  | { readonly kind: "lostFile"; readonly target: Target; readonly file: LostFile; readonly forMs: number }
  /** Its disk is gone with all on it; the operator puts a new member in its place. */
  | { readonly kind: "lostDisk"; readonly target: Target }
  | {
      readonly kind: "failpoint";
      readonly target: Target;
      readonly name: FailpointName;
      readonly terms: string;
      readonly forMs: number;
    }
  // What an operator does.
  | { readonly kind: "moveLeader"; readonly to: number }
  /** With the power failing at the disk operation of this number from its beginning; 0: it does not. */
  | { readonly kind: "defragment"; readonly target: Target; readonly failsAt: number; readonly forMs: number }
  /** Of all history but the newest revisions; the power fails as above. */
  | { readonly kind: "compact"; readonly target: Target; readonly failsAt: number; readonly forMs: number }
  | { readonly kind: "snapshot"; readonly target: Target }
  /** Stays a learner, which clients read from too, for so long. */
  | { readonly kind: "grow"; readonly learnsForMs: number }
  | { readonly kind: "shrink"; readonly target: Target }
  | { readonly kind: "replace"; readonly target: Target }
  | { readonly kind: "compareHashes" }
  | { readonly kind: "downgrade"; readonly forMs: number }
);

export type FaultKind = Fault["kind"];

export interface Plan {
  readonly seed: number;
  readonly members: number;
  /** Of virtual time, before the quiet end. */
  readonly durationMs: number;
  /** Clients that read and write, each with a seed of its own. */
  readonly clients: readonly number[];
  readonly watchers: readonly number[];
  /** Clients that keep leases alive. */
  readonly keepers: readonly number[];
  readonly faults: readonly Fault[];
  /** Limits of the members, made small so that they are met. */
  readonly flags: readonly string[];
  /** Bytes of a WAL segment. */
  readonly segmentSize: number;
}

/** One line for the reader. */
export function describeFault({ atMs, kind, ...rest }: Fault): string {
  const details = Object.entries(rest).map(
    ([name, value]) => `${name} ${typeof value === "number" ? round(value) : value}`,
  );
  return `[${atMs.toFixed(0)}] ${kind} ${details.join(", ")}`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

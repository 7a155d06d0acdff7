/** All checks of what clients did and saw; the same for simulated clusters and for real processes. */
import type { History, Violation } from "../history/history.ts";
import { checkDurability } from "./durability.ts";
import { checkLeases, type LeaseRules } from "./leases.ts";
import { checkLinearizability, collectSeen, nothingSeen, searchStepsMax } from "./linearizability.ts";
import { checkStaleReads } from "./stale-reads.ts";
import { checkWatches } from "./watch.ts";

export interface HistoryRules {
  /** Without it leases are not checked. */
  readonly leases?: LeaseRules | undefined;
  readonly searchSteps?: number | undefined;
}

export interface HistoryReport {
  readonly violations: readonly Violation[];
  /** The search gave up: nothing is proven, nothing is found. */
  readonly isUndecided: boolean;
  /** Where the search came furthest before it gave up. */
  readonly undecided?: readonly string[];
}

export function checkHistory({ operations, watches }: History, rules: HistoryRules = {}): HistoryReport {
  const seen = collectSeen(operations, watches);
  const steps = rules.searchSteps ?? searchStepsMax;
  // If watchers or stale reads are wrong, no order may agree with them; then find one without, and let their checks tell.
  let result = checkLinearizability(operations, seen, steps);
  if (result.kind !== "linearizable")
    result = checkLinearizability(operations, { ...nothingSeen, events: seen.events }, steps);
  if (result.kind === "undecided") {
    return { violations: checkDurability(operations, Infinity), isUndecided: true, undecided: result.story };
  }
  if (result.kind === "violated") {
    return { violations: [result.violation, ...checkDurability(operations, Infinity)], isUndecided: false };
  }
  const { linearization } = result;
  return {
    violations: [
      ...checkDurability(operations, linearization.finalRevision),
      ...checkWatches(watches, linearization),
      ...checkStaleReads(operations, linearization),
      ...(rules.leases === undefined ? [] : checkLeases(operations, watches, linearization, rules.leases)),
    ],
    isUndecided: false,
  };
}

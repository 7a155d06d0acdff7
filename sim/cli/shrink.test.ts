import { expect, test } from "vitest";
import { drawPlan } from "../plan/draw.ts";
import type { Plan } from "../plan/plan.ts";
import type { SimulationResult } from "../run/simulation.ts";
import { shrink } from "./shrink.ts";

const plan = drawPlan({ seed: 3, minutes: 2, members: 3 });
const culprits = [plan.faults[3], plan.faults[9]];

/** Fails when both culprits are there, with somebody at work. */
function outcomeOf({ faults, clients }: Plan, checker = "watch"): SimulationResult {
  const fails = culprits.every((culprit) => faults.includes(culprit)) && clients.length > 0;
  const violations = fails ? [{ checker, message: "", story: [] }] : [];
  return { violations, failedAtMs: undefined } as unknown as SimulationResult;
}

test("what has nothing to do with the failure is left out", async () => {
  const { plan: short, runs } = await shrink(plan, outcomeOf(plan), (one) => Promise.resolve(outcomeOf(one)), Infinity);
  expect(short.faults).toEqual(culprits);
  expect(short.clients).toHaveLength(1);
  expect(short.watchers).toHaveLength(0);
  expect(runs).toBeLessThan(150);
});

test("another failure is not taken for the one looked for, and no run begins behind the deadline", async () => {
  const other = await shrink(plan, outcomeOf(plan), (one) => Promise.resolve(outcomeOf(one, "lease")), Infinity);
  expect(other.plan).toEqual(plan);
  const late = await shrink(plan, outcomeOf(plan), (one) => Promise.resolve(outcomeOf(one)), 0);
  expect(late.runs).toBe(0);
});

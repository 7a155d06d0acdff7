import { expect, test } from "vitest";
import { runPlan } from "../cli/run-seed.ts";
import { drawPlan } from "../plan/draw.ts";

test("a short run with faults: everything holds, and a second run of the plan is the same to the last byte", async () => {
  const plan = drawPlan({ seed: 6, minutes: 0.1, members: 3 });
  const first = await runPlan(plan, undefined);
  expect(first.violations).toEqual([]);
  expect(first.operations).toBeGreaterThan(30);
  const second = await runPlan(plan, undefined);
  expect(second.traceHash).toBe(first.traceHash);
}, 120_000);

test("a planted bug is caught, by a plan that finds nothing without it", async () => {
  const plan = drawPlan({ seed: 1, minutes: 0.2, members: 3, faults: ["compareHashes"] });
  const { violations } = await runPlan(plan, "apply-twice");
  expect(violations).not.toEqual([]);
  expect((await runPlan(plan, undefined)).violations).toEqual([]);
}, 120_000);

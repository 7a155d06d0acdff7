import { expect, test } from "vitest";
import { failpointNames } from "../../src/base/failpoints.ts";
import { drawPlan } from "./draw.ts";
import { describeFault, type Fault } from "./plan.ts";

const plans = Array.from({ length: 60 }, (_, seed) => drawPlan({ seed, minutes: 2, members: undefined }));
const faults: readonly Fault[] = plans.flatMap((plan) => plan.faults);

test("a seed gives one plan, and other seeds give others", () => {
  expect(drawPlan({ seed: 7, minutes: 2, members: undefined })).toEqual(plans[7]);
  expect(new Set(plans.map((plan) => JSON.stringify(plan))).size).toBe(plans.length);
});

test("every kind of fault comes up, in the order of time and within the run", () => {
  const kinds = new Set(faults.map(({ kind }) => kind));
  const expected =
    "badNetwork bitFlip blackout clockJump compact compareHashes cut defragment downgrade drift failedSync failpoint fullDisk grow " +
    "isolate kill lostDisk lostFile moveLeader pause powerFailure powerFailureAtWrite replace reset shrink sleepAlone slow slowDisk " +
    "snapshot stalledDisk stop";
  expect([...kinds].sort()).toEqual(expected.split(" "));
  for (const plan of plans) {
    const times = plan.faults.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(Math.max(0, ...times)).toBeLessThanOrEqual(plan.durationMs);
  }
});

test("failpoints are those that members have, and lines about faults are readable", () => {
  for (const fault of faults) {
    if (fault.kind === "failpoint") expect(failpointNames).toContain(fault.name);
    expect(describeFault(fault)).not.toMatch(/undefined|NaN|\[object/);
  }
});

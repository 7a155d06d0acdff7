/**
 * Makes the plan of a failure shorter while it still fails in the same way: less time, fewer faults, fewer clients. What is
 * left is the story to read.
 */
import type { Plan } from "../plan/plan.ts";
import type { SimulationResult } from "../run/simulation.ts";

export interface Shrinking {
  readonly plan: Plan;
  readonly result: SimulationResult;
  readonly runs: number;
}

/**
 * @param run - runs a plan.
 * @param deadline - `performance.now()` after which no run begins.
 */
export async function shrink(
  plan: Plan,
  result: SimulationResult,
  run: (plan: Plan) => Promise<SimulationResult>,
  deadline: number,
): Promise<Shrinking> {
  const wanted = result.violations[0]?.checker;
  let best: Shrinking = { plan, result, runs: 0 };
  let runs = 0;
  const attempt = async (candidate: Plan): Promise<boolean> => {
    if (performance.now() >= deadline) return false;
    runs += 1;
    const outcome = await run(candidate);
    if (!outcome.violations.some(({ checker }) => checker === wanted)) return false;
    best = { plan: candidate, result: outcome, runs };
    return true;
  };
  const untilFailure = Math.min(plan.durationMs, Math.ceil((result.failedAtMs ?? Infinity) / 500) * 500 + 500);
  for (const durationMs of [plan.durationMs / 8, plan.durationMs / 4, plan.durationMs / 2, untilFailure]) {
    if (durationMs >= plan.durationMs) continue;
    if (await attempt(until(best.plan, durationMs))) break;
  }
  for (let size = Math.ceil(best.plan.faults.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < best.plan.faults.length;) {
      const { faults } = best.plan;
      const fewer = [...faults.slice(0, start), ...faults.slice(start + size)];
      if (!(await attempt({ ...best.plan, faults: fewer }))) start += size;
    }
  }
  for (const list of ["clients", "watchers", "keepers"] as const) {
    for (let index = best.plan[list].length - 1; index >= 0; index--) {
      await attempt({ ...best.plan, [list]: best.plan[list].filter((_, place) => place !== index) });
    }
  }
  return { ...best, runs };
}

function until(plan: Plan, durationMs: number): Plan {
  return { ...plan, durationMs, faults: plan.faults.filter(({ atMs }) => atMs <= durationMs) };
}

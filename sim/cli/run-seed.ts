/** One seed, from its plan to a summary that can be sent between processes. */
import type { Mutation } from "../mutations/mutation.ts";
import { mutations, type MutationName } from "../mutations/mutations.ts";
import { drawPlan } from "../plan/draw.ts";
import type { Plan } from "../plan/plan.ts";
import { simulate, type SimulationOptions, type SimulationResult } from "../run/simulation.ts";

export interface Task {
  readonly seed: number;
  readonly minutes: number;
  readonly members: number | undefined;
  readonly mutation: MutationName | undefined;
}

export interface Summary extends Task {
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly operations: number;
  readonly unknown: number;
  readonly boots: number;
  readonly isUndecided: boolean;
  /** `checker: message` of each. */
  readonly violations: readonly string[];
}

export function planOf({ seed, minutes, members, mutation }: Task): Plan {
  const planted: Mutation | undefined = mutation === undefined ? undefined : mutations[mutation];
  return drawPlan({ ...planted?.hints, seed, minutes, members });
}

export async function runPlan(
  plan: Plan,
  mutation: MutationName | undefined,
  options: SimulationOptions = {},
): Promise<SimulationResult> {
  const undo = mutation === undefined ? undefined : mutations[mutation].plant();
  try {
    return await simulate(plan, options);
  } finally {
    undo?.();
  }
}

export async function runTask(task: Task): Promise<Summary> {
  const { traceHash, virtualMs, operations, unknown, boots, isUndecided, violations } = await runPlan(
    planOf(task),
    task.mutation,
  );
  const found = violations.map(({ checker, message }) => `${checker}: ${message}`);
  return { ...task, traceHash, virtualMs, operations, unknown, boots, isUndecided, violations: found };
}

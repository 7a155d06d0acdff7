/** What is printed of a failure. */
import { describeFault, type Plan } from "../plan/plan.ts";
import type { SimulationResult } from "../run/simulation.ts";

const logLinesMax = 12;

export function tellStory(plan: Plan, { violations, chronicle, logs }: SimulationResult, isVerbose: boolean): string {
  const lines: string[] = [];
  for (const { checker, message, story } of isVerbose ? violations : violations.slice(0, 3)) {
    lines.push(`${checker}: ${message}`, ...story.map((line) => `    ${line}`));
  }
  if (violations.length > 3 && !isVerbose) lines.push(`... and ${violations.length - 3} more`);
  lines.push(
    "",
    `${plan.members} members, ${plan.clients.length} clients, ${plan.watchers.length} watchers, ${plan.keepers.length} lease keepers`,
  );
  lines.push(`flags: ${plan.flags.join(" ")}`);
  lines.push(
    "what happened:",
    ...(chronicle.length > 0 ? chronicle : plan.faults.map(describeFault)).map((line) => `  ${line}`),
  );
  for (const [name, log] of logs) {
    if (log.length === 0) continue;
    lines.push(
      `the last words of ${name}:`,
      ...log.slice(isVerbose ? 0 : -logLinesMax).map((line) => `  ${line.slice(0, 300)}`),
    );
  }
  return lines.join("\n");
}

import { drawPlan } from "./plan/draw.ts";
import { simulate } from "./run/simulation.ts";

const seed = Number(process.argv[2] ?? 1);
const minutes = Number(process.argv[3] ?? 1);
const started = performance.now();
const plan = drawPlan({ seed, minutes, members: undefined });
const result = await simulate(plan, { verbose: process.argv[4] === "-v" });
const { logs, violations, chronicle, ...rest } = result;
console.log(rest, `${((performance.now() - started) / 1000).toFixed(1)} s`);
for (const v of violations) console.log(v.checker, v.message, v.story);
if (violations.length > 0 || process.argv[4] === "-v") {
  console.log(chronicle.join("\n"));
  for (const [name, lines] of logs) console.log(name, lines.slice(-60).join("\n   "));
}
process.exit(violations.length > 0 ? 1 : 0);

/** Runs trace files of all kinds and says where the output differs. */
import { ConfChangeBench } from "./confchange.ts";
import { InteractionBench } from "./interaction.ts";
import { runQuorumStep } from "./quorum.ts";
import { parseScript, trimEnd } from "./script.ts";
import type { Step } from "./script.ts";

export interface Mismatch {
  readonly step: Step;
  readonly actual: string;
}

/** Runs a trace. @returns the steps whose output is not as expected, up to one that could not be finished. */
export function runTrace(text: string): Mismatch[] {
  const steps = parseScript(text);
  const bench = createBench(steps);
  const mismatches: Mismatch[] = [];
  for (const step of steps) {
    let actual: string;
    try {
      actual = trimEnd(bench(step));
    } catch (error) {
      // A broken invariant or a malformed command: the state behind it means nothing, so the rest is not run.
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      mismatches.push({ step, actual: `failed: ${reason}` });
      break;
    }
    if (actual !== step.expected) mismatches.push({ step, actual });
  }
  return mismatches;
}

/** A trace whose expected outputs are replaced by the actual ones; comments and layout stay. */
export function rewriteTrace(text: string): string {
  const steps = parseScript(text);
  const bench = createBench(steps);
  const lines = text.split("\n");
  const kept: string[] = [];
  let position = 0;
  for (const step of steps) {
    while (lines[position] !== "----" || position < step.line - 1) kept.push(lines[position++]);
    kept.push("----");
    position++;
    const actual = trimEnd(bench(step));
    if (/^\s*$/m.test(actual)) throw new Error(`line ${step.line}: output with blank lines is not rewritten`);
    kept.push(actual);
    while (position < lines.length && lines[position].trim() !== "") position++;
  }
  return [...kept, ...lines.slice(position)].join("\n");
}

/** The commands tell the kind of a file; each file has a bench of its own. */
function createBench(steps: readonly Step[]): (step: Step) => string {
  const commands = new Set(steps.map((step) => step.command));
  if (commands.has("committed") || commands.has("vote")) return runQuorumStep;
  if (commands.has("simple") || commands.has("enter-joint") || commands.has("leave-joint")) {
    const confChange = new ConfChangeBench();
    return (step) => confChange.run(step);
  }
  const interaction = new InteractionBench();
  return (step) => interaction.run(step);
}

/** Expected and actual output side by side in one text: `-` lines are missing, `+` lines are extra. */
export function describeMismatch({ step, actual }: Mismatch): string {
  const title = [
    step.command,
    ...step.args.map(({ key, values }) => (values.length ? `${key}=${values.join(",")}` : key)),
  ];
  const lines = diffLines(step.expected.split("\n"), actual.split("\n"));
  return `line ${step.line}: ${title.join(" ")}\n${lines.map((line) => `    ${line}`).join("\n")}`;
}

/** A difference by longest common subsequence; outputs are at most some hundred lines. */
function diffLines(expected: readonly string[], actual: readonly string[]): string[] {
  const common = Array.from({ length: expected.length + 1 }, () => Array.from({ length: actual.length + 1 }, () => 0));
  for (let i = expected.length - 1; i >= 0; i--) {
    for (let j = actual.length - 1; j >= 0; j--) {
      common[i][j] =
        expected[i] === actual[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < expected.length || j < actual.length) {
    if (i < expected.length && j < actual.length && expected[i] === actual[j]) {
      lines.push(`  ${expected[i++]}`);
      j++;
    } else if (j === actual.length || (i < expected.length && common[i + 1][j] >= common[i][j + 1])) {
      lines.push(`- ${expected[i++]}`);
    } else {
      lines.push(`+ ${actual[j++]}`);
    }
  }
  return lines;
}

/** `npm run sim`: one seed with its story, many seeds on all cores, or the report on planted bugs. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Options, parseOptions, usage } from "./cli/options.ts";
import { planOf, runPlan, runTask, type Summary, type Task } from "./cli/run-seed.ts";
import { shrink } from "./cli/shrink.ts";
import { tellStory } from "./cli/story.ts";
import { runSwarm } from "./cli/swarm.ts";
import { type MutationName, mutations } from "./mutations/mutations.ts";
import type { Plan } from "./plan/plan.ts";

/** Seeds after which a planted bug counts as not caught. */
const seedsPerMutation = 12;
const program = fileURLToPath(import.meta.url);

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  if (options.isWorker) return serveAsWorker();
  if (options.mutations) return reportMutations(options);
  return options.seeds > 1 ? runMany(options) : runOne(options);
}

function serveAsWorker(): Promise<number> {
  process.on("message", (task: Task) => void runTask(task).then((summary) => process.send?.(summary)));
  return new Promise((resolve) => process.once("disconnect", () => resolve(0)));
}

async function runOne(options: Options): Promise<number> {
  const { seed, minutes, members, mutation, verbose } = options;
  const plan = options.plan === undefined ? planOf({ seed, minutes, members, mutation }) : readPlan(options.plan);
  const started = performance.now();
  const result = await runPlan(plan, mutation, {
    verbose,
    onHistory: (history) => {
      if (options.history !== undefined) writeFileSync(options.history, JSON.stringify(history));
    },
  });
  const {
    virtualMs,
    events,
    operations,
    unknown,
    watchMessages,
    boots,
    traceHash,
    isUndecided,
    hashComparisons,
    backupsChecked,
  } = result;
  const seconds = (performance.now() - started) / 1000;
  print(
    `seed ${plan.seed}: ${(virtualMs / 1000).toFixed(0)} simulated seconds in ${seconds.toFixed(1)} s, ${events} events, ` +
      `${operations} operations (${unknown} of unknown outcome), ${watchMessages} watch messages, ${boots} starts, ` +
      `${hashComparisons} hashes compared, ${backupsChecked} backups checked, trace ${traceHash}${isUndecided ? ", linearizability UNDECIDED" : ""}`,
  );
  if (options.twice) {
    const again = await runPlan(plan, mutation);
    if (again.traceHash !== traceHash) {
      print(`the same plan ran differently: ${traceHash}, then ${again.traceHash}`);
      return 1;
    }
    print("the second run has the same trace");
  }
  if (result.violations.length === 0) {
    if (verbose) print(tellStory(plan, result, true));
    return 0;
  }
  const deadline = performance.now() + options.shrinkMs;
  const shortest = await shrink(plan, result, (candidate) => runPlan(candidate, mutation, { verbose }), deadline);
  print(
    `FAILED, and still with ${shortest.plan.faults.length} of ${plan.faults.length} faults (${shortest.runs} runs to shrink):`,
  );
  print(tellStory(shortest.plan, shortest.result, verbose));
  const planFile = `sim-failure-${plan.seed}.json`;
  writeFileSync(planFile, JSON.stringify(shortest.plan, null, 1));
  const planted = mutation === undefined ? "" : ` --mutation ${mutation}`;
  print(
    `\nto run the whole again:  npm run sim -- --seed ${seed} --minutes ${minutes}${members === undefined ? "" : ` --members ${members}`}${planted}`,
  );
  print(`to run the short one:    npm run sim -- --plan ${planFile}${planted}`);
  return 1;
}

function readPlan(file: string): Plan {
  return JSON.parse(readFileSync(file, "utf8")) as Plan;
}

async function runMany(options: Options): Promise<number> {
  const { seed: first, seeds, minutes, members, mutation, workers, timeLimitMs } = options;
  const started = performance.now();
  const summaries: Summary[] = [];
  const failures: Summary[] = [];
  const lost: Task[] = [];
  let given = 0;
  await runSwarm({
    program,
    workers,
    next: () => {
      if (given >= seeds || performance.now() - started > timeLimitMs) return undefined;
      return { seed: first + given++, minutes, members, mutation };
    },
    onSummary: (summary) => {
      summaries.push(summary);
      if (summary.violations.length > 0) failures.push(summary);
      print(progressLine(summaries.length, summary, seeds, started, totalMs(summaries)));
    },
    onLost: (task) => {
      lost.push(task);
      print(`seed ${task.seed}: the worker died`);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  const hours = totalMs(summaries) / 3_600_000;
  print(
    `${summaries.length} seeds, ${hours.toFixed(2)} simulated hours in ${seconds.toFixed(0)} s ` +
      `(${((hours * 3600) / seconds).toFixed(1)} simulated seconds a second), ` +
      `${sum(summaries, "operations")} operations, ${sum(summaries, "boots")} starts, ` +
      `${summaries.filter(({ isUndecided }) => isUndecided).length} undecided, ${failures.length + lost.length} failed`,
  );
  for (const { seed, violations } of failures) {
    print(`seed ${seed}: ${violations[0]}`);
    print(
      `    npm run sim -- --seed ${seed} --minutes ${minutes}${members === undefined ? "" : ` --members ${members}`}`,
    );
  }
  return failures.length + lost.length > 0 ? 1 : 0;
}

function progressLine(done: number, summary: Summary, seeds: number, started: number, virtualMs: number): string {
  const { seed, operations, unknown, boots, violations, isUndecided } = summary;
  const speed = virtualMs / (performance.now() - started);
  const verdict = violations.length > 0 ? `FAILED ${violations[0]}` : isUndecided ? "undecided" : "ok";
  return `[${done}/${seeds}] seed ${seed}: ${verdict} (${operations} operations, ${unknown} unknown, ${boots} starts; ${speed.toFixed(1)}x)`;
}

/** Tries seeds on every mutation until it is caught. */
async function reportMutations(options: Options): Promise<number> {
  const names = options.only ?? (Object.keys(mutations) as MutationName[]);
  const started = performance.now();
  const caught = new Map<MutationName, Summary>();
  const tries = new Map<MutationName, number>();
  await runSwarm({
    program,
    workers: options.workers,
    next: () => {
      if (performance.now() - started > options.timeLimitMs) return undefined;
      const open = names.filter((name) => !caught.has(name) && (tries.get(name) ?? 0) < seedsPerMutation);
      const [mutation] = open.sort((a, b) => (tries.get(a) ?? 0) - (tries.get(b) ?? 0));
      if (mutation === undefined) return undefined;
      const attempt = tries.get(mutation) ?? 0;
      tries.set(mutation, attempt + 1);
      return { seed: options.seed + attempt, minutes: options.minutes, members: options.members, mutation };
    },
    onSummary: (summary) => {
      const { mutation, seed, violations } = summary;
      if (mutation === undefined || caught.has(mutation)) return;
      if (violations.length > 0) caught.set(mutation, summary);
      print(`${mutation}, seed ${seed}: ${violations[0] ?? "not caught"}`);
    },
    onLost: ({ mutation, seed }) => print(`${mutation}, seed ${seed}: the worker died`),
  });
  print("");
  let missed = 0;
  for (const name of names) {
    const summary = caught.get(name);
    const tried = tries.get(name) ?? 0;
    // One that was not tried long enough for lack of time says nothing.
    if (summary === undefined && tried >= seedsPerMutation) missed += 1;
    const verdict =
      summary === undefined
        ? `${tried >= seedsPerMutation ? "NOT caught" : "not caught yet"} by ${tried} seeds`
        : `caught by seed ${summary.seed} in ${options.minutes} min: ${summary.violations[0]}`;
    print(`${name.padEnd(24)} ${verdict}`);
  }
  print(
    `${caught.size} of ${names.length} planted bugs caught in ${((performance.now() - started) / 1000).toFixed(0)} s`,
  );
  return missed > 0 || caught.size === 0 ? 1 : 0;
}

function totalMs(summaries: readonly Summary[]): number {
  return sum(summaries, "virtualMs");
}

function sum(summaries: readonly Summary[], field: "virtualMs" | "operations" | "boots"): number {
  return summaries.reduce((total, summary) => total + summary[field], 0);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exit(await main());

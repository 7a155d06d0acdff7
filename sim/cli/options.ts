/** The command line of the simulator. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { isMutation, type MutationName } from "../mutations/mutations.ts";

export const usage = `Usage: npm run sim -- [OPTIONS]

Runs clusters of real members in simulated time, with faults drawn from a seed, and checks everything that clients and
observers saw. Exit code 0: nothing found; 1: something found; 2: wrong options.

  --seed N            the first (or only) seed; default 1
  --seeds COUNT       how many seeds, from --seed on; default 1. More than one run in worker processes
  --minutes M         simulated minutes of faults in each run; default 1
  --members 3|5       size of the cluster; default: drawn from the seed
  --workers K         worker processes; default: one per core
  --time-limit S      start no run after so many real seconds
  --mutation NAME     plant this bug
  --mutations         plant every bug in turn and report which are caught
  --only NAME,...     with --mutations: only these
  --twice             run the seed twice and compare the traces
  --plan FILE         run exactly this plan, as printed of a failure
  --shrink-seconds S  how long to look for a shorter story of a failure; default 60, 0 none
  --history FILE      write what clients did and saw, as JSON
  --verbose           what happened, and the logs of the members
`;

export interface Options {
  readonly seed: number;
  readonly seeds: number;
  readonly minutes: number;
  readonly members: number | undefined;
  readonly workers: number;
  readonly timeLimitMs: number;
  readonly mutation: MutationName | undefined;
  readonly mutations: boolean;
  readonly only: readonly MutationName[] | undefined;
  readonly twice: boolean;
  readonly plan: string | undefined;
  readonly shrinkMs: number;
  readonly history: string | undefined;
  readonly verbose: boolean;
  readonly isWorker: boolean;
}

/** @throws {Error} that says what is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: "string", default: "1" },
      seeds: { type: "string", default: "1" },
      minutes: { type: "string", default: "1" },
      members: { type: "string" },
      workers: { type: "string", default: String(availableParallelism()) },
      "time-limit": { type: "string", default: "Infinity" },
      mutation: { type: "string" },
      mutations: { type: "boolean", default: false },
      only: { type: "string" },
      twice: { type: "boolean", default: false },
      plan: { type: "string" },
      "shrink-seconds": { type: "string", default: "60" },
      history: { type: "string" },
      verbose: { type: "boolean", default: false },
      worker: { type: "boolean", default: false },
    },
  });
  return {
    seed: number("seed", values.seed),
    seeds: number("seeds", values.seeds),
    minutes: number("minutes", values.minutes),
    members: values.members === undefined ? undefined : number("members", values.members),
    workers: number("workers", values.workers),
    timeLimitMs: number("time-limit", values["time-limit"]) * 1000,
    mutation: values.mutation === undefined ? undefined : mutationOf(values.mutation),
    mutations: values.mutations,
    only: values.only?.split(",").map(mutationOf),
    twice: values.twice,
    plan: values.plan,
    shrinkMs: number("shrink-seconds", values["shrink-seconds"]) * 1000,
    history: values.history,
    verbose: values.verbose,
    isWorker: values.worker,
  };
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (Number.isNaN(value) || value < 0 || text === "")
    throw new Error(`--${name} takes a number, not ${JSON.stringify(text)}`);
  return value;
}

function mutationOf(name: string): MutationName {
  if (!isMutation(name))
    throw new Error(`there is no mutation ${JSON.stringify(name)}; see sim/mutations/mutations.ts`);
  return name;
}

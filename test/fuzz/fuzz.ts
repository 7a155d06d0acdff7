/** One target under fuzz: inputs from a seed, one after the other; a failure is made small and told with its seed. */
import { createHash } from "node:crypto";
import { minimised, mutated, generator } from "./random.ts";
import type { FuzzTarget } from "./target.ts";

const bytesMaxDefault = 4096;
/**
 * An input that takes more of the processor's time is a failure: a peer could keep a member busy with it. Time on the clock
 * says nothing on a machine that does other things, too.
 */
export const inputMsMax = 2_000;

/** Milliseconds that this process has had of the processor. */
export function spentMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export interface FuzzOutcome {
  readonly inputs: number;
  /** Taken, not refused. */
  readonly taken: number;
}

export class FuzzFailure extends Error {
  override readonly name = "FuzzFailure";
  readonly input: Uint8Array;
  constructor(message: string, input: Uint8Array, options: ErrorOptions) {
    super(message, options);
    this.input = input;
  }
}

export interface FuzzOptions {
  readonly seed: number;
  /** Asked before each input. */
  readonly isOver: (inputs: number) => boolean;
  /** Told before each input, which may hang. */
  readonly onInput?: (seed: number, input: Uint8Array) => void;
}

/** @throws {FuzzFailure} by rejection, with the smallest input found. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzOutcome> {
  const corpus = await target.corpus();
  const bytesMax = target.bytesMax ?? bytesMaxDefault;
  let inputs = 0;
  let taken = 0;
  for (; !options.isOver(inputs); inputs++) {
    const seed = options.seed + inputs;
    // Its own generator for each input: a seed names one of them, whatever came before.
    const random = generator(seed);
    const input = inputs < corpus.length ? corpus[inputs] : mutated(random, corpus, bytesMax);
    options.onInput?.(seed, input);
    const error = await failureOf(target, input);
    if (error === undefined) taken++;
    else if (error !== "refused") throw await failure(target, input, seed, error);
  }
  return { inputs, taken };
}

/** What running the input gives: undefined when it is taken, "refused", or the error that should not have come. */
export async function failureOf(target: FuzzTarget, input: Uint8Array): Promise<unknown> {
  const before = spentMs();
  let outcome: unknown;
  try {
    await target.run(new Uint8Array(input));
  } catch (error) {
    outcome = target.refuses(error) ? "refused" : error;
  }
  const tookMs = spentMs() - before;
  if (tookMs > inputMsMax) return new Error(`it took ${Math.round(tookMs)} ms, at most ${inputMsMax} are allowed`);
  return outcome;
}

async function failure(target: FuzzTarget, input: Uint8Array, seed: number, cause: unknown): Promise<FuzzFailure> {
  const isSame = async (candidate: Uint8Array): Promise<boolean> => {
    const error = await failureOf(target, candidate);
    return error instanceof Error && cause instanceof Error && error.constructor === cause.constructor;
  };
  const small = await minimised(input, isSame);
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  return new FuzzFailure(`${target.name}, seed ${seed}: ${text}`, small, { cause });
}

/** Name of the file that keeps an input as a regression. */
export function inputName(input: Uint8Array): string {
  return createHash("sha256").update(input).digest("hex").slice(0, 16);
}

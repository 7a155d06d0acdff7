/**
 * npm run test:fuzz -- [SECONDS] [TARGET|all] [SEED]: fuzzes each target in turn for an equal share of the time, in a
 * thread with little memory that is watched from outside, so that an input which hangs or fills the memory is found, too.
 * A failing input is made small and written to test/fixtures/fuzz/TARGET/, where the tests run it for ever after; the same
 * seed makes the same inputs.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { fuzz, FuzzFailure, inputMsMax, inputName, spentMs } from "./fuzz.ts";
import { fuzzTargets } from "./targets.ts";

/** Heap of the thread: none of the targets needs nearly as much for an input of kilobytes. */
const heapMegabytesMax = 256;
const inputBytesMax = 1 << 17;
/** The watchdog looks so often at an input that neither ends nor uses the processor, as one that waits for ever. */
const idleLooksMax = 60;

interface Job {
  readonly target: string;
  readonly seed: number;
  readonly milliseconds: number;
  /** Count of inputs, seed and length of the present one; then its bytes. */
  readonly watched: SharedArrayBuffer;
}

type Report = { inputs: number; taken: number } | { failure: string; input: Uint8Array };

async function work({ target: name, seed, milliseconds, watched }: Job): Promise<void> {
  const words = new Uint32Array(watched, 0, 3);
  const bytes = new Uint8Array(watched, 12);
  const target = fuzzTargets.find((one) => one.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  const until = performance.now() + milliseconds;
  try {
    const outcome = await fuzz(target, {
      seed,
      isOver: () => performance.now() >= until,
      onInput(inputSeed, input) {
        words[1] = inputSeed;
        words[2] = Math.min(input.length, inputBytesMax);
        bytes.set(input.subarray(0, inputBytesMax));
        words[0]++;
      },
    });
    parentPort?.postMessage(outcome);
  } catch (error) {
    if (!(error instanceof FuzzFailure)) throw error;
    parentPort?.postMessage({ failure: error.message, input: error.input });
  }
}

/** Runs a target in a thread of its own. @returns false when an input failed. */
function watch(job: Job): Promise<boolean> {
  const words = new Uint32Array(job.watched, 0, 3);
  const present = (): Uint8Array => new Uint8Array(new Uint8Array(job.watched, 12, words[2]));
  return new Promise((resolve) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: job,
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
    });
    let count = -1;
    let before = 0;
    let looks = 0;
    const watchdog = setInterval(() => {
      if (words[0] !== count) {
        count = words[0];
        before = spentMs();
        looks = 0;
      } else if (spentMs() - before > inputMsMax * 2 || ++looks > idleLooksMax) {
        fail(`${job.target}, seed ${words[1]}: the input does not end`, present());
      }
    }, inputMsMax);
    const end = (isGood: boolean): void => {
      clearInterval(watchdog);
      void worker.terminate().then(() => resolve(isGood));
    };
    const fail = (text: string, input: Uint8Array): void => {
      console.log(text);
      const directory = join("test", "fixtures", "fuzz", job.target);
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, inputName(input)), input);
      console.log(`the input is in ${join(directory, inputName(input))}`);
      end(false);
    };
    worker.once("message", (report: Report) => {
      if ("failure" in report) return fail(report.failure, report.input);
      console.log(`${job.target}: ${report.inputs} inputs, ${report.taken} taken, from seed ${job.seed}`);
      end(true);
    });
    worker.once("error", (error) =>
      fail(`${job.target}, seed ${words[1]}: ${error.stack ?? error.message}`, present()),
    );
  });
}

async function main(): Promise<void> {
  const [seconds = "60", name = "all", first = String(Date.now() % 0x7fff_ffff)] = process.argv.slice(2);
  const chosen = fuzzTargets.filter((target) => name === "all" || target.name === name);
  if (chosen.length === 0) {
    console.log(`no target ${name}; there are ${fuzzTargets.map((target) => target.name).join(", ")}`);
    process.exit(2);
  }
  const milliseconds = (Number(seconds) * 1000) / chosen.length;
  console.log(`seed ${first}, ${Math.round(milliseconds)} ms a target`);
  let failed = 0;
  for (const target of chosen) {
    const watched = new SharedArrayBuffer(12 + inputBytesMax);
    if (!(await watch({ target: target.name, seed: Number(first), milliseconds, watched }))) failed++;
  }
  console.log(failed === 0 ? "nothing found" : `${failed} of ${chosen.length} targets failed; again: seed ${first}`);
  process.exit(failed === 0 ? 0 : 1);
}

if (isMainThread) await main();
else await work(workerData as Job);

/**
 * A thread that makes bytes durable in one trip: `pwrite`, then `fdatasync`.
 *
 *     loop    copy ─► wake ─────────────────────────────► message: times, or the error
 *     thread          └─► pwrite ─► pwrite zeros ─► fdatasync ─┘
 *
 * On libuv's pool they are two trips, and the second begins only when the loop comes round to the first one's end: under
 * load, after everything that came meanwhile was handled. The log had half of each of its rounds in that place (100
 * streams of puts: 0.30 ms until the write was seen to be done, 0.26 for the sync). Written in the loop the bytes would be as
 * soon under way, but a write can wait for the disk (a journal that commits, dirty pages beyond the limit), and the loop
 * must not. `O_DSYNC` would do with one call, but a sync is to be seen by whoever measures or delays it.
 *
 * The thread starts when so much is written that it pays, keeps no process alive while it has nothing to do, and takes
 * one write at a time; whatever it does not take goes the way of the pool. There is one in a process: a thread waits until the
 * process ends, and a test run that starts hundreds of members would gather as many. Its program stands in a string: it must run
 * from sources, from the build and from a bundle alike.
 */
import { Worker } from "node:worker_threads";
import type { DurableWrite } from "../disk.ts";
import type { Logger } from "../logger.ts";

/** Writes until the thread is started: a start, and tools, do without. */
const STARTS_AFTER_WRITES = 64;
/** Largest write that is taken, and zeros behind it. */
const BYTES_MAX = 1 << 20;
const ZEROS_MAX = 1 << 20;

/**
 * Shared memory: the words, two 64-bit floats, the bytes. The floats are the position (first) on the way there, and the two
 * durations on the way back.
 */
const Word = { turn: 0, descriptor: 1, length: 2, zeros: 3 } as const;
const NUMBERS_OFFSET = 32;
const BYTES_OFFSET = 64;

const program = `
const { parentPort, workerData } = require("node:worker_threads");
const { writeSync, fdatasyncSync } = require("node:fs");
const words = new Int32Array(workerData.memory, 0, 4);
const numbers = new Float64Array(workerData.memory, ${NUMBERS_OFFSET}, 2);
const bytes = new Uint8Array(workerData.memory, ${BYTES_OFFSET});
const zeros = new Uint8Array(${ZEROS_MAX});
function write(descriptor, source, length, position) {
  for (let count = 0; count < length; ) count += writeSync(descriptor, source, count, length - count, position + count);
}
parentPort.postMessage(undefined);
for (let turn = 0; ; ) {
  Atomics.wait(words, ${Word.turn}, turn);
  turn = Atomics.load(words, ${Word.turn});
  let failure;
  try {
    const descriptor = words[${Word.descriptor}];
    const length = words[${Word.length}];
    const begun = performance.now();
    write(descriptor, bytes, length, numbers[0]);
    if (words[${Word.zeros}] > 0) write(descriptor, zeros, words[${Word.zeros}], numbers[0] + length);
    const written = performance.now();
    fdatasyncSync(descriptor);
    numbers[0] = written - begun;
    numbers[1] = performance.now() - written;
  } catch ({ code, errno, syscall, message }) {
    failure = { code, errno, syscall, message };
  }
  parentPort.postMessage(failure);
}
`;

/** What the system said, as far as it survives the way between threads. */
export type SystemFailure = Pick<NodeJS.ErrnoException, "code" | "errno" | "syscall" | "message">;

interface Waiting {
  readonly resolve: (times: DurableWrite) => void;
  readonly reject: (error: Error) => void;
  readonly toError: (failure: SystemFailure) => Error;
}

export interface ThreadWrite {
  readonly descriptor: number;
  readonly source: Uint8Array;
  readonly position: number;
  /** Bytes of zero behind `source`. */
  readonly zeros: number;
  readonly toError: (failure: SystemFailure) => Error;
  /** Hears when the thread ends, if this was the last write it took. */
  readonly log: Logger;
}

class SyncThread {
  #log: Logger | undefined;
  #worker: Worker | undefined;
  #writes = 0;
  /** Runs and waits for work. */
  #isReady = false;
  #hasEnded = false;
  #waiting: Waiting | undefined;
  #memory = new SharedArrayBuffer(0);
  #words = new Int32Array(this.#memory);
  #numbers = new Float64Array(this.#memory);
  #bytes = new Uint8Array(this.#memory);

  /** @returns undefined when it is not taken, and nothing was done. The bytes are copied before this returns. */
  write({ descriptor, source, position, zeros, toError, log }: ThreadWrite): Promise<DurableWrite> | undefined {
    if (++this.#writes === STARTS_AFTER_WRITES) this.#start();
    if (!this.#isReady || source.length > BYTES_MAX || zeros > ZEROS_MAX) return undefined;
    this.#isReady = false;
    this.#log = log;
    this.#bytes.set(source);
    const words = this.#words;
    words[Word.descriptor] = descriptor;
    words[Word.length] = source.length;
    words[Word.zeros] = zeros;
    this.#numbers[0] = position;
    this.#worker?.ref();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, toError };
      Atomics.add(words, Word.turn, 1);
      Atomics.notify(words, Word.turn);
    });
  }

  #start(): void {
    const memory = new SharedArrayBuffer(BYTES_OFFSET + BYTES_MAX);
    this.#memory = memory;
    this.#words = new Int32Array(memory, 0, 4);
    this.#numbers = new Float64Array(memory, NUMBERS_OFFSET, 2);
    this.#bytes = new Uint8Array(memory, BYTES_OFFSET);
    const resourceLimits = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, stackSizeMb: 1 };
    const worker = new Worker(program, { eval: true, workerData: { memory }, resourceLimits, execArgv: [] });
    worker.unref();
    worker.on("message", (failure: SystemFailure | undefined) => this.#done(failure));
    worker.on("error", (error) => this.#ended(error));
    worker.on("exit", () => this.#ended(undefined));
    this.#worker = worker;
  }

  #done(failure: SystemFailure | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#isReady = true;
    this.#worker?.unref();
    if (failure !== undefined) waiting?.reject(waiting.toError(failure));
    else waiting?.resolve({ writeMs: this.#numbers[0], syncMs: this.#numbers[1] });
  }

  /** Nobody knows how far a write came that was under way. */
  #ended(error: Error | undefined): void {
    this.#isReady = false;
    const waiting = this.#waiting;
    waiting?.reject(waiting.toError({ code: "EIO", message: "the thread that writes the log has ended" }));
    this.#waiting = undefined;
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#log?.warn("the thread that writes the log has ended; writing goes on without it", { error });
  }
}

export const syncThread = new SyncThread();

/** Many seeds on all cores: worker processes that take one task after the other, and are replaced now and then. */
import { fork, type ChildProcess } from "node:child_process";
import type { Summary, Task } from "./run-seed.ts";

/** A worker that has run so many seeds makes room for a fresh one. */
const tasksPerWorker = 20;

export interface SwarmOptions {
  /** The program of a worker: this very bundle. */
  readonly program: string;
  readonly workers: number;
  /** The next task; undefined when there is no more. */
  readonly next: () => Task | undefined;
  readonly onSummary: (summary: Summary) => void;
  /** A worker ended in the middle of a task. */
  readonly onLost: (task: Task) => void;
}

/** Resolves when all tasks are done. */
export async function runSwarm(options: SwarmOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.workers }, () => serve(options)));
}

async function serve(options: SwarmOptions): Promise<void> {
  for (let task = options.next(); task !== undefined; task = options.next()) {
    const worker = fork(options.program, ["--worker"], { execArgv: ["--enable-source-maps"] });
    let current: Task | undefined = task;
    for (let count = 1; current !== undefined; count++) {
      const summary = await ask(worker, current);
      if (summary === undefined) {
        options.onLost(current);
        break;
      }
      options.onSummary(summary);
      current = count < tasksPerWorker ? options.next() : undefined;
    }
    worker.kill();
  }
}

/** @returns undefined when the worker ended without an answer. */
function ask(worker: ChildProcess, task: Task): Promise<Summary | undefined> {
  return new Promise((resolve) => {
    const lost = (): void => resolve(undefined);
    worker.once("exit", lost);
    worker.once("message", (summary) => {
      worker.off("exit", lost);
      resolve(summary as Summary);
    });
    worker.send(task);
  });
}

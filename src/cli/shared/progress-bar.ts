/** A bar that moves on standard error while something long runs, when that is a terminal. */
import { isatty } from "node:tty";
import type { Sink } from "./terminal.ts";

const width = 60;

export class ProgressBar {
  readonly #sink: Sink;
  readonly #total: number;
  readonly #isShown: boolean;
  #shown = "";

  constructor(sink: Sink, total: number, isShown: boolean = isatty(2)) {
    this.#sink = sink;
    this.#total = total;
    this.#isShown = isShown;
  }

  /** Draws only what looks different from what stands there. */
  show(done: number): void {
    const share = this.#total === 0 ? 1 : Math.min(1, done / this.#total);
    const filled = Math.round(share * width);
    const bar = filled < width ? `${"-".repeat(filled)}>`.slice(0, width).padEnd(width, "_") : "-".repeat(width);
    const line = `${Math.min(done, this.#total)} / ${this.#total} [${bar}] ${(share * 100).toFixed(2)}%`;
    if (!this.#isShown || line === this.#shown) return;
    this.#shown = line;
    this.#sink.write(`\r${line}`);
  }

  finish(): void {
    this.show(this.#total);
    if (this.#isShown) this.#sink.write("\n");
  }
}

/** Where a printer writes, with the options that change how values look. */
import type { Sink } from "../../shared/terminal.ts";

export class Page {
  readonly #output: Sink;
  readonly #error: Sink;
  /** `--hex`: keys and values as `\xNN`, ids in hexadecimal where the format says so. */
  readonly hex: boolean;
  /** `--print-value-only`: pairs without their keys. */
  valuesOnly = false;

  constructor(output: Sink, error: Sink, hex: boolean) {
    this.#output = output;
    this.#error = error;
    this.hex = hex;
  }

  text(text: string): void {
    this.#output.write(text);
  }

  line(text: string): void {
    this.#output.write(`${text}\n`);
  }

  bytes(bytes: Uint8Array): void {
    this.#output.write(bytes);
  }

  errorLine(text: string): void {
    this.#error.write(`${text}\n`);
  }
}

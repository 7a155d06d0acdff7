/**
 * The world of a command line: output, input, environment. Commands get it as an object, so that tests see what they
 * print. Output is bytes: keys and values are printed as they are, whatever they hold.
 */
import { fstatSync, readSync, writeSync } from "node:fs";
import { emptyBytes } from "../../base/bytes.ts";

/** Takes text (as UTF-8) or bytes, in order. */
export interface Sink {
  write(part: string | Uint8Array): void;
}

export interface Terminal {
  readonly output: Sink;
  readonly error: Sink;
  /** All of standard input, to its end. */
  readInput(): Uint8Array;
  /** Lines of standard input without waiting in a system call, so that signals and streams go on. */
  lines(): AsyncIterableIterator<InputLine>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Sends out what is buffered. */
  flush(): void;
}

/** A line without its newline; `complete` is false for a last line that the input ended without one. */
export interface InputLine {
  readonly text: string;
  readonly complete: boolean;
}

/** Bytes kept back before a write: one system call for the usual answer, bounded memory for a long one. */
const flushBytes = 64 * 1024;

/** Buffers what is written and hands it to a file descriptor. */
class DescriptorSink implements Sink {
  readonly #descriptor: number;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(part: string | Uint8Array): void {
    const bytes = typeof part === "string" ? Buffer.from(part, "utf8") : part;
    this.#parts.push(bytes);
    this.#size += bytes.length;
    if (this.#size >= flushBytes) this.flush();
  }

  flush(): void {
    if (this.#size === 0) return;
    const bytes = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#size = 0;
    for (let offset = 0; offset < bytes.length;) {
      try {
        offset += writeSync(this.#descriptor, bytes, offset);
      } catch (error) {
        // A pipe that another process made non-blocking: wait until the reader has taken something.
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
  }
}

/** Standard output, error and input of this process. */
export function processTerminal(): Terminal {
  const output = new DescriptorSink(1);
  const error = new DescriptorSink(2);
  return {
    output,
    error: {
      // Errors appear at once, and behind what was printed before.
      write(part) {
        output.flush();
        error.write(part);
        error.flush();
      },
    },
    readInput: () => readDescriptor(0),
    lines: () => inputLines(),
    environment: process.env,
    flush() {
      output.flush();
      error.flush();
    },
  };
}

const readChunkBytes = 64 * 1024;

function readDescriptor(descriptor: number): Uint8Array {
  const parts: Uint8Array[] = [];
  try {
    fstatSync(descriptor);
  } catch {
    return emptyBytes; // closed by the parent: nothing to read
  }
  for (;;) {
    const chunk = Buffer.allocUnsafe(readChunkBytes);
    let size: number;
    try {
      size = readSync(descriptor, chunk, 0, readChunkBytes, null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EOF") break;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      continue;
    }
    if (size === 0) break;
    parts.push(chunk.subarray(0, size));
  }
  return Buffer.concat(parts);
}

/** Longest line of interactive input kept; a longer one is cut off with the process rather than eat all memory. */
const lineBytesMax = 64 * 1024 * 1024;

async function* inputLines(): AsyncIterableIterator<InputLine> {
  let pending = "";
  process.stdin.setEncoding("utf8");
  for await (const chunk of process.stdin as AsyncIterable<string>) {
    pending += chunk;
    if (pending.length > lineBytesMax) throw new Error(`input line is longer than ${lineBytesMax} bytes`);
    for (let end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
      yield { text: pending.slice(0, end), complete: true };
      pending = pending.slice(end + 1);
    }
  }
  if (pending !== "") yield { text: pending, complete: false };
}

/**
 * The member's log: one JSON line each with etcd's keys (`level`, `ts`, `caller`, `msg`, fields), or the tab-separated
 * console form. Lines of one message are sampled as etcd does: per second the first 100, then every 100th.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import pino from "pino";
import { formatDuration } from "../../base/duration.ts";
import type { Clock } from "../../platform/clock.ts";
import type { LogFields, Logger, LogLevel } from "../../platform/logger.ts";
import { LeveledLogger } from "../../platform/leveled-logger.ts";
import { JournalOutput } from "./journal-output.ts";
import type { LogRotation } from "./log-rotation.ts";
import { RotatingFile } from "./rotating-file.ts";

const sampleFirst = 100;
const sampleThereafter = 100;
const samplePeriodMs = 1000;

const severity: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50, panic: 55, fatal: 60 };

export interface LoggingOptions {
  /** debug, info, warn, error, dpanic, panic or fatal. */
  readonly level: string;
  readonly format: "json" | "console";
  /** `default`, `stderr`, `stdout`, `systemd/journal`, or file paths. */
  readonly outputs: readonly string[];
  /** Undefined: files grow for ever. */
  readonly rotation?: LogRotation | undefined;
}

/** A level that is none. @throws by {@link createLogger}. */
export class UnknownLevelError extends Error {
  override readonly name = "UnknownLevelError";
}

/**
 * Opens the outputs and gives the root logger. Lines are written before the call returns, so none is lost in a crash.
 *
 * @throws {UnknownLevelError}
 * @throws {Error} when a file cannot be opened.
 */
export function createLogger(options: LoggingOptions, clock: Clock): Logger {
  const minimum = options.level === "dpanic" ? severity.panic : severity[options.level as LogLevel];
  if (minimum === undefined) throw new UnknownLevelError(`unrecognized level: ${JSON.stringify(options.level)}`);
  const write = lineWriter(options.format, openOutputs(options, clock));
  return new StructuredLogger(write, minimum, clock, "", new Sampler());
}

/** What takes lines. Each is told the level of the line that comes next. */
interface Output {
  write(line: string, level: LogLevel): void;
}

/** Lines held for an output that takes none (a full disk); beyond that they are lost, and the member lives on. */
const heldBytesMax = 1 << 20;

function openOutputs({ outputs, rotation }: LoggingOptions, clock: Clock): readonly Output[] {
  if (outputs.includes("/dev/null")) return [];
  const wanted = new Set(outputs.map((output) => (output === "default" ? "stderr" : output)));
  return [...wanted].map((output) => {
    if (output === "stdout") return descriptor({ fd: 1 });
    if (output === "stderr") return descriptor({ fd: 2 });
    if (output === "systemd/journal") return journal();
    try {
      if (output === "") throw new Error("open : no such file or directory");
      if (rotation !== undefined) return new RotatingFile(output, rotation, clock, complain);
      closeSync(openSync(output, "a", 0o644));
    } catch (cause) {
      throw new Error(`open sink ${JSON.stringify(output)}: ${openError(output, cause)}`, { cause });
    }
    return descriptor({ dest: output });
  });
}

function descriptor(target: { fd: number } | { dest: string }): Output {
  const stream = pino.destination({ ...target, sync: true, append: true, maxLength: heldBytesMax });
  // What cannot be written is tried again with the next line.
  stream.on("error", () => undefined);
  return stream;
}

function journal(): Output {
  const fallback = descriptor({ fd: 2 });
  const output = new JournalOutput((line) => fallback.write(line, "info"));
  return { write: (line, level) => output.write(level, line) };
}

function complain(text: string): void {
  try {
    writeSync(2, `etcd: log: ${text}\n`);
  } catch {
    // Nobody is left to tell.
  }
}

function openError(path: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such file or directory",
    EACCES: "permission denied",
    EISDIR: "is a directory",
    ENOTDIR: "not a directory",
  };
  if (Object.hasOwn(reasons, code)) return `open ${path}: ${reasons[code]}`;
  return error instanceof Error ? error.message : String(error);
}

type WriteLine = (level: LogLevel, time: string, caller: string, message: string, fields: LogFields) => void;

function lineWriter(format: LoggingOptions["format"], outputs: readonly Output[]): WriteLine {
  let level: LogLevel = "info";
  const stream = {
    write(line: string): void {
      for (const output of outputs) output.write(line, level);
    },
  };
  if (format === "console") {
    return (lineLevel, time, caller, message, fields) => {
      const rest = Object.keys(fields).length === 0 ? "" : `\t${JSON.stringify(plain(fields))}`;
      level = lineLevel;
      stream.write(`${time}\t${lineLevel}\t${caller}\t${message}${rest}\n`);
    };
  }
  const logger = pino(
    {
      level: "trace",
      base: null,
      timestamp: false,
      customLevels: { panic: severity.panic },
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  return (lineLevel, time, caller, message, fields) => {
    level = lineLevel;
    // The message goes in as a field: pino would put it last, and etcd's lines have it before the fields.
    logger[lineLevel]({ ts: time, caller, msg: message, ...plain(fields) });
  };
}

class StructuredLogger extends LeveledLogger {
  readonly #write: WriteLine;
  readonly #minimum: number;
  readonly #clock: Clock;
  readonly #caller: string;
  readonly #sampler: Sampler;

  constructor(write: WriteLine, minimum: number, clock: Clock, caller: string, sampler: Sampler) {
    super();
    this.#write = write;
    this.#minimum = minimum;
    this.#clock = clock;
    this.#caller = caller;
    this.#sampler = sampler;
  }

  enabled(level: LogLevel): boolean {
    return severity[level] >= this.#minimum;
  }

  log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (severity[level] < this.#minimum) return;
    const now = this.#clock.now();
    if (!this.#sampler.admits(level, message, now)) return;
    this.#write(level, timestamp(now), this.#caller, message, fields);
  }

  withCaller(caller: string): Logger {
    return new StructuredLogger(this.#write, this.#minimum, this.#clock, caller, this.#sampler);
  }
}

/** zap's sampling: counts lines by level and message within one second. */
class Sampler {
  #periodStart = 0;
  readonly #counts = new Map<string, number>();

  admits(level: LogLevel, message: string, now: number): boolean {
    if (now - this.#periodStart >= samplePeriodMs || now < this.#periodStart) {
      this.#periodStart = now;
      this.#counts.clear();
    }
    const key = `${level} ${message}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count <= sampleFirst || (count - sampleFirst) % sampleThereafter === 0;
  }
}

/** `2006-01-02T15:04:05.000000Z`; the clock has milliseconds, so the last three digits are zeros. */
function timestamp(now: number): string {
  return new Date(now).toISOString().replace("Z", "000Z");
}

/** What JSON cannot hold becomes text: ids as decimal, errors as their message, times as Go prints durations. */
function plain(fields: LogFields): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (typeof value === "bigint") out[key] = value.toString();
    else if (value instanceof Error) out[key] = value.message;
    else if (value instanceof DurationField) out[key] = formatDuration(value.ms);
    else if (Array.isArray(value)) out[key] = value.map((item) => (typeof item === "bigint" ? item.toString() : item));
    else if (value !== undefined) out[key] = value;
  }
  return out;
}

/** A field that prints as a Go duration: `{ took: new DurationField(12.5) }` → `"took":"12.5ms"`. */
export class DurationField {
  readonly ms: number;
  constructor(ms: number) {
    this.ms = ms;
  }
}

/**
 * The member's log: one JSON line each with etcd's keys (`level`, `ts`, `caller`, `msg`, fields), or the tab-separated
 * console form. Lines of one message are sampled as etcd does: per second the first 100, then every 100th.
 */
import pino from "pino";
import { formatDuration } from "../../base/duration.ts";
import type { Clock } from "../../platform/clock.ts";
import type { LogFields, Logger, LogLevel } from "../../platform/logger.ts";

const sampleFirst = 100;
const sampleThereafter = 100;
const samplePeriodMs = 1000;

const severity: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50, panic: 55, fatal: 60 };

export interface LoggingOptions {
  /** debug, info, warn, error, dpanic, panic or fatal. */
  readonly level: string;
  readonly format: "json" | "console";
  /** `default`, `stderr`, `stdout`, or file paths. */
  readonly outputs: readonly string[];
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
  const outputs = options.outputs.map((output) => {
    if (output === "stdout") return { level: "trace" as const, stream: pino.destination({ fd: 1, sync: true }) };
    if (output === "default" || output === "stderr") {
      return { level: "trace" as const, stream: pino.destination({ fd: 2, sync: true }) };
    }
    return { level: "trace" as const, stream: pino.destination({ dest: output, sync: true, append: true }) };
  });
  const stream = outputs.length === 1 ? outputs[0].stream : pino.multistream(outputs);
  return new StructuredLogger(lineWriter(options.format, stream), minimum, clock, "", new Sampler());
}

type WriteLine = (level: LogLevel, time: string, caller: string, message: string, fields: LogFields) => void;

function lineWriter(format: LoggingOptions["format"], stream: pino.DestinationStream): WriteLine {
  if (format === "console") {
    return (level, time, caller, message, fields) => {
      const rest = Object.keys(fields).length === 0 ? "" : `\t${JSON.stringify(plain(fields))}`;
      stream.write(`${time}\t${level}\t${caller}\t${message}${rest}\n`);
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
  return (level, time, caller, message, fields) => {
    // The message goes in as a field: pino would put it last, and etcd's lines have it before the fields.
    logger[level]({ ts: time, caller, msg: message, ...plain(fields) });
  };
}

class StructuredLogger implements Logger {
  readonly #write: WriteLine;
  readonly #minimum: number;
  readonly #clock: Clock;
  readonly #caller: string;
  readonly #sampler: Sampler;

  constructor(write: WriteLine, minimum: number, clock: Clock, caller: string, sampler: Sampler) {
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

  debug(message: string, fields?: LogFields): void {
    this.log("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.log("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.log("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.log("error", message, fields);
  }

  fatal(message: string, fields?: LogFields): void {
    this.log("fatal", message, fields);
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

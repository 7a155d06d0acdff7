/**
 * The smallest log sink: one JSON object a line on standard error, with the fields of etcd's default logger
 * (`level`, `ts`, `caller`, `msg`, then the caller's own). For tools, tests and the time before the real sink is up.
 */
import type { LogFields, Logger, LogLevel } from "../logger.ts";
import { LeveledLogger, severityOf } from "../leveled-logger.ts";

/** A logger that prints `level` and above through `write` (standard error when left out). */
export function createStderrLogger(
  level: LogLevel,
  write: (line: string) => void = (line) => void process.stderr.write(line),
): Logger {
  return new JsonLogger(severityOf[level], "quorate", write);
}

class JsonLogger extends LeveledLogger {
  readonly #rank: number;
  readonly #caller: string;
  readonly #write: (line: string) => void;

  constructor(rank: number, caller: string, write: (line: string) => void) {
    super();
    this.#rank = rank;
    this.#caller = caller;
    this.#write = write;
  }

  enabled(level: LogLevel): boolean {
    return severityOf[level] >= this.#rank;
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.enabled(level)) return;
    const line = { level, ts: formatTimestamp(), caller: this.#caller, msg: message, ...fields };
    this.#write(`${JSON.stringify(line, printable)}\n`);
  }

  withCaller(caller: string): Logger {
    return new JsonLogger(this.#rank, caller, this.#write);
  }
}

function printable(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Error) return value.message;
  return value;
}

/**
 * Go's layout `2006-01-02T15:04:05.999999Z0700`: local time, microseconds without trailing zeros, `Z` for UTC or
 * `+hhmm`.
 *
 * @param epochMs - milliseconds since 1970 with fraction; now when left out.
 */
export function formatTimestamp(epochMs: number = performance.timeOrigin + performance.now()): string {
  const micros = Math.floor(epochMs * 1000);
  const offsetMinutes = -new Date(epochMs).getTimezoneOffset();
  const local = new Date(Math.floor(micros / 1000) + offsetMinutes * 60_000).toISOString();
  const fraction = (micros % 1_000_000).toString().padStart(6, "0").replace(/0+$/, "");
  return local.slice(0, 19) + (fraction === "" ? "" : `.${fraction}`) + formatOffset(offsetMinutes);
}

function formatOffset(minutes: number): string {
  if (minutes === 0) return "Z";
  const size = Math.abs(minutes);
  const digits = (Math.floor(size / 60) * 100 + (size % 60)).toString().padStart(4, "0");
  return (minutes < 0 ? "-" : "+") + digits;
}

/** The log of one simulated member: its last lines are kept, for the story of a failure; formatting waits until it is told. */
import type { LogFields, Logger, LogLevel } from "../../src/platform/logger.ts";

const linesMax = 400;
const levels: readonly LogLevel[] = ["debug", "info", "warn", "error", "panic", "fatal"];

interface Line {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export class SimLog implements Logger {
  readonly #now: () => number;
  readonly #lowest: number;
  readonly #lines: Line[] = [];

  constructor(now: () => number, lowest: LogLevel = "warn") {
    this.#now = now;
    this.#lowest = levels.indexOf(lowest);
  }

  /** The lines since `fromMs`, formatted. */
  lines(fromMs = 0): string[] {
    return this.#lines.filter(({ atMs }) => atMs >= fromMs).map(format);
  }

  enabled(level: LogLevel): boolean {
    return levels.indexOf(level) >= this.#lowest;
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.enabled(level)) return;
    this.#lines.push({ atMs: this.#now(), level, message, fields });
    if (this.#lines.length > 2 * linesMax) this.#lines.splice(0, linesMax);
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

  withCaller(): Logger {
    return this;
  }
}

function format({ atMs, level, message, fields = {} }: Line): string {
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${show(value)}`);
  return `[${atMs.toFixed(1)}] ${level} ${message} ${rest.join(" ")}`.trimEnd();
}

function show(value: unknown): string {
  if (value instanceof Error) return value.message;
  return typeof value === "string" ? value : JSON.stringify(value, replaceBigInt);
}

function replaceBigInt(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString(16) : value;
}

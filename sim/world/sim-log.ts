/** The log of one simulated member: its last lines are kept, for the story of a failure; formatting waits until it is told. */
import type { LogFields, Logger, LogLevel } from "../../src/platform/logger.ts";
import { LeveledLogger, severityOf } from "../../src/platform/leveled-logger.ts";

const linesMax = 400;

interface Line {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export class SimLog extends LeveledLogger {
  readonly #now: () => number;
  readonly #lowest: number;
  readonly #lines: Line[] = [];

  constructor(now: () => number, lowest: LogLevel = "warn") {
    super();
    this.#now = now;
    this.#lowest = severityOf[lowest];
  }

  /** The lines since `fromMs`, formatted. */
  lines(fromMs = 0): string[] {
    return this.#lines.filter(({ atMs }) => atMs >= fromMs).map(format);
  }

  enabled(level: LogLevel): boolean {
    return severityOf[level] >= this.#lowest;
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.enabled(level)) return;
    this.#lines.push({ atMs: this.#now(), level, message, fields });
    if (this.#lines.length > 2 * linesMax) this.#lines.splice(0, linesMax);
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

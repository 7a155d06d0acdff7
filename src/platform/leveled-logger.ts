/** What all sinks of the log share: one method a level, all of which go through `log`. */
import type { LogFields, Logger, LogLevel } from "./logger.ts";

/** Levels in rising order; `severityOf[a] >= severityOf[b]`: a line of level `a` is printed where `b` is the lowest. */
export const severityOf: Readonly<Record<LogLevel, number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  panic: 4,
  fatal: 5,
};

export abstract class LeveledLogger implements Logger {
  abstract enabled(level: LogLevel): boolean;

  abstract log(level: LogLevel, message: string, fields?: LogFields): void;

  abstract withCaller(caller: string): Logger;

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
}

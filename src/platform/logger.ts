/**
 * Structured logs with etcd's field names. A line is `{"level","ts","caller","msg",...fields}`; the sink prints it.
 * Fields are plain JSON values; a `bigint` is printed as a decimal string, an `Error` as its message under `error`.
 */
export type LogLevel = "debug" | "info" | "warn" | "error" | "panic" | "fatal";

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** False lets a caller skip building costly fields. */
  enabled(level: LogLevel): boolean;
  log(level: LogLevel, message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Prints at level `fatal`. It does not exit: the one place that decides to stop does. */
  fatal(message: string, fields?: LogFields): void;
  /** A logger whose lines carry this `caller` (our source file, such as `server/raft-loop.ts`). */
  withCaller(caller: string): Logger;
}

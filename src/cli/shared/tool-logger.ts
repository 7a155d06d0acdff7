/**
 * The JSON lines that etcd's command lines log on stderr: `{"level","ts","logger"?,"caller","msg",...fields}`.
 */
import type { LogFields, Logger, LogLevel } from "../../platform/logger.ts";
import { formatTimestamp } from "../../platform/node/stderr-logger.ts";
import type { Sink } from "./terminal.ts";

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3, panic: 4, fatal: 5 };

export class ToolLogger implements Logger {
  readonly #sink: Sink;
  readonly #names: { readonly logger?: string; readonly caller: string };

  /** @param names.logger - name of the part that logs, such as `etcd-client`. */
  constructor(sink: Sink, names: { logger?: string; caller: string }) {
    this.#sink = sink;
    this.#names = names;
  }

  enabled(level: LogLevel): boolean {
    return ranks[level] >= ranks.info;
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.enabled(level)) return;
    const line = { level, ts: formatTimestamp(), ...this.#names, msg: message, ...fields };
    this.#sink.write(`${JSON.stringify(line)}\n`);
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
    return new ToolLogger(this.#sink, { ...this.#names, caller });
  }
}

/**
 * The JSON lines that etcd's command lines log on stderr: `{"level","ts","logger"?,"caller","msg",...fields}`.
 */
import type { LogFields, Logger, LogLevel } from "../../platform/logger.ts";
import { LeveledLogger, severityOf } from "../../platform/leveled-logger.ts";
import { formatTimestamp } from "../../platform/node/stderr-logger.ts";
import type { Sink } from "./terminal.ts";

export class ToolLogger extends LeveledLogger {
  readonly #sink: Sink;
  readonly #names: { readonly logger?: string; readonly caller: string };

  /** @param names.logger - name of the part that logs, such as `etcd-client`. */
  constructor(sink: Sink, names: { logger?: string; caller: string }) {
    super();
    this.#sink = sink;
    this.#names = names;
  }

  enabled(level: LogLevel): boolean {
    return severityOf[level] >= severityOf.info;
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.enabled(level)) return;
    const line = { level, ts: formatTimestamp(), ...this.#names, msg: message, ...fields };
    this.#sink.write(`${JSON.stringify(line)}\n`);
  }

  withCaller(caller: string): Logger {
    return new ToolLogger(this.#sink, { ...this.#names, caller });
  }
}

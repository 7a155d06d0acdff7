/**
 * The log lines that etcdutl prints on stderr, tab separated, with the fields as JSON that has blanks in it:
 *
 *     2026-11-25T01:42:34Z	info	etcdutl/restore.ts	restoring snapshot	{"path": "snapshot.db"}
 *
 * Source: zap's console encoder as etcdutl/etcdutl/common.go sets it up.
 */
import type { LogFields, Logger, LogLevel } from "../../platform/logger.ts";
import { LeveledLogger } from "../../platform/leveled-logger.ts";
import { formatTimestamp } from "../../platform/node/stderr-logger.ts";
import type { Sink } from "./terminal.ts";

/** Length of `2026-11-25T01:42:34`. */
const secondsLength = 19;

export class ConsoleLogger extends LeveledLogger {
  readonly #sink: Sink;
  readonly #caller: string;

  constructor(sink: Sink, caller: string) {
    super();
    this.#sink = sink;
    this.#caller = caller;
  }

  enabled(level: LogLevel): boolean {
    return level !== "debug";
  }

  log(level: LogLevel, message: string, fields?: LogFields): void {
    if (!this.enabled(level)) return;
    const parts = [`${formatTimestamp().slice(0, secondsLength)}Z`, level, this.#caller, message];
    if (fields !== undefined) parts.push(spacedJson(fields));
    this.#sink.write(`${parts.join("\t")}\n`);
  }

  withCaller(caller: string): Logger {
    return new ConsoleLogger(this.#sink, caller);
  }
}

/** JSON with a blank behind each colon and comma. */
function spacedJson(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}: ${spacedJson(field)}`).join(", ")}}`;
}

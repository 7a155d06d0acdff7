/** What both proxies do around their work: log, platform, signals, and how they fail. */
import { redactArguments } from "../../../base/redact.ts";
import type { Platform } from "../../../platform/platform.ts";
import { createNodePlatform, createStderrLogger } from "../../../platform/node/index.ts";
import type { Terminal } from "../../shared/terminal.ts";
import { CommandFailure, ExitCode } from "../../shared/failure.ts";
import { createLogger } from "../logging.ts";
import { exitOnBugs } from "../process-exit.ts";

/** @param caller - the file that logs. */
export function proxyPlatform(level: "info" | "debug", caller: string): Platform {
  const early = createStderrLogger("info").withCaller(caller);
  const { clock } = createNodePlatform({ log: early });
  const log = createLogger({ level, format: "json", outputs: ["default"] }, clock).withCaller(caller);
  exitOnBugs(log);
  return createNodePlatform({ log });
}

/** The command line as the log shows it. */
export function commandLine(args: readonly string[]): string[] {
  return ["etcd", ...redactArguments(args)];
}

/** Ends the command with status 1 after `text`, bare, on stderr. */
export function failedWith(terminal: Terminal, text: string): CommandFailure {
  terminal.error.write(`${text}\n`);
  return new CommandFailure(ExitCode.Error, undefined);
}

/** `etcd`: from the command line to a running member, and its end. */
import { readFileSync } from "node:fs";
import { redactArguments } from "../../base/redact.ts";
import type { Failpoints } from "../../base/failpoints.ts";
import { DiscoveryError } from "../../discovery/discovery-error.ts";
import { DuplicateIdError, DuplicateNameError } from "../../discovery/v2-registry.ts";
import { DiskError } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import { createNodePlatform, createStderrLogger, failpointsOfProcess } from "../../platform/node/index.ts";
import { FileUrlError } from "./config-file.ts";
import { ShadowedVariableError } from "./environment.ts";
import { serveFailpoints } from "./failpoint-control.ts";
import { help, usage } from "./help.ts";
import { createLogger, UnknownLevelError } from "./logging.ts";
import { parseLogRotation } from "./log-rotation.ts";
import { notifyReady } from "./notify.ts";
import { parseArguments, UsageError } from "./parse.ts";
import { asError, exitCodes, exitOnBugs, stopOnSignals } from "./process-exit.ts";
import { type RunningMember, runMember } from "./run-member.ts";
import { resolveSettings, type Settings, StartSettingError } from "./settings.ts";
import { versionText } from "./version.ts";

async function main(args: readonly string[]): Promise<void> {
  const settings = readSettings(args);
  const log = openLog(settings);
  exitOnBugs(log);
  log.info("Running: ", { args: ["etcd", ...redactArguments(args)] });
  if (settings.file !== undefined) {
    log.info(
      "loaded server configuration, other configuration command line flags and environment variables will be ignored if provided",
      { path: settings.file },
    );
  }
  for (const warning of settings.warnings) log.warn(warning);
  const failpoints = readFailpoints(log);
  const platform = createNodePlatform({ log, ...(failpoints === undefined ? {} : { failpoints: failpoints.slots }) });
  const fail = (error: Error): void => {
    log.fatal("the member stops: what it was told to keep could not be kept", { error, ...adviceFor(error) });
    process.exit(exitCodes.failed);
  };
  let running: RunningMember | undefined;
  const leave = (): void => {
    // Before it was ready nobody waits for anything: what it has written is safe.
    if (running === undefined) process.exit(exitCodes.stopped);
    void running.stop().then(() => process.exit(exitCodes.stopped));
  };
  // From the first moment, since supervisors may signal as soon as they read that it is ready. A member that still
  // starts, or waits for the lock of its directory, has acknowledged nothing and may just go.
  stopOnSignals(log, async () => running?.stop());
  try {
    const { GOFAIL_HTTP: address = "" } = process.env;
    if (failpoints !== undefined && address !== "") await serveFailpoints(failpoints, address, platform);
    running = await runMember({ settings, platform, onFatal: fail, onRemoved: leave });
    notifyReady(log);
  } catch (error) {
    reportFailedStart(log, settings, asError(error));
    process.exit(exitCodes.failed);
  }
}

/** What an operator can do about it, where that is known. */
function adviceFor(error: Error): { advice?: string } {
  if (!(error instanceof DiskError) || !["ENOSPC", "EDQUOT"].includes(error.code)) return {};
  return { advice: "free space on the file system, then start the member again; what was acknowledged is safe" };
}

function reportFailedStart(log: Logger, { values }: Settings, error: Error): void {
  if (!(error instanceof DiscoveryError)) {
    log.fatal("discovery failed", { error, ...adviceFor(error) });
    return;
  }
  const { cause } = error;
  const token = { "discovery-token": values.discovery };
  if (cause instanceof DuplicateIdError) {
    log.warn("member has been registered with discovery service", { name: values.name, ...token, error: cause });
    log.warn("but could not find valid cluster configuration", { "data-dir": values["data-dir"] });
    log.warn("check data dir if previous bootstrap succeeded");
    log.warn("or use a new discovery token if previous bootstrap failed");
    return;
  }
  if (cause instanceof DuplicateNameError) {
    log.warn("member with duplicated name has already been registered", { ...token, error: cause });
    log.warn("cURL the discovery token URL for details");
  } else {
    log.warn("failed to bootstrap; discovery token was already used", {
      "discovery-token": values.discovery || values["discovery-token"],
      error,
    });
  }
  log.warn("do not reuse discovery token; generate a new one to bootstrap a cluster");
}

/** Settings, or the end of the process: help and version, mistakes in the flags (2) and in their values (1). */
function readSettings(args: readonly string[]): Settings {
  const log = createStderrLogger("info").withCaller("cli/etcd/settings.ts");
  try {
    const parsed = parseArguments(args);
    if (parsed.help) {
      process.stderr.write(usage);
      process.stdout.write(help());
      process.exit(exitCodes.stopped);
    }
    if (parsed.given.get("version") === true && parsed.rest.length === 0) {
      process.stdout.write(`${versionText("etcd")}\n`);
      process.exit(exitCodes.stopped);
    }
    for (const name of parsed.ignored) log.warn("flag is no longer supported - ignoring", { flag: name });
    return resolveSettings(parsed, { environment: process.env, log, readFile: readText });
  } catch (error) {
    process.exit(reportBadSettings(log, error));
  }
}

function readFailpoints(log: Logger): Failpoints | undefined {
  try {
    return failpointsOfProcess(process.env);
  } catch (error) {
    log.fatal("GOFAIL_FAILPOINTS cannot be read", { error: asError(error) });
    process.exit(exitCodes.failed);
  }
}

/** Prints what is wrong where etcd prints it. @returns the exit code. */
function reportBadSettings(log: Logger, error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n${usage}\n`);
    return exitCodes.usage;
  }
  if (error instanceof FileUrlError) {
    process.stderr.write(`${error.message}\n`);
    return exitCodes.failed;
  }
  if (error instanceof ShadowedVariableError) {
    log.fatal(error.message, { "environment-variable": error.variable });
    return exitCodes.failed;
  }
  if (error instanceof StartSettingError) {
    log.fatal("discovery failed", { error });
    return exitCodes.failed;
  }
  log.warn("failed to verify flags", { error: asError(error) });
  if (asError(error).message.startsWith("--advertise-client-urls is required")) {
    log.warn("advertise client URLs are not set", { error: asError(error) });
  }
  return exitCodes.failed;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "no such file or directory" : code === "EACCES" ? "permission denied" : code;
    throw new Error(`open ${path}: ${reason}`, { cause });
  }
}

function openLog({ values }: Settings): Logger {
  const early = createStderrLogger("info").withCaller("cli/etcd/settings.ts");
  try {
    return createLogger(
      {
        level: values["log-level"],
        format: values["log-format"] === "console" ? "console" : "json",
        outputs: values["log-outputs"].length === 0 ? ["default"] : values["log-outputs"],
        rotation: values["enable-log-rotation"] ? parseLogRotation(values["log-rotation-config-json"]) : undefined,
      },
      createNodePlatform({ log: early }).clock,
    ).withCaller("cli/etcd/main.ts");
  } catch (error) {
    if (error instanceof UnknownLevelError) {
      process.stderr.write(`etcd: cannot set up the log: ${error.message}\n`);
      process.exit(exitCodes.panicked);
    }
    process.exit(reportBadSettings(early, error));
  }
}

/** `etcd gateway ...` and `etcd grpc-proxy ...` are programs of their own. */
async function run(args: readonly string[]): Promise<void> {
  if (args[0] !== "gateway" && args[0] !== "grpc-proxy") return main(args);
  const [{ runProgram }, { program }] = await Promise.all([
    import("../shared/run-program.ts"),
    import("./proxies/program.ts"),
  ]);
  await runProgram(program, () => undefined);
}

void run(process.argv.slice(2));

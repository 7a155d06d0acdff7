/** How the process ends: signals stop the member gracefully, faults of our own stop the process at once. */
import type { Logger } from "../../platform/logger.ts";

/** What supervisors see. */
export const exitCodes = { stopped: 0, failed: 1, usage: 2, panicked: 2 } as const;

const signals = { SIGTERM: "terminated", SIGINT: "interrupt" } as const;

/**
 * Calls `stop` once on the first SIGTERM or SIGINT and exits with 0 when it is done; a second signal exits at once.
 */
export function stopOnSignals(log: Logger, stop: () => Promise<void>): void {
  let stopping = false;
  for (const [signal, text] of Object.entries(signals)) {
    process.on(signal, () => {
      if (stopping) process.exit(exitCodes.failed);
      stopping = true;
      log.info("received signal; shutting down", { signal: text });
      stop().then(
        () => process.exit(exitCodes.stopped),
        (error: unknown) => {
          log.fatal("failed to stop", { error: asError(error) });
          process.exit(exitCodes.failed);
        },
      );
    });
  }
}

/** A bug of ours must not go on with half-changed state: log it and end, as a Go panic does. */
export function exitOnBugs(log: Logger): void {
  const end = (error: unknown): void => {
    const { message, stack } = asError(error);
    log.fatal("internal error; the member stops before it does harm, please report it", {
      error: message,
      stacktrace: stack,
    });
    process.exit(exitCodes.panicked);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

export function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}

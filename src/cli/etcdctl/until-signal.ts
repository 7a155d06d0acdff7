/** Commands that hold something until they are told to stop. */
const signals = ["SIGINT", "SIGTERM"] as const;

/** Aborted by the first SIGINT or SIGTERM, which then does not end the process. */
export function untilSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of signals) process.once(name, () => controller.abort());
  return controller.signal;
}

/** Resolves when `signal` is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

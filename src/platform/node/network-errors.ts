/** Node's socket errors as {@link NetworkError}s. */
import { NetworkError } from "../network.ts";

export function timedOut(timeoutMs: number): NetworkError {
  return new NetworkError("ETIMEDOUT", `connect timed out after ${timeoutMs} ms`);
}

export function networkError(cause: Error): NetworkError {
  if (cause instanceof NetworkError) return cause;
  return new NetworkError((cause as NodeJS.ErrnoException).code ?? "EIO", cause.message, { cause });
}

/** Node's socket errors as {@link NetworkError}s. */
import { NetworkError } from "../network.ts";
import { alertText } from "./tls-texts.ts";

export function timedOut(timeoutMs: number): NetworkError {
  return new NetworkError("ETIMEDOUT", `connect timed out after ${timeoutMs} ms`);
}

export function networkError(cause: Error): NetworkError {
  if (cause instanceof NetworkError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? "EIO";
  const alert = alertText(code);
  if (alert !== undefined) return new NetworkError("ETLS", alert, { cause });
  return new NetworkError(code, cause.message, { cause });
}

/** A whole request and its whole answer. */
import { joinBytes } from "../../base/bytes.ts";
import { reusedAnswerMs } from "../limits.ts";
import type { HttpDialer, HttpRequest } from "./client.ts";
import { HttpSyntaxError, type ResponseHead } from "./head.ts";

export interface HttpResponse {
  readonly head: ResponseHead;
  /** Owned. */
  readonly body: Uint8Array;
}

export interface FetchLimits {
  /** Undefined: as long as the connection lives. */
  readonly timeoutMs: number | undefined;
  readonly bodyBytesMax: number;
}

/**
 * A frequent request whose kept connection turns out to be broken fails as on a broken network: who sends it tries again.
 *
 * @throws by rejection: a NetworkError, or an {@link HttpSyntaxError} for an answer that is none or too large.
 */
export function fetchWhole(dialer: HttpDialer, request: HttpRequest, limits: FetchLimits): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = [];
    let size = 0;
    let head: ResponseHead | undefined;
    const exchange = dialer.send(request, {
      head(received) {
        head = received;
      },
      data(view) {
        size += view.length;
        if (size > limits.bodyBytesMax) {
          exchange.fail(new HttpSyntaxError(`response body exceeds ${limits.bodyBytesMax} bytes limit`));
          return;
        }
        parts.push(new Uint8Array(view));
      },
      ended() {
        if (head === undefined) reject(new HttpSyntaxError("no response"));
        else resolve({ head, body: joinBytes(parts, size) });
      },
      failed: reject,
    });
    const timeoutMs = exchange.isReused ? Math.min(limits.timeoutMs ?? Infinity, reusedAnswerMs) : limits.timeoutMs;
    if (timeoutMs !== undefined) exchange.expireIn(timeoutMs, "context deadline exceeded");
  });
}

/**
 * Whether two lists name the same places: `http://m1.example.com:2380` and `http://10.0.0.1:2380` do when the name
 * resolves to the address. A name that does not resolve (yet) is tried again for a while, since DNS is often set up at
 * the moment in which members start.
 *
 * Source: etcd pkg/netutil/netutil.go (`URLStringsEqual`).
 */
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Resolver } from "../platform/resolver.ts";

const RETRY_MS = 1_000;
/** For all names of one check together. */
const RESOLVE_TIMEOUT_MS = 30_000;

export interface UrlEqualityParts {
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One check of several lists; its names are resolved once, in one span of time. */
export class UrlEquality {
  readonly #parts: UrlEqualityParts;
  readonly #deadlineMs: number;
  readonly #resolved = new Map<string, Promise<string>>();

  constructor(parts: UrlEqualityParts) {
    this.#parts = parts;
    this.#deadlineMs = parts.clock.monotonic() + RESOLVE_TIMEOUT_MS;
  }

  /** @returns undefined when they are equal, else why they are not, in etcd's words. */
  async difference(a: readonly string[], b: readonly string[]): Promise<string | undefined> {
    if (a.length !== b.length) return `len(${quoteList(a)}) != len(${quoteList(b)})`;
    if (areSameTexts(a, b)) return undefined;
    let resolved: [string[], string[]];
    try {
      resolved = [await this.#resolveAll(a), await this.#resolveAll(b)];
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    const [left, right] = resolved.map((urls) => urls.sort());
    const unequal = left.findIndex((url, index) => url !== right[index]);
    return unequal < 0
      ? undefined
      : `resolved urls: ${JSON.stringify(left[unequal])} != ${JSON.stringify(right[unequal])}`;
  }

  async #resolveAll(urls: readonly string[]): Promise<string[]> {
    const resolved: string[] = [];
    for (const url of urls) {
      let pending = this.#resolved.get(url);
      if (pending === undefined) this.#resolved.set(url, (pending = this.#resolve(url)));
      resolved.push(await pending);
    }
    return resolved;
  }

  async #resolve(url: string): Promise<string> {
    const match = /^(https?:\/\/)(?:\[([^\]]*)\]|([^:/]*)):([^/]*)$/.exec(url);
    if (match === null) return url; // a Unix socket
    const [, scheme, v6, name, port] = match;
    const host = v6 ?? name;
    if (host === "localhost") return url;
    const address = await this.#lookup(url, `${host}:${port}`, host);
    return `${scheme}${address.includes(":") ? `[${address}]` : address}:${port}`;
  }

  async #lookup(url: string, hostPort: string, host: string): Promise<string> {
    const { clock, log, resolver } = this.#parts;
    for (;;) {
      try {
        const [address] = await resolver.lookupAddresses(host);
        log.info("resolved URL Host", { url, host: hostPort, "resolved-addr": address });
        return address;
      } catch (error) {
        const fields = { url, host: hostPort, "retry-interval": "1s", error };
        if (clock.monotonic() + RETRY_MS > this.#deadlineMs) {
          log.warn("failed to resolve URL Host; returning", fields);
          const reason = error instanceof Error ? error.message : String(error);
          throw new Error(`failed to resolve ${JSON.stringify(url)} (${reason})`, { cause: error });
        }
        log.warn("failed to resolve URL Host", fields);
        await new Promise<void>((resolve) => void clock.setTimer(resolve, RETRY_MS));
      }
    }
  }
}

export function areSameTexts(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  const sorted = [...b].sort();
  return [...a].sort().every((url, index) => url === sorted[index]);
}

/** Go's `%q` of a list. */
function quoteList(urls: readonly string[]): string {
  return `[${urls.map((url) => JSON.stringify(url)).join(" ")}]`;
}

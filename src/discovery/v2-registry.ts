/**
 * Finding a cluster by a v2 discovery service (`--discovery`), a directory of the keys API of etcd 2 that somebody made
 * for this cluster together with the number of its members:
 *
 *     https://discovery.example.com/<token>/_config/size    3
 *     https://discovery.example.com/<token>/<hex id>        infra0=http://10.0.0.10:2380
 *
 * The first that register found the cluster; whoever comes later is refused. Deprecated, and still spoken by etcd 3.6.
 * Source: etcd server/etcdserver/api/v2discovery/discovery.go.
 */
import { posix } from "node:path";
import { formatUrlsMap, type NamedUrls, parseUrlsMap } from "../membership/peer-urls.ts";
import type { Logger } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import { DiscoveryError } from "./discovery-error.ts";
import { KeysError, type Node, NotKeysServiceError, UnavailableError, V2Keys } from "./v2-keys.ts";

/** The pause between attempts doubles up to 2^8 seconds; etcd goes on for ever, too. */
const PAUSE_DOUBLINGS_MAX = 8;
const NODE_EXISTS = 105;

export interface V2RegistryOptions {
  readonly platform: Platform;
  /** `--discovery`: the service with the token as its path. */
  readonly url: string;
  /** `--discovery-proxy`; empty: none. */
  readonly proxy: string;
}

/** Somebody registered under this member's id: this member before, as a rule. */
export class DuplicateIdError extends Error {
  override readonly name = "DuplicateIdError";
}

export class DuplicateNameError extends Error {
  override readonly name = "DuplicateNameError";
}

/**
 * Registers `own` and waits until as many members as the service asks for have done so. A service that cannot be
 * reached, or has no leader, is tried for ever.
 *
 * @returns the founders, `own` among them. @throws {DiscoveryError} by rejection.
 */
export async function joinByV2Registry(
  { platform, url, proxy }: V2RegistryOptions,
  memberId: bigint,
  own: NamedUrls,
): Promise<NamedUrls[]> {
  const log = platform.log.withCaller("discovery/v2-registry.ts");
  let registry: V2Registry | undefined;
  try {
    registry = new V2Registry(platform, log, { url: new URL(url), proxy: proxyOf(proxy, log) }, memberId);
    return await registry.join(formatUrlsMap([own]));
  } catch (error) {
    throw new DiscoveryError(error);
  } finally {
    registry?.close();
  }
}

/** What misses a scheme is taken for http, as etcd does. @throws {Error} with etcd's text. */
export function proxyOf(text: string, log: Logger): URL | undefined {
  if (text === "") return undefined;
  const full = /^https?:/.test(text) ? text : `http://${text}`;
  if (!URL.canParse(full)) throw new Error(`invalid proxy address ${JSON.stringify(text)}`);
  const proxy = new URL(full);
  log.info("running proxy with discovery", { "proxy-url": proxy.origin });
  return proxy;
}

interface Found {
  readonly nodes: readonly Node[];
  readonly size: number;
  /** Of the store: what comes later has a higher one. */
  readonly index: number;
}

class V2Registry {
  readonly #platform: Platform;
  readonly #log: Logger;
  readonly #keys: V2Keys;
  readonly #url: string;
  readonly #directory: string;
  readonly #ownKey: string;
  #failures = 0;

  constructor(platform: Platform, log: Logger, at: { url: URL; proxy: URL | undefined }, memberId: bigint) {
    this.#platform = platform;
    this.#log = log;
    this.#keys = new V2Keys(platform, at.url, at.proxy);
    this.#url = at.url.origin;
    this.#directory = posix.join("/", at.url.pathname);
    this.#ownKey = posix.join(this.#directory, memberId.toString(16));
  }

  close(): void {
    this.#keys.close();
  }

  async join(own: string): Promise<NamedUrls[]> {
    // A full cluster needs no registration of one more.
    await this.#whileUnavailable("cluster status check", () => this.#check());
    await this.#registerSelf(own);
    const { nodes, size } = await this.#whileUnavailable("waiting for other nodes", async () =>
      this.#wait(await this.#check()),
    );
    return founders(nodes, size);
  }

  async #registerSelf(own: string): Promise<void> {
    try {
      const { node } = await this.#keys.create(this.#ownKey, own);
      // Seen where it is asked from now on.
      await this.#keys.wait(this.#ownKey, node.createdIndex > 1 ? node.createdIndex : 0, false);
    } catch (error) {
      const isTaken = error instanceof KeysError && error.errorCode === NODE_EXISTS;
      throw isTaken ? new DuplicateIdError("discovery: found duplicate id", { cause: error }) : error;
    }
  }

  /** Who is registered. @throws {Error} by rejection, when there is no room (any more) for this member. */
  async #check(): Promise<Found> {
    const size = await this.#readSize();
    const { node, index } = await this.#keys.get(this.#directory);
    const nodes = node.nodes
      .filter(({ key }) => posix.basename(key) !== "_config")
      .toSorted((a, b) => a.createdIndex - b.createdIndex);
    const own = nodes.findIndex((each) => this.#isSelf(each));
    if (own < 0 ? nodes.length >= size : own >= size) throw new Error("discovery: cluster is full");
    return { nodes: nodes.slice(0, size), size, index };
  }

  async #readSize(): Promise<number> {
    try {
      const { node } = await this.#keys.get(posix.join(this.#directory, "_config/size"));
      const size = /^\d{1,15}$/.test(node.value) ? Number(node.value) : 0;
      if (size > 0) return size;
    } catch (error) {
      if (!(error instanceof NotKeysServiceError)) throw error;
      throw new Error("discovery: bad discovery endpoint", { cause: error });
    }
    throw new Error("discovery: size key is bad");
  }

  async #wait({ nodes, size, index }: Found): Promise<Found> {
    const all = [...nodes];
    const at = { "discovery-url": this.#url };
    for (const node of all) {
      const name = posix.basename(node.key);
      if (this.#isSelf(node)) this.#log.info("found self from discovery server", { ...at, self: name });
      else this.#log.info("found peer from discovery server", { ...at, peer: name });
    }
    let next = index > 0 ? index + 1 : 0;
    while (all.length < size) {
      const fields = { ...at, "found-peers": all.length, "needed-peers": size - all.length };
      this.#log.info("found peers from discovery server; waiting for more", fields);
      const { node } = await this.#keys.wait(this.#directory, next, true);
      next = node.modifiedIndex + 1;
      // A change of what is known already, or of the configuration, is nobody new.
      if (!node.value.includes("=") || all.some(({ key }) => key === node.key)) continue;
      this.#log.info("found peer from discovery server", { ...at, peer: posix.basename(node.key) });
      all.push(node);
    }
    this.#log.info("found all needed peers from discovery server", { ...at, "found-peers": all.length });
    return { nodes: all, size, index: next };
  }

  #isSelf({ key }: Node): boolean {
    return posix.basename(key) === posix.basename(this.#ownKey);
  }

  /** Repeats with growing pauses what fails because the service is away, and nothing else. */
  async #whileUnavailable<T>(step: string, attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        this.#log.warn("failed to get from discovery server", { "discovery-url": this.#url, error });
        const seconds = 2 ** Math.min(++this.#failures, PAUSE_DOUBLINGS_MAX);
        const fields = { url: this.#url, reason: step, backoff: `${seconds}s` };
        this.#log.info("retry connecting to discovery service", fields);
        await new Promise<void>((resolve) => void this.#platform.clock.setTimer(resolve, seconds * 1_000));
      }
    }
  }
}

/** @throws {Error} when what they registered is not as many members. */
function founders(nodes: readonly Node[], size: number): NamedUrls[] {
  let found: NamedUrls[];
  try {
    found = parseUrlsMap(nodes.map(({ value }) => value).join(","));
  } catch (cause) {
    throw new Error("discovery: invalid URL", { cause });
  }
  if (new Set(found.map(({ name }) => name)).size === size) return found;
  throw new DuplicateNameError("discovery: found duplicate name");
}

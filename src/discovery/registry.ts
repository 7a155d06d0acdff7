/**
 * Finding a cluster by a registry: another etcd cluster, in which each founding member registers under a token that
 * somebody made for this cluster, together with the number of members:
 *
 *     /_etcd/registry/<token>/_config/size        3
 *     /_etcd/registry/<token>/members/<hex id>    infra0=http://10.0.0.10:2380
 *
 * The first that register found the cluster, in the order of registration; whoever comes later is refused.
 * Source: etcd server/etcdserver/api/v3discovery/discovery.go.
 */
import { posix } from "node:path";
import { asBuffer, prefixEnd } from "../base/bytes.ts";
import { Client, type ClientOptions } from "../client/client.ts";
import { methods } from "../client/methods.ts";
import { Watcher } from "../client/watcher.ts";
import { formatUrlsMap, type NamedUrls, parseUrlsMap } from "../membership/peer-urls.ts";
import type { Logger } from "../platform/logger.ts";
import { DiscoveryError } from "./discovery-error.ts";

const REGISTRY = "/_etcd/registry";
/** The pause between attempts doubles up to 2^8 seconds; etcd goes on for ever, too. */
const PAUSE_DOUBLINGS_MAX = 8;
const WATCH_AGAIN_MS = 1_000;

export interface RegistryOptions extends Omit<ClientOptions, "log"> {
  readonly log: Logger;
  /** `--discovery-token`. */
  readonly token: string;
  /** `--discovery-request-timeout`. */
  readonly requestTimeoutMs: number;
}

interface Registered {
  readonly key: string;
  /** `name=url,...` */
  readonly text: string;
  readonly createRevision: bigint;
}

/**
 * Registers `own` and waits until as many members as the registry asks for have done so. A registry that cannot be
 * reached is tried for ever.
 *
 * @returns the founders, `own` among them. @throws {DiscoveryError} by rejection.
 */
export async function joinByRegistry(options: RegistryOptions, memberId: bigint, own: NamedUrls): Promise<NamedUrls[]> {
  const log = options.log.withCaller("discovery/registry.ts");
  let registry: Registry | undefined;
  try {
    registry = await Registry.open({ ...options, log }, memberId);
    const members = parseFounders(await registry.join(formatUrlsMap([own])));
    log.info("discovery joined cluster successfully", { cluster: formatUrlsMap(members) });
    return members;
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    log.error("discovery failed to join cluster", { cluster: "", error: failure });
    throw new DiscoveryError(failure);
  } finally {
    registry?.close();
  }
}

function parseFounders(text: string): NamedUrls[] {
  try {
    return parseUrlsMap(text);
  } catch (cause) {
    throw new Error("discovery: invalid peer URL", { cause });
  }
}

class Registry {
  readonly #options: RegistryOptions;
  readonly #client: Client;
  readonly #sizeKey: string;
  readonly #membersPrefix: string;
  readonly #ownKey: string;
  #failures = 0;

  private constructor(options: RegistryOptions, memberId: bigint) {
    this.#options = options;
    this.#client = new Client(options);
    this.#sizeKey = posix.join(REGISTRY, options.token, "_config/size");
    this.#membersPrefix = posix.join(REGISTRY, options.token, "members");
    this.#ownKey = posix.join(this.#membersPrefix, memberId.toString(16));
  }

  /** @throws {ClientError} when the user is not let in. */
  static async open(options: RegistryOptions, memberId: bigint): Promise<Registry> {
    const registry = new Registry(options, memberId);
    try {
      await registry.#client.authenticate(options.dialTimeoutMs);
      return registry;
    } catch (error) {
      registry.close();
      throw error;
    }
  }

  close(): void {
    this.#client.close();
  }

  /** @returns the founders as one text. */
  async join(own: string): Promise<string> {
    await this.#check();
    await this.#untilDone("register member itself", async () => {
      const fields = { key: bytes(this.#ownKey), value: bytes(own) };
      await this.#client.call(methods.put, fields, this.#timeout());
    });
    this.#options.log.info("register member itself successfully", { memberKey: this.#ownKey, memberInfo: own });
    for (;;) {
      const { size, members, revision } = await this.#check();
      const isComplete = members.length >= size || (await this.#waitForPeers(members, size, revision));
      if (isComplete) return joinTexts(members.slice(0, size));
    }
  }

  /** Who is registered. @throws {Error} when there is no room (any more) for this member. */
  async #check(): Promise<{ size: number; members: Registered[]; revision: bigint }> {
    const { size, members, revision } = await this.#untilDone("cluster status check", async () => ({
      size: await this.#readSize(),
      ...(await this.#readMembers()),
    }));
    const position = members.findIndex(({ key }) => key === this.#ownKey);
    if (position < 0 ? members.length >= size : position >= size) throw new RefusedError("discovery: cluster is full");
    return { size, members, revision };
  }

  async #readSize(): Promise<number> {
    const { kvs } = await this.#client.call(methods.range, { key: bytes(this.#sizeKey) }, this.#timeout());
    if (kvs.length === 0) throw new RefusedError("discovery: size key not found");
    const text = asBuffer(kvs[0].value).toString("utf8");
    const size = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : 0;
    if (size <= 0) throw new RefusedError("discovery: size key is bad");
    return size;
  }

  async #readMembers(): Promise<{ members: Registered[]; revision: bigint }> {
    const { kvs, header } = await this.#client.call(methods.range, this.#membersRange(), this.#timeout());
    const members: Registered[] = [];
    for (const kv of kvs) this.#add(members, kv);
    return { members, revision: header?.revision ?? 0n };
  }

  /** @returns false when the watch ended before: then it is time to look again. */
  #waitForPeers(members: Registered[], size: number, revision: bigint): Promise<boolean> {
    const { log, clock } = this.#options;
    log.info("waiting for peers from discovery service", { clusterSize: size, "found-peers": members.length });
    return new Promise((resolve) => {
      const watcher = new Watcher(this.#client);
      watcher.watch(
        { key: this.#membersRange().key, rangeEnd: this.#membersRange().rangeEnd, startRevision: revision + 1n },
        {
          response: ({ events }) => {
            for (const { kv } of events) if (kv !== undefined) this.#add(members, kv);
            if (members.length < size) return;
            watcher.close();
            log.info("found all needed peers from discovery service", {
              clusterSize: size,
              "found-peers": members.length,
            });
            resolve(true);
          },
          closed: (error) => {
            log.warn("lost sight of the discovery service", { error });
            watcher.close();
            clock.setTimer(() => resolve(false), WATCH_AGAIN_MS);
          },
        },
      );
    });
  }

  /** Keeps `members` in the order of registration. What is no registration is logged and left out. */
  #add(members: Registered[], kv: { key: Uint8Array; value: Uint8Array; createRevision: bigint }): void {
    const [key, text] = [kv.key, kv.value].map((each) => asBuffer(each).toString("utf8").trim());
    const fields = { memberKey: key, memberInfo: text };
    const problem = !text.includes("=")
      ? "invalid peer info returned from discovery service"
      : members.some((member) => member.key === key)
        ? "found duplicate peer from discovery service"
        : undefined;
    if (problem !== undefined) {
      this.#options.log.warn(problem, fields);
      return;
    }
    this.#options.log.info("found peer from discovery service", fields);
    members.push({ key, text, createRevision: kv.createRevision });
    members.sort((a, b) => (a.createRevision < b.createRevision ? -1 : 1));
  }

  /** Repeats what fails with growing pauses, but for a refusal. */
  async #untilDone<T>(step: string, attempt: () => Promise<T>): Promise<T> {
    const { log, clock } = this.#options;
    for (;;) {
      try {
        const result = await attempt();
        this.#failures = 0;
        return result;
      } catch (error) {
        if (error instanceof RefusedError) throw error;
        this.#failures++;
        const seconds = 2 ** Math.min(this.#failures, PAUSE_DOUBLINGS_MAX);
        log.warn("retry connecting to discovery service", { reason: step, backoff: `${seconds}s`, error });
        await new Promise<void>((resolve) => void clock.setTimer(resolve, seconds * 1_000));
      }
    }
  }

  /** Without a slash at its end, as etcd has it. */
  #membersRange(): { key: Uint8Array; rangeEnd: Uint8Array } {
    const key = bytes(this.#membersPrefix);
    return { key, rangeEnd: prefixEnd(key) };
  }

  #timeout(): { timeoutMs: number } {
    return { timeoutMs: this.#options.requestTimeoutMs };
  }
}

/** What the registry says will not change by asking again. */
class RefusedError extends Error {
  override readonly name = "RefusedError";
}

function joinTexts(members: readonly Registered[]): string {
  return members.map(({ text }) => text).join(",");
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/**
 * `--resolver-prefix`: proxies make themselves known under a prefix, each with a key that its lease keeps, and see each
 * other there. Format of client/v3/naming/endpoints:
 *
 *     PREFIX/ADDRESS = {"Op":0,"Addr":ADDRESS,"Metadata":"{\"name\":HOST}"}
 *
 * @see etcd server/proxy/grpcproxy/register.go, cluster.go
 */
import { prefixEnd } from "../../base/bytes.ts";
import type { Client } from "../../client/client.ts";
import { LeaseKeeper } from "../../client/lease-keeper.ts";
import { methods } from "../../client/methods.ts";
import { Watcher } from "../../client/watcher.ts";
import type { Timer } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import { type Event, Event_EventType, type KeyValue } from "../../wire/gen/mvccpb/kv.ts";
import type { Namespace } from "./namespace.ts";

/** For each request. */
const requestTimeoutMs = 5000;
/** Pause before another attempt. */
const retryMs = 1000;

export interface RegistrationOptions {
  readonly client: Client;
  readonly log: Logger;
  readonly namespace: Namespace | undefined;
  /** `--resolver-prefix`. */
  readonly prefix: string;
  /** `--advertise-client-url`. */
  readonly address: string;
  readonly ttlSeconds: number;
  readonly hostname: string;
}

/** Another proxy, or this one. */
export interface KnownProxy {
  readonly name: string;
  readonly address: string;
}

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #watcher: Watcher;
  readonly #proxies = new Map<string, KnownProxy>();
  #leaseId = 0n;
  #keeper: LeaseKeeper | undefined;
  #retries = new Set<Timer>();
  #isStopped = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#watcher = new Watcher(options.client);
  }

  /** What is known of all proxies; empty until the members have told. */
  get proxies(): readonly KnownProxy[] {
    return [...this.#proxies.values()];
  }

  start(): void {
    void this.#register();
    void this.#follow();
  }

  /** Takes the proxy out again. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#retries) timer.cancel();
    this.#keeper?.stop();
    this.#watcher.close();
    const { client, log } = this.#options;
    try {
      if (this.#leaseId !== 0n) await client.call(methods.leaseRevoke, { ID: this.#leaseId }, within);
    } catch (error) {
      log.warn("failed to revoke the session's lease; it ends by itself", { error });
    }
  }

  async #register(): Promise<void> {
    const { client, log, address, ttlSeconds, hostname } = this.#options;
    try {
      const granted = await client.call(methods.leaseGrant, { TTL: BigInt(ttlSeconds) }, within);
      this.#leaseId = granted.ID;
      const value = JSON.stringify({ Op: 0, Addr: address, Metadata: JSON.stringify({ name: hostname }) });
      const key = this.#key(`/${address}`);
      await client.call(methods.put, { key, value: Buffer.from(value), lease: granted.ID }, within);
      this.#keeper = LeaseKeeper.start(client, granted.ID, {
        response: () => undefined,
        ended: () => {
          if (this.#isStopped) return;
          log.warn("session expired; possible network partition or server restart");
          log.warn("creating a new session to rejoin");
          this.#later(() => void this.#register());
        },
      });
      log.info("registered session with lease", { addr: address, "lease-ttl": ttlSeconds });
    } catch (error) {
      log.warn("failed to create a session", { error: error as Error });
      if (!this.#isStopped) this.#later(() => void this.#register());
    }
  }

  async #follow(): Promise<void> {
    const { client, log, prefix } = this.#options;
    const key = this.#key("/");
    const range = { key, rangeEnd: prefixEnd(key) };
    try {
      const { kvs, header } = await client.call(methods.range, { ...range, serializable: true }, within);
      this.#proxies.clear();
      for (const kv of kvs) this.#learn(kv);
      this.#watcher.watch(
        { ...range, startRevision: (header?.revision ?? 0n) + 1n },
        {
          response: ({ events }) => {
            for (const event of events) this.#changed(event);
          },
          closed: () => {
            if (this.#isStopped) return;
            log.info("endpoints watch channel closed");
            this.#later(() => void this.#follow());
          },
        },
      );
    } catch (error) {
      log.warn("failed to establish endpoint watch", { prefix, error: error as Error });
      if (!this.#isStopped) this.#later(() => void this.#follow());
    }
  }

  #changed({ type, kv }: Event): void {
    if (kv === undefined) return;
    if (type === Event_EventType.DELETE) this.#proxies.delete(keyText(kv));
    else this.#learn(kv);
  }

  #learn(kv: KeyValue): void {
    try {
      const { Addr, Metadata } = JSON.parse(Buffer.from(kv.value).toString()) as { Addr?: unknown; Metadata?: unknown };
      const { name } = JSON.parse(String(Metadata)) as { name?: unknown };
      if (typeof Addr !== "string" || typeof name !== "string") throw new Error("a name and an address are expected");
      this.#proxies.set(keyText(kv), { name, address: Addr });
    } catch (error) {
      this.#options.log.warn("unmarshal endpoint update failed", { key: keyText(kv), error: error as Error });
    }
  }

  #key(end: string): Uint8Array {
    const { prefix, namespace } = this.#options;
    const key = Buffer.from(prefix + end);
    return namespace === undefined ? key : namespace.key(key);
  }

  #later(action: () => void): void {
    const timer = this.#options.client.channel.clock.setTimer(() => {
      this.#retries.delete(timer);
      action();
    }, retryMs);
    this.#retries.add(timer);
  }
}

const within = { timeoutMs: requestTimeoutMs };

function keyText({ key }: KeyValue): string {
  return Buffer.from(key).toString();
}

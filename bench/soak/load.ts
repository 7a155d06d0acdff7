/**
 * Mixed load at a given rate, whatever the servers make of it: what control planes do, and what tends to leak when it is
 * done often: watches opened and closed, leases that expire, connections that come and go, tokens.
 */
import type { Client } from "../../src/client/client.ts";
import { LeaseKeeper } from "../../src/client/lease-keeper.ts";
import { methods } from "../../src/client/methods.ts";
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  PutRequest,
  type WatchCreateRequest,
} from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { Latencies } from "../latencies.ts";

export interface SoakClients {
  /** For the load; the user may read and write below `/soak/`. */
  readonly users: readonly Client[];
  /** One more such client, connected and with a token, to be closed by the caller. */
  connect(): Promise<Client>;
}

/** Of the puts and the reads of an interval. */
export interface Measured {
  readonly operations: number;
  readonly failed: number;
  /** Not begun, as too many were under way. */
  readonly skipped: number;
  readonly putP50: number;
  readonly putP99: number;
  readonly rangeP50: number;
  readonly rangeP99: number;
}

const prefix = "/soak/";
const keyCount = 5_000;
const listLimit = 500;
const outstandingMax = 1_000;
const watchesMax = 200;
const leasesMax = 200;
const tickMs = 20;
const timeoutMs = 60_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const below = (count: number): number => Math.floor(Math.random() * count);
const keyOf = (index: number): Uint8Array => Buffer.from(`${prefix}keys/${String(index).padStart(9, "0")}`);
const randomKey = (): Uint8Array => keyOf(below(keyCount));
const randomValue = (): Uint8Array => Buffer.alloc(100 + below(2_000), below(256));
const prefixEnd = Buffer.from("/soak0");

type Kind = "put" | "txn" | "range" | "list" | "remove" | "watch" | "lease" | "session";

/** How many of a thousand operations are of each kind. */
const shares: Readonly<Record<Kind, number>> = {
  put: 400,
  txn: 200,
  range: 260,
  list: 40,
  remove: 40,
  watch: 30,
  lease: 25,
  session: 5,
};

export class SoakLoad {
  /** Texts of failures, and how often. */
  readonly failures = new Map<string, number>();
  /** Highest revision seen, for compactions. */
  revision = 0n;
  readonly #clients: SoakClients;
  readonly #perTick: number;
  readonly #kinds: readonly Kind[];
  #due = 0;
  #outstanding = 0;
  #watches = 0;
  #leases = 0;
  #operations = 0;
  #failed = 0;
  #skipped = 0;
  #puts = new Latencies();
  #ranges = new Latencies();
  #timer: NodeJS.Timeout | undefined;

  /** @param rate - operations a second. */
  constructor(clients: SoakClients, rate: number) {
    this.#clients = clients;
    this.#perTick = (rate * tickMs) / 1000;
    this.#kinds = (Object.keys(shares) as Kind[]).flatMap((kind) => Array.from({ length: shares[kind] }, () => kind));
  }

  start(): void {
    this.#timer = setInterval(() => {
      for (this.#due += this.#perTick; this.#due >= 1; this.#due--) this.#begin();
    }, tickMs);
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    while (this.#outstanding > 0) await pause(tickMs);
  }

  /** What was measured since the last call. */
  take(): Measured {
    const measured = {
      operations: this.#operations,
      failed: this.#failed,
      skipped: this.#skipped,
      putP50: this.#puts.percentile(0.5),
      putP99: this.#puts.percentile(0.99),
      rangeP50: this.#ranges.percentile(0.5),
      rangeP99: this.#ranges.percentile(0.99),
    };
    this.#operations = this.#failed = this.#skipped = 0;
    this.#puts = new Latencies();
    this.#ranges = new Latencies();
    return measured;
  }

  /** Runs something of the operator's and counts how it ended. */
  async count(work: () => Promise<void>): Promise<void> {
    this.#operations++;
    this.#outstanding++;
    try {
      await work();
    } catch (error) {
      this.#failed++;
      const text = error instanceof Error ? error.message : String(error);
      this.failures.set(text, (this.failures.get(text) ?? 0) + 1);
    } finally {
      this.#outstanding--;
    }
  }

  #begin(): void {
    if (this.#outstanding >= outstandingMax) {
      this.#skipped++;
      return;
    }
    const client = this.#clients.users[below(this.#clients.users.length)];
    const kind = this.#kinds[below(this.#kinds.length)];
    void this.count(() => this.#carryOut(kind, client));
  }

  async #carryOut(kind: Kind, client: Client): Promise<void> {
    switch (kind) {
      case "put":
        return this.#put(client);
      case "txn":
        return guardedUpdate(client);
      case "range":
        return this.#range(client);
      case "list":
        return list(client);
      case "remove":
        await client.call(methods.deleteRange, { key: randomKey(), prevKv: below(2) === 0 }, { timeoutMs });
        return;
      case "watch":
        return this.#watch(client);
      case "lease":
        return this.#lease(client);
      case "session":
        return this.#session();
    }
  }

  async #put(client: Client): Promise<void> {
    const started = performance.now();
    const { header } = await client.call(methods.put, { key: randomKey(), value: randomValue() }, { timeoutMs });
    this.#puts.record(performance.now() - started);
    if (header !== undefined && header.revision > this.revision) this.revision = header.revision;
  }

  async #range(client: Client): Promise<void> {
    const started = performance.now();
    await client.call(methods.range, { key: randomKey(), serializable: below(4) === 0 }, { timeoutMs });
    this.#ranges.record(performance.now() - started);
  }

  /** A stream of its own for up to ten seconds, now and then from a revision of the past, or cancelled without a word. */
  async #watch(client: Client): Promise<void> {
    if (this.#watches >= watchesMax) return;
    this.#watches++;
    try {
      const stream = await client.open(methods.watch);
      const isOfAll = below(10) === 0;
      const from = below(keyCount - keyCount / 10);
      const createRequest: WatchCreateRequest = {
        key: isOfAll ? Buffer.from(prefix) : keyOf(from),
        rangeEnd: isOfAll ? prefixEnd : keyOf(from + keyCount / 10),
        startRevision: below(4) === 0 && this.revision > 500n ? this.revision - 500n : 0n,
        progressNotify: below(2) === 0,
        filters: [],
        prevKv: below(4) === 0,
        watchId: 0n,
        fragment: false,
      };
      await stream.send({ createRequest });
      const end = setTimeout(() => stream.cancel(), 100 + below(10_000));
      let received = 0;
      try {
        for await (const response of stream) {
          received += response.events.length;
          if (response.canceled) break;
          if (received > 3_000) await stream.send({ cancelRequest: { watchId: response.watchId } });
        }
      } catch {
        // Our own cancellation ends the iteration so.
      }
      clearTimeout(end);
      stream.cancel();
    } finally {
      this.#watches--;
    }
  }

  /** Granted with a key; then kept for some seconds, or revoked, or forgotten. All end, most by expiring. */
  async #lease(client: Client): Promise<void> {
    if (this.#leases >= leasesMax) return;
    this.#leases++;
    try {
      const { ID: lease } = await client.call(methods.leaseGrant, { TTL: BigInt(2 + below(4)) }, { timeoutMs });
      await client.call(methods.put, { key: Buffer.from(`${prefix}leases/${lease}`), value: randomValue(), lease });
      const fate = below(3);
      if (fate === 0) {
        const keeper = LeaseKeeper.start(client, lease, { response: () => undefined, ended: () => undefined });
        await pause(2_000 + below(8_000));
        keeper.stop();
      } else if (fate === 1) {
        await client.call(methods.leaseTimeToLive, { ID: lease, keys: true }, { timeoutMs });
        await client.call(methods.leaseRevoke, { ID: lease }, { timeoutMs });
      }
    } finally {
      this.#leases--;
    }
  }

  /** A connection of its own, with a token of its own. */
  async #session(): Promise<void> {
    const client = await this.#clients.connect();
    try {
      await this.#put(client);
      await list(client);
    } finally {
      client.close();
    }
  }
}

/** As an API server does: read, then write if nobody else did. */
async function guardedUpdate(client: Client): Promise<void> {
  const key = randomKey();
  const { kvs } = await client.call(methods.range, { key }, { timeoutMs });
  const compare = {
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.MOD,
    key,
    rangeEnd: new Uint8Array(0),
    modRevision: kvs[0]?.modRevision ?? 0n,
  };
  const requestPut = PutRequest.create({ key, value: randomValue() });
  await client.call(methods.txn, { compare: [compare], success: [{ requestPut }], failure: [] }, { timeoutMs });
}

/** Everything, in pages. */
async function list(client: Client): Promise<void> {
  let key: Uint8Array = Buffer.from(prefix);
  for (let page = 0; page < 4; page++) {
    const limit = BigInt(listLimit);
    const { kvs, more } = await client.call(methods.range, { key, rangeEnd: prefixEnd, limit }, { timeoutMs });
    const last = kvs.at(-1);
    if (!more || last === undefined) return;
    key = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

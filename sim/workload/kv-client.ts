/**
 * A client that does a bit of everything on few keys, so that clients meet: reads of all kinds, writes, compare-and-swap,
 * transactions, leases, compactions. One request at a time; after trouble it turns to another member.
 */
import type { SeededRandom } from "../../src/platform/virtual/index.ts";
import type { Outcome, Pair, Request } from "../history/history.ts";
import type { RecordingClient } from "../history/recorder.ts";

/** Shared by all clients. */
const keyCount = 8;
const leasedKeyCount = 4;
const everything = { key: "a", end: "z" };

export interface KvClientParts {
  readonly id: number;
  readonly random: SeededRandom;
  /** A client of some member that is told by number. */
  readonly connect: (choice: number) => RecordingClient;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly isOver: () => boolean;
}

export class KvClient {
  readonly #parts: KvClientParts;
  #client: RecordingClient;
  #values = 0;
  #leases = 0;
  /** What it last saw of each key, for compare-and-swap. */
  readonly #seen = new Map<string, Pair | undefined>();
  #revision = 1;
  #lease: string | undefined;

  constructor(parts: KvClientParts) {
    this.#parts = parts;
    this.#client = parts.connect(parts.random.below(1_000));
  }

  async run(): Promise<void> {
    const { random, sleep, isOver, connect } = this.#parts;
    while (!isOver()) {
      await sleep(-Math.log(1 - random.float()) * 60);
      if (isOver()) return;
      const outcome = await this.#client.perform(this.#next());
      this.#learn(outcome);
      const isTrouble = outcome.kind === "unknown" || (outcome.kind === "failed" && outcome.reason === "other");
      if ((isTrouble && random.float() < 0.7) || random.float() < 0.01) this.#client = connect(random.below(1_000));
      if (isTrouble) await sleep(random.float() * 200);
    }
  }

  #learn(outcome: Outcome): void {
    if (outcome.kind !== "ok") return;
    const { result } = outcome;
    this.#revision = Math.max(this.#revision, result.revision);
    if (result.kind === "range") for (const pair of result.pairs) this.#seen.set(pair.key, pair);
  }

  #next(): Request {
    const { random } = this.#parts;
    const draw = random.below(100);
    const key = this.#key();
    if (draw < 26) return this.#put(key);
    if (draw < 42) return { kind: "range", key };
    if (draw < 48) return { kind: "range", ...everything, limit: random.below(3) === 0 ? 3 : undefined };
    if (draw < 54) return { kind: "range", ...everything, isSerializable: true };
    if (draw < 58) return { kind: "range", ...everything, revision: Math.max(1, this.#revision - random.below(30)) };
    if (draw < 64) return { kind: "delete", key };
    if (draw < 65) return { kind: "delete", key: "key-0", end: "key-4" };
    if (draw < 78) return this.#compareAndSwap(key);
    if (draw < 86) return this.#transaction();
    if (draw < 98) return this.#leaseRequest();
    if (draw < 99 && this.#revision > 20) return { kind: "compact", revision: this.#revision - random.below(15) };
    return { kind: "range", key, isSerializable: true };
  }

  #key(): string {
    return `key-${this.#parts.random.below(keyCount)}`;
  }

  /** Never the same twice; sometimes long enough to fill pages. */
  #value(): string {
    const { random, id } = this.#parts;
    const name = `c${id}-${++this.#values}`;
    return random.float() < 0.05 ? name.padEnd(1 + random.below(3_000), ".") : name;
  }

  #put(key: string): Request & { kind: "put" } {
    return { kind: "put", key, value: this.#value() };
  }

  #compareAndSwap(key: string): Request {
    const pair = this.#seen.get(key);
    const modRevision = pair?.modRevision ?? 0;
    return {
      kind: "txn",
      compare: [{ key, target: "modRevision", is: "=", to: modRevision }],
      success: [this.#put(key)],
      failure: [{ kind: "range", key }],
    };
  }

  /** Several keys in one revision, as watchers must see it. */
  #transaction(): Request {
    const { random } = this.#parts;
    const first = random.below(keyCount - 2);
    const condition = random.below(2) === 0 ? ">" : "=";
    return {
      kind: "txn",
      compare: [{ key: `key-${first}`, target: "version", is: condition, to: 0 }],
      success: [this.#put(`key-${first}`), { kind: "delete", key: `key-${first + 1}` }, this.#put(`key-${first + 2}`)],
      failure: [this.#put(`key-${first + 1}`), { kind: "range", key: `key-${first}` }],
    };
  }

  #leaseRequest(): Request {
    const { random, id } = this.#parts;
    const draw = random.below(10);
    if (this.#lease === undefined || draw === 0) {
      this.#leases += 1;
      this.#lease = String((id + 1) * 1_000_000 + this.#leases);
      return { kind: "leaseGrant", lease: this.#lease, ttlSeconds: 2 + random.below(8) };
    }
    if (draw < 5) {
      const key = `leased-${random.below(leasedKeyCount)}`;
      return { kind: "put", key, value: this.#value(), lease: this.#lease };
    }
    const lease = this.#lease;
    if (draw < 9) return { kind: "leaseKeepAlive", lease };
    this.#lease = undefined;
    return { kind: "leaseRevoke", lease };
  }
}

/** A write load that goes on whatever happens to single members, and remembers what was acknowledged. */
import { expect } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { bytes, connect, withClient } from "./client.ts";
import { eventually } from "./cluster.ts";

/** Writes at a time, each through another member. */
const writers = 4;
/** Long enough for an election on a busy machine; what takes longer is not acknowledged, and the next member is asked. */
const timeoutMs = 3_000;
/** So that the load leaves the machine to the members. */
const pauseMs = 3;
/** Further writes that show that the cluster serves. */
const progressCount = 20;

/** A member that may be down. */
export interface WritableMember {
  readonly endpoint: string;
  /** Undefined while it is down. */
  readonly process: unknown;
}

/** Writes numbered keys all the time, through whichever members run. */
export class Writer {
  readonly acknowledged: number[] = [];
  readonly #members: () => readonly WritableMember[];
  readonly #clients = new Map<string, Client>();
  readonly #done: Promise<unknown>;
  #next = 0;
  #isStopped = false;
  #lastError: unknown;

  constructor(members: () => readonly WritableMember[]) {
    this.#members = members;
    this.#done = Promise.all(Array.from({ length: writers }, () => this.#run()));
  }

  /** Waits until more writes were acknowledged: the cluster serves. */
  async goesOn(): Promise<void> {
    const wanted = this.acknowledged.length + progressCount;
    await eventually("writes are acknowledged", async () => {
      if (this.acknowledged.length < wanted) throw new Error(`last error: ${String(this.#lastError)}`);
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
    for (const client of this.#clients.values()) client.close();
  }

  /** Nothing that was acknowledged is missing at `member`. */
  async expectAllThere({ endpoint }: WritableMember): Promise<void> {
    const all = { key: bytes("written/"), rangeEnd: bytes("written0"), keysOnly: true };
    const { kvs } = await withClient(endpoint, (client) => client.call(methods.range, all));
    const found = new Set(kvs.map(({ key }) => Buffer.from(key).toString()));
    expect(this.acknowledged.filter((number) => !found.has(`written/${number}`))).toEqual([]);
    expect(this.acknowledged.length).toBeGreaterThan(progressCount);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const number = this.#next++;
      const running = this.#members().filter((member) => member.process !== undefined);
      if (running.length > 0) await this.#write(running[number % running.length].endpoint, number);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  async #write(endpoint: string, number: number): Promise<void> {
    try {
      const pair = { key: bytes(`written/${number}`), value: bytes(`${number}`) };
      await this.#client(endpoint).call(methods.put, pair, { timeoutMs });
      this.acknowledged.push(number);
    } catch (error) {
      this.#lastError = error; // not acknowledged: it may be there or not
    }
  }

  #client(endpoint: string): Client {
    const client = this.#clients.get(endpoint) ?? connect(endpoint);
    this.#clients.set(endpoint, client);
    return client;
  }
}

/**
 * What API servers do all the time, while a member fails and is replaced: guarded updates of many objects by many writers,
 * and watches of all of them from the beginning. No update is lost or made twice, no event is missed, repeated or late.
 */
import { afterEach, expect, test } from "vitest";
import { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import { Watcher } from "../../src/client/watcher.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import {
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
} from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { Event_EventType as EventType } from "../../src/wire/gen/mvccpb/kv.ts";
import { bytes } from "../support/client.ts";
import { eventually } from "../support/cluster.ts";
import { PageCluster, printedEnvironment } from "./page.ts";

const objects = 30;
const writersPerServer = 10;
const apiServers = 3;
const timeoutMs = 3_000;
const prefix = { key: bytes("/registry/"), rangeEnd: bytes("/registry0") };

let cluster: PageCluster | undefined;
const servers: ApiServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await cluster?.close();
});

/** One API server: a client with all endpoints, a watch of everything, writers. */
class ApiServer {
  /** Updates that were acknowledged, by object. */
  readonly updated = new Map<string, number>();
  /** Updates of which nobody knows whether they were made. */
  unknown = 0;
  /** Versions as the watch saw them, by object. */
  readonly seen = new Map<string, bigint>();
  readonly faults: string[] = [];
  seenRevision = 0n;
  readonly client: Client;
  readonly #watcher: Watcher;
  readonly #writers: Promise<unknown>;
  #isStopped = false;

  constructor(endpoints: readonly string[]) {
    const log = createStderrLogger("fatal");
    const { network, clock, random } = createNodePlatform({ log });
    this.client = new Client({
      network,
      clock,
      random,
      log,
      endpoints,
      dialTimeoutMs: 2_000,
      keepaliveTimeMs: 5_000,
      keepaliveTimeoutMs: 2_000,
      maxSendBytes: 0,
      maxReceiveBytes: 0,
    });
    this.#watcher = new Watcher(this.client);
    this.#watch();
    this.#writers = Promise.all(Array.from({ length: writersPerServer }, (_, index) => this.#write(index)));
  }

  get count(): number {
    return [...this.updated.values()].reduce((sum, count) => sum + count, 0);
  }

  async stopWriting(): Promise<void> {
    this.#isStopped = true;
    await this.#writers;
  }

  async close(): Promise<void> {
    await this.stopWriting();
    this.#watcher.close();
    this.client.close();
  }

  #watch(): void {
    this.#watcher.watch(
      { ...prefix, startRevision: 1n },
      {
        response: ({ events }) => {
          for (const { type, kv } of events) {
            const key = Buffer.from(kv!.key).toString();
            const last = this.seen.get(key) ?? 0n;
            if (type !== EventType.PUT || kv!.version !== last + 1n || kv!.modRevision <= this.seenRevision)
              this.faults.push(`${key}: version ${kv!.version} after ${last} at revision ${kv!.modRevision}`);
            this.seen.set(key, kv!.version);
            this.seenRevision = kv!.modRevision;
          }
        },
        closed: (error) => {
          if (error !== undefined) this.faults.push(`the watch ended: ${error.message}`);
        },
      },
    );
  }

  /** GuaranteedUpdate: read, change, write if nobody else did; with what the failed transaction read once more. */
  async #write(index: number): Promise<void> {
    for (let turn = index; !this.#isStopped; turn++) {
      const key = `/registry/configmaps/default/object-${turn % objects}`;
      try {
        await this.#update(key);
      } catch {
        // Nobody served the read: nothing was written.
      }
    }
  }

  async #update(key: string): Promise<void> {
    const read = await this.client.call(methods.range, { key: bytes(key) }, { timeoutMs });
    let [current] = read.kvs;
    while (!this.#isStopped) {
      const value = bytes(String(Number(Buffer.from(current?.value ?? [])) + 1));
      const compare = { key: bytes(key), target: Target.MOD, result: Result.EQUAL, rangeEnd: new Uint8Array(0) };
      try {
        const answer = await this.client.call(
          methods.txn,
          {
            compare: [{ ...compare, modRevision: current?.modRevision ?? 0n }],
            success: [{ requestPut: putOf(key, value) }],
            failure: [{ requestRange: methods.range.request.create({ key: bytes(key) }) }],
          },
          { timeoutMs },
        );
        if (answer.succeeded) {
          this.updated.set(key, (this.updated.get(key) ?? 0) + 1);
          return;
        }
        current = answer.responses[0].responseRange!.kvs[0];
      } catch {
        this.unknown++;
        return;
      }
    }
  }
}

function putOf(key: string, value: Uint8Array) {
  return methods.put.request.create({ key: bytes(key), value });
}

async function everybodyGoesOn(): Promise<void> {
  const wanted = servers.map(({ count }) => count + 50);
  await eventually("every API server makes updates", async () => {
    for (const [index, { count }] of servers.entries()) expect(count).toBeGreaterThan(wanted[index]);
  });
}

test("guarded updates and watches of three API servers go on while a member fails and is replaced", async () => {
  cluster = await PageCluster.found(3);
  const endpoints = [...cluster.members, cluster.newMember()].map(({ clientUrl }) => clientUrl);
  const [failed, , , added] = cluster.members;
  for (let number = 0; number < apiServers; number++) servers.push(new ApiServer(endpoints));
  await everybodyGoesOn();

  await failed.kill();
  await everybodyGoesOn();
  const list = await cluster.etcdctl("member", "list");
  await cluster.etcdctl(
    "member",
    "remove",
    list
      .split("\n")
      .find((line) => line.includes("member1"))!
      .split(",")[0],
  );
  const output = await eventually("a member may be added", () =>
    cluster!.etcdctl("member", "add", added.name, `--peer-urls=${added.peerUrl}`),
  );
  await everybodyGoesOn();
  await cluster.start(added, printedEnvironment(output));
  await everybodyGoesOn();
  await Promise.all(servers.map((server) => server.stopWriting()));

  const { kvs, header } = await servers[0].client.call(methods.range, prefix, { timeoutMs: 30_000 });
  for (const server of servers) {
    await eventually("the watch has seen all", async () => expect(server.seenRevision).toBe(header!.revision));
    expect(server.faults).toEqual([]);
  }
  let surplus = 0;
  for (const { key, value, version } of kvs) {
    const name = Buffer.from(key).toString();
    const acknowledged = servers.reduce((sum, { updated }) => sum + (updated.get(name) ?? 0), 0);
    const made = Number(Buffer.from(value).toString());
    expect(made).toBeGreaterThanOrEqual(acknowledged);
    expect(Number(version)).toBe(made);
    surplus += made - acknowledged;
  }
  expect(surplus).toBeLessThanOrEqual(servers.reduce((sum, { unknown }) => sum + unknown, 0));
  await cluster.expectEqual();
});

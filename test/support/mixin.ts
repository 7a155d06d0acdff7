/**
 * The metrics that etcd's public alerts and dashboard (contrib/mixin) read: names, labels, and the series they pick by the
 * values of labels. `up` is Prometheus' own.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { methods } from "../../src/client/methods.ts";
import { put, withClient } from "./client.ts";
import { TestCluster } from "./cluster.ts";
import { patienceMs } from "./process.ts";

export interface ReadMetric {
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  /** Label values that must occur together, as in the text form. */
  readonly series?: readonly string[];
}

export function readMetrics(): Record<string, ReadMetric> {
  const path = join(import.meta.dirname, "../fixtures/metrics/mixin.json");
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, ReadMetric>;
}

/** Three members that have seen what the expressions speak of: requests, failures, streams, and a member that is down. */
export async function usedCluster(): Promise<TestCluster> {
  const cluster = await TestCluster.found([undefined, undefined, undefined], ["--metrics=extensive"]);
  try {
    for (const { endpoint } of cluster.members) await use(endpoint);
    await cluster.members[2].kill();
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

async function use(endpoint: string): Promise<void> {
  const within = { timeoutMs: patienceMs };
  await withClient(endpoint, async (client) => {
    for (let index = 0; index < 20; index++) await put(client, `key${index}`, "value");
    const { ID } = await client.call(methods.leaseGrant, { TTL: 60n }, within);
    // Once more with the same id: refused with FailedPrecondition.
    await client.call(methods.leaseGrant, { TTL: 60n, ID }, within).catch(() => undefined);
    const lease = await client.open(methods.leaseKeepAlive, within);
    await lease.send({ ID });
    for await (const _answer of lease) break;
    lease.cancel();
    const watch = await client.open(methods.watch, within);
    await watch.send({
      createRequest: {
        key: Buffer.from("key"),
        rangeEnd: new Uint8Array(0),
        startRevision: 0n,
        progressNotify: false,
        filters: [],
        prevKv: false,
        watchId: 0n,
        fragment: false,
      },
    });
    for await (const _answer of watch) break;
    watch.cancel();
  });
}

/** The page of a member. */
export async function metricsOf(endpoint: string): Promise<string> {
  return (await fetch(`${endpoint}/metrics`)).text();
}

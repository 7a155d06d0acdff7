/** Everything that etcd's public alerts and dashboard read is on our `/metrics` once a cluster has been used. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TestCluster } from "../support/cluster.ts";
import { metricsOf, readMetrics, usedCluster } from "../support/mixin.ts";

let cluster: TestCluster;
let page: string;

beforeAll(async () => {
  cluster = await usedCluster();
  const { endpoint } = await cluster.leader();
  // Failures to reach the member that was killed are counted when the next message goes to it; peers are probed by and by.
  const late = ["etcd_network_peer_sent_failures_total{", "etcd_network_peer_round_trip_time_seconds_bucket{"];
  do page = await metricsOf(endpoint);
  while (!late.every((text) => page.includes(text)));
}, 120_000);

afterAll(() => cluster.close());

test.each(Object.entries(readMetrics()))("%s", (name, { type, labels, series = [] }) => {
  expect(new RegExp(`^# TYPE ${name} (.*)$`, "m").exec(page)?.[1]).toBe(type);
  const line = new RegExp(`^${name}${type === "histogram" ? "_bucket" : ""}(?:\\{(.*)\\})? (\\S+)$`, "gm");
  const found = [...page.matchAll(line)].map(([, text = ""]) => text);
  expect(found.length).toBeGreaterThan(0);
  for (const text of found) {
    const names = [...text.matchAll(/(\w+)="/g)].map(([, label]) => label).filter((label) => label !== "le");
    expect(names).toEqual(labels);
  }
  for (const part of series)
    expect(
      found.some((text) => text.includes(part)),
      part,
    ).toBe(true);
});

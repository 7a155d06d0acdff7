import { expect, test } from "vitest";
import { decodeConfChange } from "../wire/raft/codec.ts";
import { memberConfig } from "./config.ts";
import { initialCluster } from "./initial-cluster.ts";
import { StartError } from "./start-error.ts";

const url = (port: number): string => `http://127.0.0.1:${port}`;
const three = memberConfig({
  name: "m1",
  initialClusterToken: "tok1",
  initialAdvertisePeerUrls: [url(42011)],
  initialCluster: [
    { name: "m3", peerUrls: [url(42013)] },
    { name: "m1", peerUrls: [url(42011)] },
    { name: "m2", peerUrls: [url(42012)] },
  ],
});

test("every founder writes the same entries: one a member, sorted by id, committed in term 1", () => {
  const cluster = initialCluster(three);
  expect(cluster.memberId).toBe(0xc23c7b205e0a015bn);
  expect(cluster.clusterId).toBe(0xbebe5fdc20949fcfn);
  expect(cluster.hardState).toEqual({ term: 1, vote: 0n, commit: 3 });
  const changes = cluster.entries.map((entry) => decodeConfChange(entry.data));
  expect(changes.map((change) => change.nodeId)).toEqual([
    0xb8566d766c1e8ea1n,
    0xc23c7b205e0a015bn,
    0xcec45e4e9180249en,
  ]);
  expect(Buffer.from(changes[0].context).toString()).toBe(
    '{"id":13282924506363367073,"peerURLs":["http://127.0.0.1:42012"],"name":"m2"}',
  );
  expect(cluster.entries.map(({ index, term }) => [index, term])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
});

test("flags that contradict each other are refused with etcd's texts", () => {
  const refusal = (changes: Parameters<typeof memberConfig>[0]): string => {
    try {
      initialCluster({ ...three, ...changes });
    } catch (error) {
      if (error instanceof StartError) return error.message;
      throw error;
    }
    return "accepted";
  };
  expect(refusal({ name: "q" })).toBe(`couldn't find local name "q" in the initial cluster configuration`);
  expect(refusal({ initialAdvertisePeerUrls: [url(1)] })).toBe(
    "--initial-cluster has m1=http://127.0.0.1:42011 but missing from --initial-advertise-peer-urls=http://127.0.0.1:1",
  );
  expect(refusal({ initialAdvertisePeerUrls: [url(42011), url(9)] })).toBe(
    "--initial-advertise-peer-urls has http://127.0.0.1:9 but missing from " +
      "--initial-cluster=m1=http://127.0.0.1:42011,m1=http://127.0.0.1:9",
  );
  const twice = [...three.initialCluster.slice(0, 2), { name: "m2", peerUrls: [url(42013)] }];
  expect(refusal({ initialCluster: twice })).toMatch(/^initial cluster .* has duplicate url$/);
});

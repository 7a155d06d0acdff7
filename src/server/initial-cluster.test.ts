import { expect, test } from "vitest";
import { testPlatform } from "../../test/support/member.ts";
import { TestClock } from "../../test/support/memory-connection.ts";
import { VirtualResolver } from "../platform/virtual/resolver.ts";
import { decodeConfChange } from "../wire/raft/conf-change-codec.ts";
import { memberConfig, type MemberConfig } from "./config.ts";
import { checkAdvertised, initialCluster, ownMember } from "./initial-cluster.ts";
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

const resolver = new VirtualResolver({
  addresses: new Map([["m1.example.com", ["127.0.0.1"]]]),
  services: new Map(),
});

async function refusal(changes: Partial<MemberConfig>): Promise<string> {
  const config = { ...three, ...changes };
  try {
    ownMember(config);
    await checkAdvertised(config, { resolver, clock: new TestClock(), log: testPlatform([]).log });
  } catch (error) {
    if (error instanceof StartError) return error.message;
    throw error;
  }
  return "accepted";
}

const others = three.initialCluster.filter(({ name }) => name !== "m1");
const m1 = (...peerUrls: string[]): Pick<MemberConfig, "initialCluster"> => ({
  initialCluster: [{ name: "m1", peerUrls }, ...others],
});

test.each<[string, Partial<MemberConfig>, string]>([
  ["nothing", {}, "accepted"],
  ["an unknown name", { name: "q" }, `couldn't find local name "q" in the initial cluster configuration`],
  [
    "another advertised URL",
    { initialAdvertisePeerUrls: [url(1)] },
    `--initial-cluster has m1=${url(42011)} but missing from --initial-advertise-peer-urls=${url(1)} ` +
      `(resolved urls: "${url(1)}" != "${url(42011)}")`,
  ],
  [
    "one advertised URL more",
    { initialAdvertisePeerUrls: [url(42011), url(9)] },
    `--initial-advertise-peer-urls has ${url(9)} but missing from --initial-cluster=m1=${url(42011)},m1=${url(9)}`,
  ],
  [
    "one advertised URL less",
    m1(url(42011), url(9)),
    `--initial-cluster has m1=${url(9)} but missing from --initial-advertise-peer-urls=${url(42011)} ` +
      `(len(["${url(42011)}"]) != len(["${url(42011)}" "${url(9)}"]))`,
  ],
  [
    "two URLs in another order",
    { ...m1(url(9), url(42011)), initialAdvertisePeerUrls: [url(42011), url(9)] },
    "accepted",
  ],
  ["a host name for the address", m1("http://m1.example.com:42011"), "accepted"],
  [
    "a host name of another port",
    m1("http://m1.example.com:1"),
    `--initial-cluster has m1=http://m1.example.com:1 but missing from --initial-advertise-peer-urls=${url(42011)} ` +
      `(resolved urls: "${url(42011)}" != "${url(1)}")`,
  ],
  [
    "one URL for two members",
    { initialCluster: [...three.initialCluster.slice(0, 2), { name: "m2", peerUrls: [url(42013)] }] },
    `initial cluster m1=${url(42011)},m2=${url(42013)},m3=${url(42013)} has duplicate url`,
  ],
  [
    "one URL twice",
    m1(url(42011), url(42011)),
    `initial cluster m1=${url(42011)},m1=${url(42011)},m2=${url(42012)},m3=${url(42013)} has duplicate url`,
  ],
])("what the flags say of the cluster, with %s", async (_case, changes, text) => {
  expect(await refusal(changes)).toBe(text);
});

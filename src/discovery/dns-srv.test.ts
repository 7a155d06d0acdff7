import { expect, test } from "vitest";
import { testPlatform } from "../../test/support/member.ts";
import { VirtualResolver } from "../platform/virtual/resolver.ts";
import type { ServiceRecord } from "../platform/resolver.ts";
import { endpointsBySrv, membersBySrv } from "./dns-srv.ts";

const hosts = new Map([1, 2, 3].map((number) => [`m${number}.example.com`, [`10.0.0.${number}`]] as const));

function resolverOf(services: Record<string, readonly ServiceRecord[]>): VirtualResolver {
  return new VirtualResolver({ addresses: hosts, services: new Map(Object.entries(services)) });
}

const at = (number: number, port = 2380): ServiceRecord => ({ target: `m${number}.example.com.`, port });

function members(
  services: Record<string, readonly ServiceRecord[]>,
  advertised = ["http://m2.example.com:2380"],
  serviceName = "",
): ReturnType<typeof membersBySrv> {
  const { log } = testPlatform([]);
  return membersBySrv({
    resolver: resolverOf(services),
    log,
    name: "infra",
    domain: "example.com",
    serviceName,
    advertised,
  });
}

test("a member finds itself by its address and numbers the others", async () => {
  const found = await members({ "_etcd-server._tcp.example.com": [at(1), at(2), at(3)] });
  expect(found).toEqual([
    { name: "0", peerUrls: ["http://m1.example.com:2380"] },
    { name: "infra", peerUrls: ["http://m2.example.com:2380"] },
    { name: "1", peerUrls: ["http://m3.example.com:2380"] },
  ]);
});

test("a member that advertises its IP finds itself by the name", async () => {
  const found = await members({ "_etcd-server._tcp.example.com": [at(1), at(2)] }, ["http://10.0.0.2:2380"]);
  expect(found).toContainEqual({ name: "infra", peerUrls: ["http://m2.example.com:2380"] });
});

test("the service name stands behind the service, and -ssl before it", async () => {
  const found = await members(
    { "_etcd-server-ssl-blue._tcp.example.com": [at(1), at(2)] },
    ["https://m2.example.com:2380"],
    "blue",
  );
  expect(found.map(({ peerUrls }) => peerUrls)).toEqual([
    ["https://m1.example.com:2380"],
    ["https://m2.example.com:2380"],
  ]);
});

test.each([
  [
    "nothing is found",
    {},
    "error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.example.com: no such host",
  ],
  [
    "this member is not among those found",
    { "_etcd-server._tcp.example.com": [at(1), at(3)] },
    'cannot find local etcd member "infra" in SRV records',
  ],
  [
    "the record is for the other scheme",
    { "_etcd-server-ssl._tcp.example.com": [at(2)] },
    "bootstrap at https://m2.example.com:2380 from DNS for etcd-server-ssl has scheme mismatch with expected peer http://m2.example.com:2380",
  ],
  [
    "a target has no address",
    { "_etcd-server._tcp.example.com": [at(9)] },
    "error querying DNS SRV records for _etcd-server lookup m9.example.com.: no such host",
  ],
])("refused with etcd's text when %s", async (_case, services, text) => {
  await expect(members(services)).rejects.toThrow(text);
});

test("endpoints: the encrypted ones first, one kind is enough", async () => {
  const both = resolverOf({
    "_etcd-client._tcp.example.com": [at(1, 2379)],
    "_etcd-client-ssl._tcp.example.com": [at(2, 2379)],
  });
  expect(await endpointsBySrv(both, "example.com", "")).toEqual([
    "https://m2.example.com.:2379",
    "http://m1.example.com.:2379",
  ]);
  const named = resolverOf({ "_etcd-client-blue._tcp.example.com": [at(1, 2379)] });
  expect(await endpointsBySrv(named, "example.com", "blue")).toEqual(["http://m1.example.com.:2379"]);
  await expect(endpointsBySrv(resolverOf({}), "example.com", "")).rejects.toThrow(
    "dns lookup errors: lookup _etcd-client-ssl._tcp.example.com: no such host and " +
      "lookup _etcd-client._tcp.example.com: no such host",
  );
});

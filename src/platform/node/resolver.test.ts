import { afterEach, expect, test } from "vitest";
import { DnsServer } from "../../../test/support/dns-server.ts";
import { NodeResolver } from "./resolver.ts";

let server: DnsServer | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function resolver(): Promise<NodeResolver> {
  server = await DnsServer.start({
    addresses: { "m1.example.com": ["127.0.0.1", "127.0.0.9"] },
    services: {
      "_etcd-server._tcp.example.com": [
        { target: "m2.example.com", port: 2, priority: 20 },
        { target: "m1.example.com", port: 1, priority: 10 },
      ],
    },
  });
  return new NodeResolver({ servers: [server.address] });
}

test("SRV records come by priority, with full names", async () => {
  expect(await (await resolver()).lookupServices("_etcd-server._tcp.example.com")).toEqual([
    { target: "m1.example.com.", port: 1, priority: 10, weight: 0 },
    { target: "m2.example.com.", port: 2, priority: 20, weight: 0 },
  ]);
});

test("a host has its addresses, and an IP is its own", async () => {
  const names = await resolver();
  expect((await names.lookupAddresses("m1.example.com")).toSorted()).toEqual(["127.0.0.1", "127.0.0.9"]);
  expect(await names.lookupAddresses("::1")).toEqual(["::1"]);
  expect(await new NodeResolver().lookupAddresses("localhost")).toContain("127.0.0.1");
});

test("what nobody knows is refused in Go's words", async () => {
  const names = await resolver();
  await expect(names.lookupServices("_etcd-client._tcp.example.com")).rejects.toMatchObject({
    name: "NetworkError",
    code: "ENOTFOUND",
    message: `lookup _etcd-client._tcp.example.com on ${server?.address}: no such host`,
  });
  await expect(names.lookupAddresses("m9.example.com")).rejects.toThrow("no such host");
});

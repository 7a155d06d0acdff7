/** The proxy's KV service over members that answer as a test says. */
import { expect, test } from "vitest";
import type { UnaryCall, UnaryHandler } from "../../grpc/calls.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import * as rpc from "../../wire/gen/etcdserverpb/rpc.ts";
import { KvProxy } from "./kv.ts";
import { Namespace } from "./namespace.ts";
import { RangeCache } from "./range-cache.ts";
import type { Upstream } from "./upstream.ts";

/** @param revisions - that the members show, one answer after the other. */
function proxyOver(revisions: bigint[], { namespace = "", keepsOrder = false } = {}) {
  const handlers = new Map<string, UnaryHandler>();
  const sent: rpc.RangeRequest[] = [];
  const upstream: Pick<Upstream, "unary" | "endpoints"> = {
    endpoints: ["one", "two"],
    unary(_path, request) {
      sent.push(rpc.RangeRequest.decode(request));
      const header = { clusterId: 0n, memberId: 0n, raftTerm: 0n, revision: revisions.shift() ?? 0n };
      return Promise.resolve(rpc.RangeResponse.encode({ header, kvs: [], more: false, count: 0n }).finish());
    },
  };
  const proxy = new KvProxy(upstream, {
    namespace: namespace === "" ? undefined : new Namespace(Buffer.from(namespace)),
    keepsOrder,
    cache: new RangeCache(() => 0),
  });
  const server: Pick<GrpcServer, "unary"> = { unary: (path, handler) => void handlers.set(path, handler) };
  proxy.register(server);
  const range = (fields: Partial<rpc.RangeRequest>): Promise<bigint | string> =>
    new Promise((resolve) => {
      const call: Partial<UnaryCall> = {
        metadata: () => undefined,
        onCancel: () => undefined,
        respond: (bytes) => resolve(rpc.RangeResponse.decode(bytes).header?.revision ?? 0n),
        fail: (_code, message) => resolve(message),
      };
      const bytes = rpc.RangeRequest.encode(rpc.RangeRequest.create(fields)).finish();
      handlers.get("/etcdserverpb.KV/Range")?.(call as UnaryCall, bytes);
    });
  return { range, sent };
}

const key = Buffer.from("k");

test("with order kept a member that is behind is passed over, and all being behind is an error", async () => {
  const { range, sent } = proxyOver([5n, 3n, 4n, 6n], { keepsOrder: true });
  expect(await range({ key })).toBe(5n);
  expect(await range({ key, limit: 1n })).toBe(6n);
  expect(sent).toHaveLength(4);
  expect(await range({ key, limit: 2n })).toMatch(/no cluster members have a revision higher/);
});

test("without it the answer is the member's", async () => {
  const { range } = proxyOver([5n, 3n]);
  expect(await range({ key })).toBe(5n);
  expect(await range({ key, limit: 1n })).toBe(3n);
});

test("only a serializable read is answered from the cache", async () => {
  const { range, sent } = proxyOver([5n, 6n, 7n]);
  expect(await range({ key })).toBe(5n);
  expect(await range({ key, serializable: true })).toBe(5n);
  expect(await range({ key })).toBe(6n);
  expect(await range({ key, serializable: true })).toBe(6n);
  expect(sent).toHaveLength(2);
});

test("a namespace turns its end into that of all keys", async () => {
  const { range, sent } = proxyOver([1n], { namespace: "p/" });
  await range({ key, rangeEnd: Uint8Array.of(0) });
  expect(sent).toEqual([
    expect.objectContaining({ key: new Uint8Array(Buffer.from("p/k")), rangeEnd: new Uint8Array(Buffer.from("p0")) }),
  ]);
  expect(await range({ rangeEnd: Uint8Array.of(0) })).toBe("etcdserver: key is not provided");
});

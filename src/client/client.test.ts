import { afterEach, expect, test } from "vitest";
import { GrpcServer } from "../grpc/server.ts";
import type { StreamCall } from "../grpc/calls.ts";
import { NodeClock } from "../platform/node/clock.ts";
import { NodeNetwork } from "../platform/node/network.ts";
import type { Listener } from "../platform/network.ts";
import { createStderrLogger } from "../platform/node/stderr-logger.ts";
import { Code } from "../wire/errors.ts";
import { RangeResponse, ResponseHeader, WatchRequest, WatchResponse } from "../wire/gen/etcdserverpb/rpc.ts";
import { Client } from "./client.ts";
import { parseEndpoint, usesTls } from "./endpoint.ts";
import { methods } from "./methods.ts";
import { Watcher } from "./watcher.ts";

const clock = new NodeClock();
const network = new NodeNetwork();
const closing: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Starts a server whose methods `register` gives. @returns its endpoint. */
async function serve(register: (server: GrpcServer) => void): Promise<string> {
  const server = new GrpcServer({ clock });
  register(server);
  const listener: Listener = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) =>
    server.handleConnection(connection),
  );
  closing.push(() => listener.close());
  return "port" in listener.address ? `127.0.0.1:${listener.address.port}` : "";
}

function connect(endpoints: readonly string[], warnings: string[] = []): Client {
  const client = new Client({
    network,
    clock,
    random: { float: () => 0.5 },
    log: createStderrLogger("warn", (line) => warnings.push(line)),
    endpoints,
    dialTimeoutMs: 2000,
    keepaliveTimeMs: 0,
    keepaliveTimeoutMs: 0,
    maxSendBytes: 0,
    maxReceiveBytes: 0,
  });
  closing.push(() => client.close());
  return client;
}

const key = Buffer.from("k");

test("a read is sent again when the member was unavailable, a write is not", async () => {
  let reads = 0;
  let writes = 0;
  const endpoint = await serve((server) => {
    server.unary(methods.range.path, (call) => {
      reads++;
      if (reads < 3) call.fail(Code.Unavailable, "etcdserver: leader changed");
      else call.respond(RangeResponse.encode({ ...RangeResponse.create(), count: 7n }).finish());
    });
    server.unary(methods.put.path, (call) => {
      writes++;
      call.fail(Code.Unavailable, "etcdserver: leader changed");
    });
  });
  const client = connect([endpoint]);
  expect((await client.call(methods.range, { key })).count).toBe(7n);
  await expect(client.call(methods.put, { key })).rejects.toThrow("etcdserver: leader changed");
  expect([reads, writes]).toEqual([3, 1]);
});

test("an endpoint that is down does not matter when another one answers", async () => {
  const endpoint = await serve((server) => {
    server.unary(methods.range.path, (call) => call.respond(RangeResponse.encode(RangeResponse.create()).finish()));
  });
  // Port 1 is never ours to listen on.
  const client = connect(["127.0.0.1:1", endpoint]);
  for (let count = 0; count < 3; count++) await client.call(methods.range, { key });
});

test("a call without any server ends at its deadline, with Go's words, and the log says why", async () => {
  const warnings: string[] = [];
  const client = connect(["127.0.0.1:1"], warnings);
  await expect(client.call(methods.range, { key }, { timeoutMs: 300 })).rejects.toThrow("context deadline exceeded");
  expect(JSON.parse(warnings[0])).toMatchObject({
    method: "/etcdserverpb.KV/Range",
    attempt: 0,
    error:
      'rpc error: code = DeadlineExceeded desc = latest balancer error: connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"',
  });
});

test("nothing is sent to a server that has not said a word, and its connection is not taken for one that serves", async () => {
  const received: number[] = [];
  const silent = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    // HTTP/2's preface and the settings come in any case.
    connection.setHandlers({
      data: (chunk) => void received.push(chunk.length),
      end: () => connection.destroy(),
      drained() {},
      closed() {},
    });
  });
  closing.push(() => silent.close());
  const endpoint = "port" in silent.address ? `127.0.0.1:${silent.address.port}` : "";
  await expect(connect([endpoint]).call(methods.put, { key }, { timeoutMs: 300 })).rejects.toThrow(
    "context deadline exceeded",
  );
  expect(received.reduce((sum, size) => sum + size, 0)).toBeLessThan(128);
  const answering = await serve((server) => {
    server.unary(methods.range.path, (call) => call.respond(RangeResponse.encode(RangeResponse.create()).finish()));
  });
  const client = connect([endpoint, answering]);
  for (let count = 0; count < 3; count++) await client.call(methods.range, { key });
});

test("a server that hangs up before its first word is named in the log", async () => {
  const rude = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    connection.setHandlers({ data: () => connection.end(), end() {}, drained() {}, closed() {} });
  });
  closing.push(() => rude.close());
  const warnings: string[] = [];
  const endpoint = "port" in rude.address ? `127.0.0.1:${rude.address.port}` : "";
  const call = connect([endpoint], warnings).call(methods.put, { key }, { timeoutMs: 1000 });
  await expect(call).rejects.toThrow("context deadline exceeded");
  expect(warnings.join()).toContain('connection error: desc = \\"error reading server preface: EOF\\"');
});

test("texts of etcd stand bare, others with their code", async () => {
  const texts = ["etcdserver: key is not provided", "something else"];
  const endpoint = await serve((server) => {
    server.unary(methods.put.path, (call) => call.fail(Code.InvalidArgument, texts.shift() ?? ""));
  });
  const client = connect([endpoint]);
  await expect(client.call(methods.put, { key })).rejects.toThrow(/^etcdserver: key is not provided$/);
  await expect(client.call(methods.put, { key })).rejects.toThrow(
    /^rpc error: code = InvalidArgument desc = something else$/,
  );
});

test("a watch goes on behind the last event after its stream was lost", async () => {
  const asked: bigint[] = [];
  const header = { ...ResponseHeader.create(), revision: 10n };
  const event = (revision: bigint) => ({
    type: 0 as const,
    kv: { key, createRevision: 1n, modRevision: revision, version: 1n, value: key, lease: 0n },
    prevKv: undefined,
  });
  const send = (call: StreamCall, fields: Partial<WatchResponse>) =>
    call.send(WatchResponse.encode({ ...WatchResponse.create(), header, watchId: 4n, ...fields }).finish());
  const endpoint = await serve((server) => {
    server.bidi(methods.watch.path, (call) => {
      call.onMessage((bytes) => {
        asked.push(WatchRequest.decode(bytes).createRequest?.startRevision ?? -1n);
        send(call, { created: true });
        if (asked.length === 1) {
          send(call, { events: [event(11n)] });
          call.fail(Code.Unavailable, "etcdserver: no leader");
        } else send(call, { events: [event(12n)] });
      });
    });
  });
  const watcher = new Watcher(connect([endpoint]));
  closing.push(() => watcher.close());
  const seen = await new Promise<bigint[]>((resolve) => {
    const revisions: bigint[] = [];
    watcher.watch(
      { key },
      {
        response({ events }) {
          for (const { kv } of events) revisions.push(kv?.modRevision ?? 0n);
          if (revisions.length === 2) resolve(revisions);
        },
        closed: () => resolve(revisions),
      },
    );
  });
  expect(seen).toEqual([11n, 12n]);
  expect(asked).toEqual([0n, 12n]);
});

test("endpoints are read in all of etcd's forms", () => {
  expect(parseEndpoint("10.0.0.1:2379")).toMatchObject({ address: { host: "10.0.0.1", port: 2379 }, tls: "optional" });
  expect(parseEndpoint("http://[::1]:2379/x")).toMatchObject({ address: { host: "::1", port: 2379 }, tls: "never" });
  expect(parseEndpoint("https://example.com:1")).toMatchObject({ authority: "example.com:1", tls: "required" });
  expect(parseEndpoint("unixs:///run/e.sock")).toMatchObject({ address: { path: "/run/e.sock" }, tls: "required" });
  expect(parseEndpoint("unix:e.sock")).toMatchObject({ address: { path: "e.sock" }, authority: "e.sock" });
});

test.each([
  ["https://a:1", "a"],
  ["https://[::1]:1", "::1"],
  ["a:1", "a"],
  ["unixs://localhost:1", "localhost"],
  ["unixs:///run/etcd/m0.sock", "m0.sock"],
])("the server behind %s must be %s", (text, name) => expect(parseEndpoint(text).serverName).toBe(name));

test.each([
  ["https://a:1", "http://b:1", { without: false, withOption: false }],
  ["https://a:1", "b:1", { without: true, withOption: true }],
  ["http://a:1", "b:1", { without: false, withOption: true }],
  ["a:1", "b:1", { without: false, withOption: true }],
  ["http://a:1", "https://b:1", { without: true, withOption: true }],
  ["https://a:1", "unix://b:1", { without: true, withOption: true }],
])("behind %s, whether %s is reached over TLS without and with a TLS option: %j", (first, text, expected) => {
  const [one, other] = [parseEndpoint(first), parseEndpoint(text)];
  expect(usesTls(other, one, false)).toBe(expected.without);
  expect(usesTls(other, one, true)).toBe(expected.withOption);
});

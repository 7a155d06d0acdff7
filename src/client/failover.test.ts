/** What a client makes of endpoints that are down, silent, slow to answer, or going away, in virtual time. */
import { beforeEach, expect, test } from "vitest";
import { GrpcServer } from "../grpc/server.ts";
import type { Connection } from "../platform/network.ts";
import { createStderrLogger } from "../platform/node/stderr-logger.ts";
import { Scheduler, VirtualClock, VirtualInternet } from "../platform/virtual/index.ts";
import { Code } from "../wire/errors.ts";
import { LeaseKeepAliveResponse, RangeResponse } from "../wire/gen/etcdserverpb/rpc.ts";
import type { StreamCall, UnaryCall } from "../grpc/calls.ts";
import { Client, type ClientOptions } from "./client.ts";
import { keepAliveOnce } from "./lease-keeper.ts";
import { methods } from "./methods.ts";

let scheduler: Scheduler;
let internet: VirtualInternet;
/** Endpoints in the order in which they were called. */
let called: string[];

beforeEach(() => {
  scheduler = new Scheduler();
  internet = new VirtualInternet();
  called = [];
});

const key = Buffer.from("k");
const answer = (call: UnaryCall): void => call.respond(RangeResponse.encode(RangeResponse.create()).finish());

/** A member that answers reads and writes, unless told otherwise. */
async function serve(host: string, handle: (call: UnaryCall) => void = answer): Promise<GrpcServer> {
  const clock = new VirtualClock(scheduler);
  const server = new GrpcServer({ clock });
  for (const { path } of [methods.range, methods.put]) {
    server.unary(path, (call) => {
      called.push(host);
      handle(call);
    });
  }
  await internet.join(host, clock).listen({ host, port: 2379 }, (connection) => server.handleConnection(connection));
  return server;
}

function connect(hosts: readonly string[], changes: Partial<ClientOptions> = {}): Client {
  const clock = new VirtualClock(scheduler);
  return new Client({
    network: internet.join("client", clock),
    clock,
    random: { float: () => 0.5 },
    log: createStderrLogger("fatal"),
    endpoints: hosts.map((host) => `${host}:2379`),
    dialTimeoutMs: 2_000,
    keepaliveTimeMs: 10_000,
    keepaliveTimeoutMs: 6_000,
    maxSendBytes: 0,
    maxReceiveBytes: 0,
    ...changes,
  });
}

test("calls go to all healthy endpoints in turn", async () => {
  for (const host of ["a", "b", "c"]) await serve(host);
  const client = connect(["a", "b", "c"]);
  await scheduler.runFor(10);
  for (let count = 0; count < 6; count++) await scheduler.run(client.call(methods.range, { key }));
  expect(called).toEqual(["a", "b", "c", "a", "b", "c"]);
});

test("an endpoint that is down is left out, and is called again once it is there", async () => {
  await serve("b");
  const client = connect(["a", "b"]);
  for (let count = 0; count < 3; count++) await scheduler.run(client.call(methods.range, { key }));
  expect(called).toEqual(["b", "b", "b"]);
  await serve("a");
  await scheduler.runFor(10_000);
  called = [];
  for (let count = 0; count < 2; count++) await scheduler.run(client.call(methods.range, { key }));
  expect(called.toSorted()).toEqual(["a", "b"]);
});

test("an endpoint that accepts and says nothing is never called, and alone it ends a call with the dial's error", async () => {
  await internet
    .join("silent", new VirtualClock(scheduler))
    .listen({ host: "silent", port: 2379 }, (connection) =>
      connection.setHandlers({ data() {}, end() {}, drained() {}, closed() {} }),
    );
  await serve("b");
  const both = connect(["silent", "b"]);
  const start = scheduler.nowMs;
  for (let count = 0; count < 3; count++) await scheduler.run(both.call(methods.range, { key }, { timeoutMs: 5_000 }));
  expect(scheduler.nowMs - start).toBeLessThan(100);
  const logged: string[] = [];
  const alone = connect(["silent"], { log: createStderrLogger("warn", (line) => logged.push(line)) });
  await expect(scheduler.run(alone.call(methods.range, { key }, { timeoutMs: 5_000 }))).rejects.toThrow(
    "context deadline exceeded",
  );
  expect(logged[0]).toContain("error reading server preface: i/o timeout");
});

test("a call to a member that fell silent ends with the keep-alive, and the next goes elsewhere", async () => {
  await serve("a", () => undefined);
  await serve("b");
  const client = connect(["a", "b"]);
  await scheduler.runFor(10);
  const lost = client.call(methods.put, { key }).catch((error: Error) => error.message);
  await scheduler.runFor(10);
  internet.cut("client", "a");
  const start = scheduler.nowMs;
  expect(await scheduler.run(lost)).toContain("code = Unavailable");
  expect(scheduler.nowMs - start).toBeLessThan(20_000);
  await scheduler.run(client.call(methods.put, { key }));
  expect(called).toEqual(["a", "b"]);
});

test("while the leader changes a read is sent to the next member, a write is given back", async () => {
  const failing = (call: UnaryCall): void => call.fail(Code.Unavailable, "etcdserver: leader changed");
  await serve("a", failing);
  await serve("b");
  const client = connect(["a", "b"]);
  await scheduler.runFor(10);
  await scheduler.run(client.call(methods.range, { key }));
  expect(called).toEqual(["a", "b"]);
  await expect(scheduler.run(client.call(methods.put, { key }))).rejects.toThrow("etcdserver: leader changed");
  expect(called).toEqual(["a", "b", "a"]);
});

test("a write that no server has begun with is sent elsewhere", async () => {
  const settings = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
  const goAwayBehindNothing = Uint8Array.of(0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const headersFrame = 1;
  let requests = 0;
  const accept = (connection: Connection): void => {
    connection.setHandlers({
      data: (chunk) => {
        if (chunk[3] !== headersFrame) return;
        requests++;
        connection.write(goAwayBehindNothing);
      },
      end() {},
      drained() {},
      closed() {},
    });
    connection.write(settings);
  };
  await internet.join("leaving", new VirtualClock(scheduler)).listen({ host: "leaving", port: 2379 }, accept);
  await serve("b");
  const client = connect(["leaving", "b"]);
  await scheduler.runFor(10);
  await scheduler.run(client.call(methods.put, { key }));
  expect(requests).toBe(1);
  expect(called).toEqual(["b"]);
});

test("a renewal is tried at the next member when one is not available", async () => {
  const renewing = (server: GrpcServer, host: string, handle: (call: StreamCall) => void): void =>
    server.bidi(methods.leaseKeepAlive.path, (call) => {
      called.push(host);
      handle(call);
    });
  renewing(await serve("a"), "a", (call) => call.fail(Code.Unavailable, "etcdserver: no leader"));
  renewing(await serve("b"), "b", (call) => {
    call.onMessage(() => call.send(LeaseKeepAliveResponse.encode({ header: undefined, ID: 7n, TTL: 5n }).finish()));
  });
  const client = connect(["a", "b"]);
  await scheduler.runFor(10);
  expect((await scheduler.run(keepAliveOnce(client, 7n))).TTL).toBe(5n);
  expect(called).toEqual(["a", "b"]);
});

test("a connection that is lost in the middle of a write fails the write, as it may have been carried out", async () => {
  const server = await serve("a", () => undefined);
  const client = connect(["a"]);
  await scheduler.runFor(10);
  const outcome = client.call(methods.put, { key }).catch((error: Error) => error.message);
  await scheduler.runFor(10);
  server.close();
  expect(await scheduler.run(outcome)).toContain("code = Unavailable");
  expect(called).toEqual(["a"]);
});

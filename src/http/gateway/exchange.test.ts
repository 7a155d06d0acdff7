import { expect, test } from "vitest";
import type { StreamCall, UnaryCall } from "../../grpc/calls.ts";
import { GrpcServer } from "../../grpc/server.ts";
import { Code } from "../../wire/errors.ts";
import { PutResponse, WatchRequest, WatchResponse } from "../../wire/gen/etcdserverpb/rpc.ts";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { Exchange, type GatewayOutput } from "./exchange.ts";

class Recorded implements GatewayOutput {
  status = 0;
  text = "";
  isClosed = false;
  hasRoom = true;
  bufferedBytes = 0;

  whole(status: number, _headers: Readonly<Record<string, string>>, text: string): void {
    this.status = status;
    this.text = text;
    this.isClosed = true;
  }

  open(status: number): void {
    this.status = status;
  }

  write(text: string): boolean {
    this.text += text;
    return this.hasRoom;
  }

  close(): void {
    this.isClosed = true;
  }
}

function start(path: string, headers: Record<string, string> = {}) {
  const clock = new ManualClock();
  const grpc = new GrpcServer({ clock, maxReceiveBytes: 1000 });
  const seen: { unary?: UnaryCall; stream?: StreamCall; requests: Uint8Array[] } = { requests: [] };
  grpc.unary("/etcdserverpb.KV/Put", (call) => void (seen.unary = call));
  grpc.bidi("/etcdserverpb.Watch/Watch", (call) => {
    seen.stream = call;
    call.onMessage((message) => seen.requests.push(message));
  });
  const output = new Recorded();
  const remote = { host: "::1", port: 1 };
  const exchange = new Exchange({ grpc, clock }, { method: "POST", path, headers, remote }, output);
  return { clock, grpc, seen, output, exchange, send: (text: string) => exchange.push(Buffer.from(text)) };
}

const handled = (grpc: GrpcServer, path: string): number[] => grpc.route(path)?.stats.handled ?? [];

test("a client that goes away cancels its call", () => {
  const { exchange, seen, grpc, send, output } = start("/v3/kv/put");
  send("{}");
  let isCancelled = false;
  seen.unary?.onCancel(() => (isCancelled = true));
  exchange.gone();
  expect(isCancelled).toBe(true);
  expect(handled(grpc, "/etcdserverpb.KV/Put")[Code.Canceled]).toBe(1);
  seen.unary?.respond(PutResponse.encode(PutResponse.create()).finish());
  expect(handled(grpc, "/etcdserverpb.KV/Put")[Code.OK]).toBe(0);
  expect(output.text).not.toContain("header");
});

test("Grpc-Timeout is the call's deadline", () => {
  const { clock, output, send, seen } = start("/v3/kv/put", { "grpc-timeout": "50m" });
  send("{}");
  expect(seen.unary?.deadline).toBe(clock.monotonic() + 50);
  clock.advance(50);
  expect([output.status, output.text]).toEqual([504, '{"code":4,"message":"context deadline exceeded"}']);
});

test("headers become metadata", () => {
  const headers = { authorization: "token", "grpc-metadata-hasleader": "true", "user-agent": "curl", "x-other": "1" };
  const { seen, send } = start("/v3/kv/put", headers);
  send("{}");
  const names = ["authorization", "hasleader", "grpcgateway-user-agent", "x-other", "x-forwarded-for"];
  expect(names.map((name) => seen.unary?.metadata(name))).toEqual(["token", "true", "curl", undefined, "::1"]);
});

test("a request larger than the server takes is refused, however it is sent", () => {
  const { send, output } = start("/v3/kv/put");
  for (let at = 0; at < 10 && !output.isClosed; at++) send(at === 0 ? `{"value":"${"A".repeat(500)}` : "A".repeat(500));
  expect(output.status).toBe(429);
  expect(output.text).toContain("grpc: received message larger than max");
});

test("a stream that cannot be read any more is half-closed, and goes on answering", () => {
  const { send, seen, output } = start("/v3/watch");
  let isHalfClosed = false;
  seen.stream?.onHalfClose(() => (isHalfClosed = true));
  send('{"progress_request":{}}');
  send("nonsense");
  expect(seen.requests.map((bytes) => WatchRequest.decode(bytes).progressRequest)).toEqual([{}]);
  expect(isHalfClosed).toBe(true);
  seen.stream?.send(WatchResponse.encode(WatchResponse.create({ watchId: 7n })).finish());
  expect(output.text).toBe('{"result":{"watch_id":"7"}}\n');
});

test("a slow client is waited for", () => {
  const { seen, output, exchange } = start("/v3/watch");
  let drained = 0;
  seen.stream?.onDrain(() => drained++);
  output.hasRoom = false;
  expect(seen.stream?.send(new Uint8Array(0))).toBe(false);
  exchange.drained();
  expect(drained).toBe(1);
});

test("an error after the first message is the last line", () => {
  const { seen, output } = start("/v3/watch");
  seen.stream?.send(new Uint8Array(0));
  seen.stream?.fail(Code.Unavailable, "etcdserver: no leader");
  expect(output.text).toBe('{"result":{}}\n{"error":{"code":14,"message":"etcdserver: no leader"}}\n');
  expect([output.status, output.isClosed]).toEqual([200, true]);
});

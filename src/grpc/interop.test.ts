// Our server against Node's own HTTP/2 client, and our client against Node's own server.
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { NodeClock } from "../platform/node/clock.ts";
import { NodeNetwork } from "../platform/node/network.ts";
import { message } from "../../test/support/raw-http2.ts";
import { Code } from "../wire/errors.ts";
import { GrpcClient } from "./client.ts";
import { HealthService } from "./health.ts";
import { GrpcServer } from "./server.ts";

const clock = new NodeClock();
const network = new NodeNetwork();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function startServer(): Promise<{ server: GrpcServer; port: number }> {
  const server = new GrpcServer({ clock });
  server.unary("/t.S/Echo", (call, request) => call.respond(new Uint8Array(request)));
  server.serverStream("/t.S/List", (call) => call.end());
  server.bidi("/t.S/Chat", (call) => {
    call.onMessage((bytes) => call.send(new Uint8Array(bytes)));
    call.onHalfClose(() => call.end());
  });
  const listener = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) =>
    server.handleConnection(connection),
  );
  cleanups.push(
    () => server.close(),
    () => listener.close(),
  );
  return { server, port: (listener.address as { port: number }).port };
}

interface Answer {
  readonly headers: http2.IncomingHttpHeaders;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
}

function request(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body: Uint8Array,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const parts: Buffer[] = [];
    let response: http2.IncomingHttpHeaders = {};
    let trailers: http2.IncomingHttpHeaders = {};
    stream.on("response", (received) => (response = received));
    stream.on("trailers", (received) => (trailers = received));
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("error", reject);
    stream.on("close", () => resolve({ headers: response, trailers, body: Buffer.concat(parts) }));
    stream.end(body);
  });
}

test("Node's client gets answers of every size, in order of grpc-go's layout", async () => {
  const { port } = await startServer();
  const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 20_000 } });
  cleanups.push(() => session.destroy());
  const sizes = [0, 1, 100, 16_379, 16_380, 70_000, 2_000_000];
  const answers = await Promise.all(
    sizes.map((size) => request(session, { ":path": "/t.S/Echo" }, message(new Uint8Array(size).fill(size)))),
  );
  for (const [index, { headers, trailers, body }] of answers.entries()) {
    expect(headers).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
    expect(trailers).toMatchObject({ "grpc-status": "0", "grpc-message": "" });
    expect(body.equals(message(new Uint8Array(sizes[index]).fill(sizes[index])))).toBe(true);
  }
});

test("Node's client sees refusals as grpc-go words them", async () => {
  const { port } = await startServer();
  const session = http2.connect(`http://127.0.0.1:${port}`);
  cleanups.push(() => session.destroy());
  const refusal = async (headers: http2.OutgoingHttpHeaders, body = message(new Uint8Array(0))): Promise<unknown> => {
    const { headers: got, trailers } = await request(session, headers, body);
    const all = { ...got, ...trailers };
    return [all[":status"], all["grpc-status"], decodeURIComponent(String(all["grpc-message"]))];
  };
  expect(await refusal({ ":path": "/t.S/Echo", "content-type": "text/plain" })).toEqual([
    415,
    "3",
    'invalid gRPC request content-type "text/plain"',
  ]);
  expect(await refusal({ ":path": "/t.S/Echo", ":method": "PUT" })).toEqual([
    405,
    "13",
    'Received a HEADERS frame with :method "PUT" which should be POST',
  ]);
  expect(await refusal({ ":path": "/t.S/Echo", "grpc-encoding": "gzip" })).toEqual([
    200,
    "12",
    'grpc: Decompressor is not installed for grpc-encoding "gzip"',
  ]);
  expect(await refusal({ ":path": "/t.S/Echo" }, Buffer.of(1, 0, 0, 0, 0))).toEqual([
    200,
    "13",
    "grpc: compressed flag set with identity or empty encoding",
  ]);
  expect(await refusal({ ":path": "/t.S/Echo" }, Buffer.of(0, 0, 0, 0, 9, 1))).toEqual([200, "2", "unexpected EOF"]);
  expect(await refusal({ ":path": "/t.S/Echo" }, Buffer.of(0, 0))).toEqual([200, "2", "EOF"]);
  expect(await refusal({ ":path": "/t.S/Echo", "x-bin": "!!!" })).toEqual([
    400,
    "13",
    'malformed binary metadata "!!!" in header "x-bin": illegal base64 data at input byte 0',
  ]);
  // An end without any message needs no headers of its own, nor does grpc-go send them.
  expect(await refusal({ ":path": "/t.S/Chat" }, Buffer.of())).toEqual([200, "0", ""]);
  expect(await refusal({ ":path": "/t.S/List" }, Buffer.of(0, 0))).toEqual([
    200,
    "13",
    "cardinality violation: received no request message from non-client-streaming RPC",
  ]);
  expect(await refusal({ ":path": "/t.S/List" }, Buffer.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0))).toEqual([
    200,
    "13",
    "cardinality violation: received multiple request messages for non-client-streaming RPC",
  ]);
  const { headers } = await request(
    session,
    { ":path": "/t.S/Echo", "content-type": "application/grpc+proto" },
    message(new Uint8Array(1)),
  );
  expect(headers["content-type"]).toBe("application/grpc+proto");
});

test("a client whose header table is small, or changes, reads every answer", async () => {
  const { port } = await startServer();
  for (const headerTableSize of [0, 100, 150, 4096, 65_536]) {
    const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { headerTableSize } });
    cleanups.push(() => session.destroy());
    for (let round = 0; round < 4; round++) {
      const { trailers } = await request(session, { ":path": "/t.S/Echo" }, message(new Uint8Array(3)));
      expect(trailers).toMatchObject({ "grpc-status": "0" });
      const failed = await request(session, { ":path": "/t.S/None" }, message(new Uint8Array(3)));
      expect({ ...failed.headers, ...failed.trailers }).toMatchObject({ "grpc-status": "12" });
    }
    await new Promise<void>((resolve) =>
      session.settings({ headerTableSize: 4096 - headerTableSize / 64 }, () => resolve()),
    );
    const { trailers } = await request(session, { ":path": "/t.S/Echo" }, message(new Uint8Array(3)));
    expect(trailers).toMatchObject({ "grpc-status": "0" });
  }
});

test("our client understands Node's server: answers, statuses, plain HTTP errors, GOAWAY", async () => {
  const server = http2.createServer();
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    const parts: Buffer[] = [];
    stream.on("error", () => undefined);
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => {
      if (headers[":path"] === "/html") {
        stream.respond({ ":status": 503, "content-type": "text/html" });
        stream.end("<html>");
      } else if (headers[":path"] === "/fail") {
        stream.respond(
          { ":status": 200, "content-type": "application/grpc", "grpc-status": "5", "grpc-message": "gone%20%C3%A4" },
          { endStream: true },
        );
      } else if (headers[":path"] === "/reset") {
        stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
      } else {
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.concat(parts));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = new GrpcClient(await network.connect({ host: "127.0.0.1", port }), {
    clock,
    authority: `127.0.0.1:${port}`,
  });
  cleanups.push(() => client.close());
  for (const size of [0, 10, 100_000, 1_000_000]) {
    expect((await client.unary("/echo", new Uint8Array(size))).length).toBe(size);
  }
  await expect(client.unary("/fail", new Uint8Array(1))).rejects.toMatchObject({
    code: Code.NotFound,
    message: "gone ä",
  });
  await expect(client.unary("/html", new Uint8Array(1))).rejects.toMatchObject({ code: Code.Unavailable });
  await expect(client.unary("/reset", new Uint8Array(1))).rejects.toMatchObject({ code: Code.Unavailable });
  for (const session of sessions) session.close();
  await client.closed;
  expect(client.usable).toBe(false);
  await expect(client.unary("/echo", new Uint8Array(1))).rejects.toMatchObject({ code: Code.Unavailable });
});

test("the health service answers Check, List and Watch", async () => {
  const { server, port } = await startServer();
  const health = new HealthService();
  health.register(server);
  const client = new GrpcClient(await network.connect({ host: "127.0.0.1", port }), { clock, authority: "x" });
  cleanups.push(() => client.close());
  const check = "/grpc.health.v1.Health/Check";
  const named = Buffer.of(0x0a, 1, 0x78);
  expect([...(await client.unary(check, new Uint8Array(0)))]).toEqual([8, 1]);
  await expect(client.unary(check, named)).rejects.toMatchObject({ code: Code.NotFound, message: "unknown service" });
  await expect(client.unary(check, Buffer.of(0x0a, 9))).rejects.toMatchObject({ code: Code.Internal });
  const watch = client.stream("/grpc.health.v1.Health/Watch");
  void watch.send(named);
  watch.halfClose();
  const states: number[] = [];
  for await (const state of watch) {
    states.push(state[1]);
    if (states.length === 1) health.setStatus("x", 1);
    if (states.length === 2) health.shutdown();
    if (states.length === 3) break;
  }
  expect(states).toEqual([3, 1, 2]);
  expect([...(await client.unary("/grpc.health.v1.Health/List", new Uint8Array(0)))]).toEqual([
    0x0a, 6, 0x0a, 0, 0x12, 2, 8, 2, 0x0a, 7, 0x0a, 1, 0x78, 0x12, 2, 8, 2,
  ]);
});

/** `--enable-distributed-tracing` with a collector of the test's own. */
import { join } from "node:path";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { GrpcClient } from "../../src/grpc/client.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import type { Listener } from "../../src/platform/network.ts";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { PutRequest, RangeRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { put, withClient } from "../support/client.ts";
import { eventually } from "../support/cluster.ts";
import { patienceMs, peer, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";

const goEtcd = peer("etcd36");
const platform = createNodePlatform({ log: createStderrLogger("fatal") });
const traceId = "0af7651916cd43dd8448eb211c80319c";
const callerSpan = "b7ad6b7169203331";

/** Fields of a message by number; nested ones are bytes. */
function fields(bytes: Uint8Array): Map<number, (Uint8Array | bigint | number)[]> {
  const reader = new BinaryReader(bytes);
  const found = new Map<number, (Uint8Array | bigint | number)[]>();
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const value =
      wireType === WireType.LengthDelimited
        ? reader.bytes()
        : wireType === WireType.Bit64
          ? BigInt(reader.fixed64())
          : wireType === WireType.Bit32
            ? reader.fixed32()
            : BigInt(reader.uint64());
    found.set(field, [...(found.get(field) ?? []), value]);
  }
  return found;
}

const nested = (bytes: Uint8Array, field: number): Uint8Array[] => (fields(bytes).get(field) ?? []) as Uint8Array[];
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

function attributes(list: readonly Uint8Array[]): Record<string, string> {
  return Object.fromEntries(
    list.map((bytes) => {
      const [value] = nested(bytes, 2);
      const [[, [held]]] = [...fields(value)];
      return [text(nested(bytes, 1)[0]), typeof held === "bigint" ? String(held) : text(held as Uint8Array)];
    }),
  );
}

interface Received {
  readonly resource: Record<string, string>;
  readonly name: string;
  readonly traceId: string;
  readonly parent: string;
  readonly attributes: Record<string, string>;
  readonly times: readonly bigint[];
  readonly status: Uint8Array | undefined;
}

class Collector {
  readonly spans: Received[] = [];
  #listener: Listener | undefined;
  readonly #server = new GrpcServer({ clock: platform.clock });

  async start(): Promise<number> {
    this.#server.unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export", (call, request) => {
      for (const resourceSpans of nested(request.slice(), 1)) {
        const resource = attributes(nested(resourceSpans, 1).flatMap((bytes) => nested(bytes, 1)));
        for (const span of nested(resourceSpans, 2).flatMap((bytes) => nested(bytes, 2))) {
          const [found] = [fields(span)];
          this.spans.push({
            resource,
            name: text(nested(span, 5)[0]),
            traceId: Buffer.from(nested(span, 1)[0]).toString("hex"),
            parent: Buffer.from(nested(span, 4)[0] ?? []).toString("hex"),
            attributes: attributes(nested(span, 9)),
            times: [found.get(7)![0] as bigint, found.get(8)![0] as bigint],
            status: nested(span, 15)[0],
          });
        }
      }
      call.respond(new Uint8Array(0));
    });
    this.#listener = await platform.network.listen({ host: "127.0.0.1", port: 0 }, (connection) =>
      this.#server.handleConnection(connection),
    );
    return (this.#listener.address as { port: number }).port;
  }

  async close(): Promise<void> {
    await this.#listener?.close();
    this.#server.close();
  }
}

let folder: string;
let collector: Collector;
let server: ServerProcess | undefined;
beforeEach(() => {
  folder = temporaryFolder();
  collector = new Collector();
});
afterEach(async () => {
  await server?.kill();
  await collector.close();
  removeFolder(folder);
});

async function start(port: number, ...more: string[]): Promise<ServerProcess> {
  return startAs(undefined, port, ...more);
}

async function startAs(command: string | undefined, port: number, ...more: string[]): Promise<ServerProcess> {
  const args = [
    "--enable-distributed-tracing",
    `--distributed-tracing-address=127.0.0.1:${port}`,
    "--distributed-tracing-instance-id=one",
    ...more,
  ];
  const dataDir = join(folder, command === undefined ? "data" : "go");
  server = await ServerProcess.start({ dataDir, args, ...(command === undefined ? {} : { command }) });
  return server;
}

/** One call with this header. */
async function callWith(member: ServerProcess, path: string, request: Uint8Array, traceparent: string): Promise<void> {
  const connection = await platform.network.connect({ host: "127.0.0.1", port: member.port });
  const client = new GrpcClient(connection, { clock: platform.clock, authority: "member" });
  await client.unary(path, request, { metadata: { traceparent }, timeoutMs: patienceMs });
  client.close();
}

test("a caller's sampled trace goes on in the member; one that is not sampled does not", async () => {
  const member = await start(await collector.start());
  const range = RangeRequest.encode(RangeRequest.create({ key: Buffer.from("k") })).finish();
  const written = PutRequest.encode(PutRequest.create({ key: Buffer.from("k") })).finish();
  await callWith(member, methods.range.path, range, `00-${traceId}-${callerSpan}-01`);
  await callWith(member, methods.put.path, written, `00-${traceId}-${callerSpan}-00`);
  await callWith(member, methods.put.path, written, "00-nonsense-01");
  await member.stop();
  expect(collector.spans).toHaveLength(1);
  const [span] = collector.spans;
  expect(span).toMatchObject({
    resource: { "service.name": "etcd", "service.instance.id": "one" },
    name: "etcdserverpb.KV/Range",
    traceId,
    parent: callerSpan,
    status: new Uint8Array(0),
    attributes: {
      "rpc.system": "grpc",
      "rpc.service": "etcdserverpb.KV",
      "rpc.method": "Range",
      "rpc.grpc.status_code": "0",
      "net.sock.peer.addr": "127.0.0.1",
    },
  });
  expect(span.times[0]).toBeLessThanOrEqual(span.times[1]);
});

test.skipIf(goEtcd === undefined)("spans are those of Go's etcd (skipped without it)", async () => {
  const port = await collector.start();
  const range = RangeRequest.encode(RangeRequest.create({ key: Buffer.from("k") })).finish();
  const seen: unknown[] = [];
  for (const command of [goEtcd, undefined]) {
    const member = await startAs(command, port);
    await callWith(member, methods.range.path, range, `00-${traceId}-${callerSpan}-01`);
    await eventually("the span comes", async () => expect(collector.spans).toHaveLength(1));
    await member.kill();
    const [{ times: _times, ...span }] = collector.spans.splice(0);
    delete span.attributes["net.sock.peer.port"];
    seen.push(span);
  }
  expect(seen[1]).toEqual(seen[0]);
});

test("all calls are sampled at a rate of a million per million, and none at the rate of 0", async () => {
  const port = await collector.start();
  const all = await start(
    port,
    "--distributed-tracing-sampling-rate=1000000",
    "--distributed-tracing-service-name=mine",
  );
  await withClient(all.endpoint, async (client) => {
    for (let index = 0; index < 600; index++) await put(client, `k${index}`, "v");
    await expect(client.call(methods.put, {}, { timeoutMs: patienceMs })).rejects.toThrow("key is not provided");
  });
  // A full batch is sent at once; the rest when the member stops.
  await eventually("the first batch comes", async () => expect(collector.spans.length).toBeGreaterThanOrEqual(512));
  await all.stop();
  const puts = collector.spans.filter(({ name }) => name === "etcdserverpb.KV/Put");
  expect(puts).toHaveLength(601);
  expect(new Set(puts.map((span) => span.traceId)).size).toBe(601);
  expect(puts.at(-1)).toMatchObject({
    parent: "",
    resource: { "service.name": "mine" },
    attributes: { "rpc.grpc.status_code": "3" },
    status: new Uint8Array(0),
  });
  collector.spans.length = 0;
  const none = await start(port);
  await withClient(none.endpoint, (client) => put(client, "k", "v"));
  await none.stop();
  expect(collector.spans).toEqual([]);
});

test("without a collector the member serves and stops as ever", async () => {
  const member = await start(1, "--distributed-tracing-sampling-rate=1000000");
  await withClient(member.endpoint, async (client) => {
    for (let index = 0; index < 600; index++) await put(client, "k", String(index));
  });
  expect(await member.stop()).toBe(0);
  expect(member.lines.join("\n")).toContain('"msg":"traces cannot be exported"');
});

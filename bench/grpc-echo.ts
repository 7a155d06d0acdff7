/**
 * Cost of the gRPC layer alone: a unary echo server in this process, driven by a raw HTTP/2 load in a child process.
 *
 *     node bench/grpc-echo.ts [seconds]        (Node with type stripping; or compile first)
 *
 * Prints requests per second, and microseconds of this process' CPU per request, which is the number that counts.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Http2Client, PreparedHeaders } from "../src/http2/client.ts";
import type { Http2Session } from "../src/http2/session.ts";
import { Http2Stream } from "../src/http2/stream.ts";
import { GrpcServer } from "../src/grpc/server.ts";
import { writePrefix } from "../src/grpc/message-reader.ts";
import { NodeClock } from "../src/platform/node/clock.ts";
import { NodeNetwork } from "../src/platform/node/network.ts";

const requestBytes = 100;
const clock = new NodeClock();
const network = new NodeNetwork();

async function serve(seconds: number): Promise<void> {
  const server = new GrpcServer({ clock });
  server.unary("/bench.Echo/Echo", (call, request) =>
    call.respondWith(request.length, (target, offset) => {
      target.set(request, offset);
      return offset + request.length;
    }),
  );
  const listener = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) =>
    server.handleConnection(connection),
  );
  const { port } = listener.address as { port: number };
  for (const [connections, streams] of [
    [1, 1],
    [10, 100],
    [10, 1000],
  ] as const) {
    const load = fork(fileURLToPath(import.meta.url), ["load", String(port), String(connections), String(streams)], {
      execArgv: [],
    });
    await new Promise((resolve) => setTimeout(resolve, 1500)); // warm-up
    const before = process.cpuUsage();
    const countBefore = server.methods[0].started;
    const startedAt = clock.monotonic();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const cpu = process.cpuUsage(before);
    const count = server.methods[0].started - countBefore;
    const elapsed = (clock.monotonic() - startedAt) / 1000;
    load.kill();
    const rate = Math.round(count / elapsed);
    const cost = (cpu.user + cpu.system) / count;
    console.log(`${streams} streams on ${connections} connections: ${rate}/s, ${cost.toFixed(2)} µs CPU per request`);
  }
  await listener.close();
  server.close();
}

/** One request at a time; the next one starts when the answer is complete. */
class EchoStream extends Http2Stream {
  readonly #next: () => void;

  constructor(session: Http2Session, next: () => void) {
    super(session, session.nextStreamId(), false);
    this.#next = next;
  }

  onHeaders(_list: unknown, end: boolean): void {
    if (end) this.#next();
  }

  onData(_bytes: Uint8Array, start: number, end: number): void {
    this.session.consumed(this, end - start);
  }

  onAborted(): void {
    process.exit(1);
  }

  onQueueEmpty(): void {
    // Requests are small and never queue here.
  }
}

async function drive(port: number, connections: number, streams: number): Promise<void> {
  process.on("disconnect", () => process.exit(0));
  const headers = (): PreparedHeaders =>
    new PreparedHeaders([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/bench.Echo/Echo"],
      [":authority", `127.0.0.1:${port}`],
      ["content-type", "application/grpc"],
      ["user-agent", "bench"],
      ["te", "trailers"],
      ["grpc-timeout", "4999m"],
    ]);
  for (let index = 0; index < connections; index++) {
    const client = new Http2Client(await network.connect({ host: "127.0.0.1", port }), { clock });
    const prepared = headers();
    const { session } = client;
    const next = (): void => {
      const stream = new EchoStream(session, next);
      client.sendRequest(stream, prepared, false);
      session.beginData(stream, 5 + requestBytes, true);
      const { output } = session;
      output.position = writePrefix(output.bytes, output.position, requestBytes) + requestBytes;
    };
    for (let stream = 0; stream < streams / connections; stream++) next();
  }
}

if (process.argv[2] === "load") await drive(...(process.argv.slice(3).map(Number) as [number, number, number]));
else await serve(Number(process.argv[2] ?? 3));

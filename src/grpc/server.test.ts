import { expect, test } from "vitest";
import { TestClock, connectionPair } from "../../test/support/memory-connection.ts";
import { Code } from "../wire/errors.ts";
import { GrpcClient } from "./client.ts";
import { GrpcServer, type GrpcServerOptions } from "./server.ts";
import { SharedMessage } from "./shared-message.ts";
import type { GrpcError } from "./status.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const text = (data: Uint8Array): string => Buffer.from(data).toString();

function setup(options: Partial<GrpcServerOptions> = {}) {
  const clock = new TestClock();
  const server = new GrpcServer({ clock, ...options });
  const [near, far] = connectionPair(clock);
  const connect = (): GrpcClient => {
    server.handleConnection(far);
    return new GrpcClient(near, { clock, authority: "test" });
  };
  return { clock, server, near, far, connect };
}

/** Runs the clock until the promise settles. */
async function outcome<T>(clock: TestClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => {
    settled = true;
  });
  watched.catch(() => undefined);
  for (let round = 0; round < 10_000 && !settled; round++) await clock.settle();
  expect(settled).toBe(true);
  return watched;
}

test("a unary call gets its answer by respond and by respondWith", async () => {
  const { clock, server, connect } = setup();
  server.unary("/t.S/Echo", (call, request) => call.respond(new Uint8Array(request)));
  server.unary("/t.S/Write", (call, request) =>
    call.respondWith(request.length, (target, offset) => {
      target.set(request, offset);
      return offset + request.length;
    }),
  );
  const client = connect();
  expect(text(await outcome(clock, client.unary("/t.S/Echo", bytes("hello"))))).toBe("hello");
  expect(text(await outcome(clock, client.unary("/t.S/Write", bytes("world"))))).toBe("world");
  expect(text(await outcome(clock, client.unary("/t.S/Echo", bytes(""))))).toBe("");
  expect(server.methods.map(({ method, started, handled }) => [method, started, handled[0]])).toEqual([
    ["Echo", 2, 2],
    ["Write", 1, 1],
  ]);
  expect(server.receivedBytes).toBe(10);
  expect(server.sentBytes).toBe(10);
});

test("messages larger than every window and frame arrive whole, in any pieces", async () => {
  const { clock, server, near, far, connect } = setup();
  server.unary("/t.S/Echo", (call, request) => call.respond(new Uint8Array(request)));
  near.pieceBytes = 777;
  far.pieceBytes = 1009;
  const client = connect();
  const request = new Uint8Array(1_500_000).map((_, index) => index * 31);
  const response = await outcome(clock, client.unary("/t.S/Echo", request));
  expect(Buffer.compare(response, request)).toBe(0);
});

test("a chunked answer is asked for in pieces and reports its end once", async () => {
  const { clock, server, connect } = setup();
  const size = 3_000_000;
  let asked = 0;
  let ends = 0;
  server.unary("/t.S/Big", (call) => {
    let left = size;
    call.respondChunked(
      size,
      (maxBytes) => {
        asked++;
        const piece = new Uint8Array(Math.min(left, maxBytes)).fill(asked);
        left -= piece.length;
        return piece;
      },
      () => ends++,
    );
  });
  const client = connect();
  const response = await outcome(clock, client.unary("/t.S/Big", bytes("")));
  expect(response.length).toBe(size);
  expect(asked).toBe(Math.ceil(size / 65_536));
  expect(ends).toBe(1);
});

test("errors carry code and exact message, also outside ASCII", async () => {
  const { clock, server, connect } = setup();
  server.unary("/t.S/Fail", (call) => call.fail(Code.NotFound, "etcdserver: 100 % größe\nnot found"));
  const client = connect();
  await expect(outcome(clock, client.unary("/t.S/Fail", bytes("x")))).rejects.toMatchObject({
    code: Code.NotFound,
    message: "etcdserver: 100 % größe\nnot found",
  });
});

test("unknown services and methods answer as grpc-go does", async () => {
  const { clock, server, connect } = setup();
  server.unary("/t.S/Echo", (call) => call.respond(bytes("")));
  const client = connect();
  const message = async (path: string): Promise<unknown> =>
    outcome(clock, client.unary(path, bytes(""))).catch((error: GrpcError) => [error.code, error.message]);
  expect(await message("/t.S/Nope")).toEqual([Code.Unimplemented, "unknown method Nope for service t.S"]);
  expect(await message("/t.X/Nope")).toEqual([Code.Unimplemented, "unknown service t.X"]);
  expect(await message("/nope")).toEqual([Code.Unimplemented, 'malformed method name: "/nope"']);
});

test("a request above the receive limit is refused with grpc-go's text", async () => {
  const { clock, server, connect } = setup({ maxReceiveBytes: 1000 });
  server.unary("/t.S/Echo", (call, request) => call.respond(new Uint8Array(request)));
  const client = connect();
  for (const size of [1001, 100_000]) {
    await expect(outcome(clock, client.unary("/t.S/Echo", new Uint8Array(size)))).rejects.toMatchObject({
      code: Code.ResourceExhausted,
      message: `grpc: received message larger than max (${size} vs. 1000)`,
    });
  }
  expect((await outcome(clock, client.unary("/t.S/Echo", new Uint8Array(1000)))).length).toBe(1000);
});

test("an answer above the send limit is refused with grpc-go's text", async () => {
  const { clock, server, connect } = setup({ maxSendBytes: 10 });
  server.unary("/t.S/Echo", (call) => call.respond(new Uint8Array(11)));
  const client = connect();
  await expect(outcome(clock, client.unary("/t.S/Echo", bytes("")))).rejects.toMatchObject({
    code: Code.ResourceExhausted,
    message: "grpc: trying to send message larger than max (11 vs. 10)",
  });
});

test("a deadline cancels the handler and answers DeadlineExceeded; a late answer is ignored", async () => {
  const { clock, server, connect } = setup();
  let cancelled = 0;
  let late: (() => void) | undefined;
  server.unary("/t.S/Slow", (call) => {
    expect(call.deadline).toBe(clock.monotonic() + 500);
    call.onCancel(() => cancelled++);
    late = () => call.respond(bytes("late"));
  });
  // Answers come from the server here: the client has no timer of its own in this test.
  const client = connect();
  const call = client.unary("/t.S/Slow", bytes(""), { metadata: { "grpc-timeout": "500m" } });
  call.catch(() => undefined);
  await clock.advance(499);
  expect(cancelled).toBe(0);
  await clock.advance(40);
  expect(cancelled).toBe(1);
  await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded, message: "context deadline exceeded" });
  late?.();
  expect(server.methods[0].handled[Code.DeadlineExceeded]).toBe(1);
  expect(server.methods[0].handled[Code.OK]).toBe(0);
});

test("a malformed or expired timeout is answered without calling the handler", async () => {
  const { clock, server, connect } = setup();
  let calls = 0;
  server.unary("/t.S/Echo", () => calls++);
  const client = connect();
  const outcomeOf = (timeout: string): Promise<unknown> =>
    outcome(clock, client.unary("/t.S/Echo", bytes(""), { metadata: { "grpc-timeout": timeout } })).catch(
      (error: GrpcError) => [error.code, error.message],
    );
  expect(await outcomeOf("0n")).toEqual([Code.DeadlineExceeded, "context deadline exceeded"]);
  expect((await outcomeOf("5x")) as unknown[]).toEqual([
    Code.Internal,
    'malformed grpc-timeout: transport: timeout unit is not recognized: "5x"',
  ]);
  expect(calls).toBe(0);
});

test("a client that cancels or vanishes cancels the handler once", async () => {
  const { clock, server, near, connect } = setup();
  let cancelled = 0;
  server.unary("/t.S/Hang", (call) => call.onCancel(() => cancelled++));
  const client = connect();
  const controller = new AbortController();
  const first = client.unary("/t.S/Hang", bytes(""), { signal: controller.signal });
  first.catch(() => undefined);
  await clock.settle();
  controller.abort();
  await expect(first).rejects.toMatchObject({ code: Code.Canceled, message: "context canceled" });
  await clock.settle();
  expect(cancelled).toBe(1);
  const second = client.unary("/t.S/Hang", bytes(""));
  second.catch(() => undefined);
  await clock.settle();
  near.destroy();
  await clock.settle();
  await expect(second).rejects.toMatchObject({ code: Code.Unavailable });
  expect(cancelled).toBe(2);
  expect(server.connectionCount).toBe(0);
  expect(clock.pendingTimers).toBe(0);
});

test("metadata is visible to the handler, binary values decoded", async () => {
  const { clock, server, connect } = setup();
  server.unary("/t.S/Meta", (call) => {
    call.respond(bytes(`${call.metadata("token")} ${call.metadata("none")} ${text(call.metadataBytes("x-bin")!)}`));
  });
  const client = connect();
  const response = await outcome(
    clock,
    client.unary("/t.S/Meta", bytes(""), { metadata: { token: "abc.1", "x-bin": "aGk" } }),
  );
  expect(text(response)).toBe("abc.1 undefined hi");
});

test("a bidirectional stream carries messages both ways and ends with OK", async () => {
  const { clock, server, connect } = setup();
  let closed = 0;
  server.bidi("/t.S/Chat", (call) => {
    call.onMessage((message) => call.sendParts([bytes("<"), new Uint8Array(message), bytes(">")], message.length + 2));
    call.onHalfClose(() => call.end());
    call.onClose(() => closed++);
  });
  const client = connect();
  const stream = client.stream("/t.S/Chat");
  const received: string[] = [];
  const reading = (async () => {
    for await (const message of stream) received.push(text(message));
  })();
  await outcome(clock, stream.send(bytes("a")));
  await outcome(clock, stream.send(bytes("b")));
  stream.halfClose();
  await outcome(clock, reading);
  expect(received).toEqual(["<a>", "<b>"]);
  expect(closed).toBe(1);
});

test("a message shared by many calls reaches each of them, also behind what waits for a window", async () => {
  const { clock, server, connect } = setup();
  const count = 1000;
  const shared = new SharedMessage([bytes("a".repeat(300)), bytes("b")], 301);
  server.bidi("/t.S/Shared", (call) => {
    for (let index = 0; index < count; index++) call.sendShared(shared);
    call.end();
  });
  const expected = "a".repeat(300) + "b";
  const client = connect();
  const read = async (): Promise<void> => {
    let received = 0;
    for await (const message of client.stream("/t.S/Shared")) {
      expect(text(message)).toBe(expected);
      received++;
    }
    expect(received).toBe(count);
  };
  await outcome(clock, Promise.all([read(), read(), read()]));
});

test("a stream that fails delivers what was sent before, then the status", async () => {
  const { clock, server, connect } = setup();
  server.serverStream("/t.S/List", (call, request) => {
    call.send(new Uint8Array(request));
    call.send(new Uint8Array(100_000));
    call.fail(Code.Unavailable, "etcdserver: no leader");
  });
  const client = connect();
  const stream = client.stream("/t.S/List");
  void stream.send(bytes("q"));
  stream.halfClose();
  const sizes: number[] = [];
  const reading = (async () => {
    for await (const message of stream) sizes.push(message.length);
  })();
  await expect(outcome(clock, reading)).rejects.toMatchObject({
    code: Code.Unavailable,
    message: "etcdserver: no leader",
  });
  expect(sizes).toEqual([1, 100_000]);
});

test("send tells the producer to stop while the reader is slow, and onDrain to go on", async () => {
  const { clock, server, far, connect } = setup();
  let sent = 0;
  let most = 0;
  server.serverStream("/t.S/Flood", (call) => {
    const produce = (): void => {
      while (sent < 200) {
        sent++;
        const more = call.send(new Uint8Array(50_000));
        most = Math.max(most, call.bufferedBytes);
        if (!more) return;
      }
      call.end();
    };
    call.onDrain(produce);
    produce();
  });
  const client = connect();
  await clock.settle();
  far.stalled = true;
  const stream = client.stream("/t.S/Flood");
  void stream.send(bytes("q"));
  stream.halfClose();
  await clock.settle();
  const before = sent;
  expect(before).toBeLessThan(200);
  expect(most).toBeLessThan(200_000);
  far.flow();
  let count = 0;
  const reading = (async () => {
    for await (const _ of stream) count++;
  })();
  await outcome(clock, reading);
  expect(count).toBe(200);
});

test("a streamed message larger than the window reaches a client that waits for it, and windows add up again", async () => {
  const { clock, server, connect } = setup();
  server.serverStream("/t.S/Large", (call) => {
    for (let each = 0; each < 5; each++) {
      call.send(new Uint8Array(9_000_000).fill(each));
      call.send(new Uint8Array(10).fill(each));
    }
    call.end();
  });
  const stream = connect().stream("/t.S/Large");
  void stream.send(bytes("q"));
  stream.halfClose();
  const seen: number[][] = [];
  const reading = (async () => {
    for await (const message of stream) seen.push([message.length, message[0], message.at(-1)!]);
  })();
  await outcome(clock, reading);
  expect(seen).toEqual(
    [0, 1, 2, 3, 4].flatMap((each) => [
      [9_000_000, each, each],
      [10, each, each],
    ]),
  );
});

test("a client that does not consume a stream holds the server back by its window", async () => {
  const { clock, server, connect } = setup();
  let sent = 0;
  server.serverStream("/t.S/Flood", (call) => {
    const produce = (): void => {
      let more = true;
      while (more) {
        sent++;
        more = call.send(new Uint8Array(100_000));
      }
    };
    call.onDrain(produce);
    produce();
  });
  const stream = connect().stream("/t.S/Flood");
  void stream.send(bytes("q"));
  stream.halfClose();
  await clock.settle();
  expect(sent).toBeGreaterThan(30);
  expect(sent).toBeLessThan(60); // 4 MiB of window and what is queued
  stream.cancel();
  await clock.settle();
});

test("drain lets running calls finish, refuses new connections, and resolves", async () => {
  const { clock, server, connect } = setup();
  let answer: (() => void) | undefined;
  server.unary("/t.S/Slow", (call) => {
    answer = () => call.respond(bytes("done"));
  });
  const client = connect();
  const call = client.unary("/t.S/Slow", bytes(""));
  await clock.settle();
  let drained = false;
  void server.drain().then(() => {
    drained = true;
  });
  await clock.settle();
  expect(client.usable).toBe(false);
  expect(drained).toBe(false);
  answer?.();
  expect(text(await outcome(clock, call))).toBe("done");
  await clock.advance(1000);
  expect(drained).toBe(true);
  const [near, far] = connectionPair(clock);
  server.handleConnection(far);
  await clock.settle();
  expect(near.destroyed).toBe(true);
});

test("a connection that stays silent is pinged, and closed when it does not answer", async () => {
  const { clock, server, near, connect } = setup({ keepaliveIntervalMs: 10_000, keepaliveTimeoutMs: 5000 });
  server.unary("/t.S/Echo", (call) => call.respond(bytes("")));
  connect();
  await clock.advance(60_000);
  expect(server.connectionCount).toBe(1); // the client answers pings
  near.stalled = true;
  await clock.advance(20_000);
  expect(server.connectionCount).toBe(0);
});

test("the client queues calls above the server's stream limit", async () => {
  const { clock, server, connect } = setup({ maxConcurrentStreams: 2 });
  let running = 0;
  let most = 0;
  server.unary("/t.S/Echo", (call) => {
    most = Math.max(most, ++running);
    clock.nextTurn(() => {
      running--;
      call.respond(bytes("ok"));
    });
  });
  const client = connect();
  await clock.settle();
  const answers = await outcome(
    clock,
    Promise.all(Array.from({ length: 20 }, () => client.unary("/t.S/Echo", bytes("")))),
  );
  expect(answers.length).toBe(20);
  expect(most).toBe(2);
});

test("a chunked answer that is cancelled asks for no more and reports its end once", async () => {
  const { clock, server, connect } = setup();
  let asked = 0;
  let ends = 0;
  server.unary("/t.S/Big", (call) => {
    call.respondChunked(
      1_000_000_000,
      (maxBytes) => {
        asked++;
        return new Uint8Array(maxBytes);
      },
      () => ends++,
    );
  });
  // A streaming call holds its window back, so the answer stands still half way.
  const stream = connect().stream("/t.S/Big");
  void stream.send(bytes(""));
  await clock.settle();
  expect(asked).toBeGreaterThan(10);
  expect(asked).toBeLessThan(100);
  expect(ends).toBe(0);
  const before = asked;
  stream.cancel();
  await clock.settle();
  expect(ends).toBe(1);
  expect(asked).toBe(before);
});

test("a producer that breaks its promise costs its call, not the connection", async () => {
  const { clock, server, connect } = setup();
  let ends = 0;
  server.unary("/t.S/Short", (call) => {
    let given = false;
    call.respondChunked(
      100,
      () => {
        if (given) return undefined;
        given = true;
        return new Uint8Array(10);
      },
      () => ends++,
    );
  });
  server.unary("/t.S/Echo", (call, request) => call.respond(new Uint8Array(request)));
  const client = connect();
  await expect(outcome(clock, client.unary("/t.S/Short", bytes("")))).rejects.toMatchObject({ code: Code.Internal });
  expect(ends).toBe(1);
  expect(text(await outcome(clock, client.unary("/t.S/Echo", bytes("on"))))).toBe("on");
});

test("a long answer leaves in slices, so that a short one behind it does not wait for its end", async () => {
  const { clock, server, connect } = setup();
  const order: string[] = [];
  server.unary("/t.S/Echo", (call, request) => call.respond(new Uint8Array(request)));
  const client = connect();
  await clock.settle();
  const long = client.unary("/t.S/Echo", new Uint8Array(2_000_000)).then(() => order.push("long"));
  const short = client.unary("/t.S/Echo", bytes("s")).then(() => order.push("short"));
  await outcome(clock, Promise.all([long, short]));
  expect(order).toEqual(["short", "long"]);
});

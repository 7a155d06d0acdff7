import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import * as http from "node:http";
import { connect as netConnect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NetworkError, type Address, type Connection, type ConnectionHandlers } from "../network.ts";
import { NodeNetwork } from "./network.ts";

const network = new NodeNetwork();
const loopback: Address = { host: "127.0.0.1", port: 0 };

/** Handlers that do nothing but what the test replaces. */
function handlers(own: Partial<ConnectionHandlers>): ConnectionHandlers {
  return { data() {}, end() {}, drained() {}, closed() {}, ...own };
}

test("bytes go both ways, corked writes arrive in order, and both sides see the end", async () => {
  const listener = await network.listen(loopback, (connection) => {
    connection.setHandlers(
      handlers({
        data: (chunk) => void connection.write(new Uint8Array(chunk)),
        end: () => connection.end(),
      }),
    );
  });
  const connection = await network.connect(listener.address);
  const received: number[] = [];
  const closed = new Promise<NetworkError | undefined>((resolve) => {
    connection.setHandlers(
      handlers({
        data(chunk) {
          received.push(...chunk);
          if (received.length === 3) connection.end();
        },
        closed: resolve,
      }),
    );
  });
  connection.cork();
  connection.write(Uint8Array.of(1));
  connection.write(Uint8Array.of(2, 3));
  expect(connection.waitingBytes).toBe(3);
  connection.uncork();
  expect(await closed).toBeUndefined();
  expect(received).toEqual([1, 2, 3]);
  await listener.close();
});

test("write says false while the peer does not read, and drained follows when it does", async () => {
  const accepted = deferred<Connection>();
  const listener = await network.listen(loopback, (connection) => {
    connection.setHandlers(handlers({}));
    connection.pause();
    accepted.resolve(connection);
  });
  const connection = await network.connect(listener.address);
  const drained = deferred<void>();
  connection.setHandlers(handlers({ drained: drained.resolve }));
  const server = await accepted.promise;
  while (connection.write(new Uint8Array(1 << 20)));
  expect(connection.waitingBytes).toBeGreaterThan(0);
  server.resume();
  await drained.promise;
  expect(connection.waitingBytes).toBe(0);
  connection.destroy();
  server.destroy();
  await listener.close();
});

test("a long conversation arrives whole and in order in both directions, with pauses on the way", async () => {
  const total = 8 << 20;
  const listener = await network.listen(loopback, (connection) => {
    connection.setHandlers(
      handlers({
        data(chunk) {
          if (!connection.write(new Uint8Array(chunk))) connection.pause();
        },
        drained: () => connection.resume(),
        end: () => connection.end(),
      }),
    );
  });
  const connection = await network.connect(listener.address);
  const sent = createHash("sha256");
  const echoed = createHash("sha256");
  let sentBytes = 0;
  let echoedBytes = 0;
  const send = (): void => {
    while (sentBytes < total) {
      const bytes = randomBytes(Math.min(total - sentBytes, 1 + ((sentBytes * 7919) % 50_000)));
      sent.update(bytes);
      sentBytes += bytes.length;
      if (!connection.write(bytes)) return;
    }
    connection.end();
  };
  await new Promise<void>((resolve) => {
    connection.setHandlers(
      handlers({
        data(chunk) {
          echoed.update(chunk);
          echoedBytes += chunk.length;
          if (echoedBytes % 5 === 0) {
            connection.pause();
            setImmediate(() => connection.resume());
          }
        },
        drained: send,
        closed: () => resolve(),
      }),
    );
    send();
  });
  expect(echoedBytes).toBe(total);
  expect(echoed.digest("hex")).toBe(sent.digest("hex"));
  await listener.close();
});

test("a connection that the peer resets says so, once, before and after many bytes", async () => {
  for (const size of [1, 100_000]) {
    let received = 0;
    const closed = deferred<NetworkError | undefined>();
    const listener = await network.listen(loopback, (connection) => {
      connection.setHandlers(handlers({ data: (chunk) => void (received += chunk.length), closed: closed.resolve }));
    });
    const socket = netConnect((listener.address as { port: number }).port, "127.0.0.1");
    socket.write(Buffer.alloc(size));
    while (received < size) await new Promise((resolve) => setImmediate(resolve));
    socket.resetAndDestroy();
    expect(await closed.promise).toMatchObject({ code: "ECONNRESET" });
    await listener.close();
  }
});

test("a detached socket serves HTTP/1.1 from its first bytes on", async () => {
  const server = http.createServer((request, response) => response.end(`hello ${request.url}`));
  const listener = await network.listen(loopback, (connection) => {
    connection.setHandlers(
      handlers({
        data(chunk) {
          const socket = connection.detach() as Socket;
          socket.unshift(new Uint8Array(chunk));
          server.emit("connection", socket);
          socket.resume();
        },
      }),
    );
  });
  const { port } = listener.address as { port: number };
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (const path of ["/a", "/b"]) {
    const body = await new Promise<string>((resolve, reject) => {
      http
        .get({ host: "127.0.0.1", port, path, agent }, (response) => {
          let text = "";
          response.on("data", (chunk: Buffer) => (text += chunk.toString()));
          response.on("end", () => resolve(text));
        })
        .on("error", reject);
    });
    expect(body).toBe(`hello ${path}`);
  }
  agent.destroy();
  server.closeAllConnections();
  await listener.close();
});

test("listening twice on a port and connecting to a closed one fail with the system's code", async () => {
  const listener = await network.listen(loopback, () => undefined);
  await expect(network.listen(listener.address, () => undefined)).rejects.toMatchObject({ code: "EADDRINUSE" });
  await listener.close();
  await expect(network.connect(listener.address)).rejects.toMatchObject({ name: "NetworkError", code: "ECONNREFUSED" });
});

test("Unix sockets work like TCP", async () => {
  const directory = mkdtempSync(join(tmpdir(), "quorate-net-"));
  const listener = await network.listen({ path: join(directory, "s") }, (connection) => {
    connection.setHandlers(handlers({ data: (chunk) => connection.destroy() ?? chunk }));
  });
  const connection = await network.connect(listener.address);
  const closed = new Promise<void>((resolve) =>
    connection.setHandlers(handlers({ end: () => connection.end(), closed: () => resolve() })),
  );
  connection.write(Uint8Array.of(1));
  await closed;
  await listener.close();
  rmSync(directory, { recursive: true });
});

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

test("connecting to a port that cannot be is an error, not an exception", async () => {
  await expect(network.connect({ host: "127.0.0.1", port: 99_999 })).rejects.toThrow(NetworkError);
});

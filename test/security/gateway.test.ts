/** The JSON gateway and its WebSockets against bodies, depths, frames and heads that have no measure, over real sockets. */
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { get, put, withClient } from "../support/client.ts";
import { removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";

/** Far less than what the attacks send. */
const growthMegabytesMax = 400;

let folder: string;
let server: ServerProcess;
let before: number;

beforeAll(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: `${folder}/data` });
  before = residentMegabytes();
});

afterEach(async () => {
  await withClient(server.endpoint, async (client) => {
    await put(client, "a", "served");
    expect(await get(client, "a")).toBe("served");
  });
  expect(residentMegabytes() - before).toBeLessThan(growthMegabytesMax);
});

afterAll(async () => {
  expect(await server.stop()).toBe(0);
  removeFolder(folder);
});

function residentMegabytes(): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1024;
}

/** Posts `first`, then `more` until the member has enough or `bytesMax` are sent. */
function post(path: string, first: string, more: Buffer, bytesMax: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    let status = 0;
    let body = "";
    let sentBytes = 0;
    let isOver = false;
    const sent = request(`${server.endpoint}${path}`, { method: "POST", agent: false });
    const on = (): void => {
      while (!isOver && sentBytes < bytesMax) {
        sentBytes += more.length;
        if (!sent.write(more)) return void sent.once("drain", on);
      }
      if (!isOver) sent.end();
    };
    sent.on("response", (response) => {
      status = response.statusCode ?? 0;
      response.on("data", (part: Buffer) => (body += part.toString()));
      response.on("end", () => sent.destroy());
    });
    sent.on("error", () => undefined); // closed while we were still writing
    sent.on("close", () => {
      isOver = true;
      resolve({ status, body });
    });
    sent.write(first);
    on();
  });
}

test.each([
  ["a key without end", "/v3/kv/put", '{"key":"', Buffer.alloc(1 << 20, "A")],
  ["white space without end", "/v3/kv/put", "{", Buffer.alloc(1 << 20, " ")],
  [
    "operations without end",
    "/v3/kv/txn",
    '{"success":[',
    Buffer.from('{"requestPut":{"key":"YQ=="}},'.repeat(10_000)),
  ],
  ["members that nobody knows", "/v3/kv/range", "{", Buffer.from('"x":1,'.repeat(100_000))],
])("%s is refused, half a gigabyte of it is not kept", async (_what, path, first, more) => {
  const { status } = await post(path, first, more, 512 << 20);
  // A reset of the connection may overtake the answer.
  expect([0, 400, 413, 429]).toContain(status);
});

test.each([
  ["arrays", "["],
  ["objects", '{"compare":'],
  ["transactions", '{"success":[{"requestTxn":'],
])("%s a hundred thousand deep are refused, without a crash", async (_what, opening) => {
  const { status } = await post("/v3/kv/txn", opening.repeat(100_000), Buffer.from(" "), 1);
  expect([0, 400]).toContain(status); // as above
});

/** What is heard until the member closes, or until `isEnough`. */
function say(first: string | Uint8Array, then?: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1", () => socket.write(first));
    let heard = "";
    let isSaid = then === undefined;
    socket.on("data", (part: Buffer) => {
      heard += part.toString("latin1");
      if (!isSaid && heard.includes("\r\n\r\n")) {
        isSaid = true;
        socket.write(then!);
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(heard));
  });
}

test("a head of two megabytes is refused", async () => {
  const heard = await say(`GET /version HTTP/1.1\r\nHost: x\r\nX-Big: ${"x".repeat(2 << 20)}\r\n\r\n`);
  expect(heard === "" || heard.startsWith("HTTP/1.1 431")).toBe(true);
});

const upgrade =
  "GET /v3/watch HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

test.each([
  ["a frame of 2^62 bytes", Uint8Array.of(0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4)],
  ["a frame without a mask", Uint8Array.of(0x81, 2, 0x7b, 0x7d)],
  ["a frame of an unknown kind", Uint8Array.of(0x83, 0x80, 1, 2, 3, 4)],
])("a WebSocket with %s is closed", async (_what, frame) => {
  expect(await say(upgrade, frame)).toMatch(/^HTTP\/1\.1 101 /);
});

test("pieces of a WebSocket message without end are not kept", async () => {
  const piece = Buffer.concat([Uint8Array.of(0x00, 0xfe, 0xff, 0xff, 0, 0, 0, 0), Buffer.alloc(0xffff, 0x20)]);
  const start = Buffer.concat([Uint8Array.of(0x01, 0x81, 0, 0, 0, 0), Buffer.from("{")]);
  const heard = await say(upgrade, Buffer.concat([start, ...Array.from({ length: 4000 }, () => piece)]));
  expect(heard).toMatch(/^HTTP\/1\.1 101 /);
});

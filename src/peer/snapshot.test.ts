import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { localMember, TestPeer } from "../../test/support/peer-cluster.ts";
import { testPlatform } from "../../test/support/member.ts";
import type { Listener } from "../platform/network.ts";
import { DiskError, type Disk } from "../platform/disk.ts";
import { createMessage, createSnapshot, MessageType, type Message } from "../wire/raft/types.ts";
import { MessageEncoder } from "./message-codec.ts";
import { humanBytes } from "./snapshot-sender.ts";
import type { SnapshotImage } from "./types.ts";

const real = testPlatform();
const idA = 0xan;
const idB = 0xbn;
let folder: string;
const listeners: Listener[] = [];
const peers: TestPeer[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quorate-peer-"));
});

afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close();
  for (const peer of peers.splice(0)) {
    peer.server.close();
    await peer.transport.stop();
  }
  rmSync(folder, { recursive: true });
});

interface Started {
  readonly peer: TestPeer;
  readonly url: string;
  readonly port: number;
  readonly directory: string;
}

/** A transport on a real socket. */
async function start(id: bigint, disk: Disk = real.disk): Promise<Started> {
  const directory = join(folder, id.toString(16));
  mkdirSync(directory);
  const server: { peer?: TestPeer } = {};
  const listener = await real.network.listen({ host: "127.0.0.1", port: 0 }, (connection) =>
    server.peer?.server.handleConnection(connection),
  );
  listeners.push(listener);
  const { port } = listener.address as { port: number };
  const url = `http://127.0.0.1:${port}`;
  const peer = new TestPeer({ ...real, disk }, localMember(id, url), directory);
  server.peer = peer;
  peers.push(peer);
  return { peer, url, port, directory };
}

function snapshotMessage(index: number, from = idA, to = idB): Message {
  const snapshot = { ...createSnapshot(), data: new Uint8Array(Buffer.from('{"Root":{}}')) };
  snapshot.metadata.index = index;
  snapshot.metadata.term = 3;
  return { ...createMessage(MessageType.Snap, to), from, term: 3, snapshot };
}

/** A database of `size` bytes that can be told from any other; `stopsAt` makes it shorter than it claims. */
function imageOf(size: number, stopsAt = size): SnapshotImage & { closed: boolean[] } {
  const closed: boolean[] = [];
  return {
    size,
    closed,
    read(target, position) {
      const count = Math.max(0, Math.min(target.length, stopsAt - position));
      for (let at = 0; at < count; at++) target[at] = byteAt(position + at);
      return Promise.resolve(count);
    },
    close: (sent) => void closed.push(sent),
  };
}

function byteAt(position: number): number {
  return (position * 31 + (position >>> 8)) & 0xff;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test("a database of several megabytes arrives complete and durable before raft hears of it", async () => {
  const a = await start(idA);
  const b = await start(idB);
  a.peer.transport.addPeer(idB, [b.url]);
  const size = 9 * 1024 * 1024 + 7;
  const image = imageOf(size);
  a.peer.transport.sendSnapshot(snapshotMessage(0x2a), image);
  await until(() => a.peer.snapshots.length > 0);
  expect(a.peer.snapshots).toEqual([{ peerId: idB, ok: true }]);
  expect(image.closed).toEqual([true]);
  expect(b.peer.received).toEqual([snapshotMessage(0x2a)]);
  expect(readdirSync(b.directory)).toEqual(["000000000000002a.snap.db"]);
  const bytes = readFileSync(join(b.directory, "000000000000002a.snap.db"));
  expect(bytes.length).toBe(size);
  expect(bytes.every((byte, at) => byte === byteAt(at))).toBe(true);
  expect(b.peer.transport.metrics.of(idA).snapshotsReceived).toBe(1);
  expect(a.peer.transport.metrics.of(idB).snapshotsSent).toBe(1);
});

test("an image that breaks off leaves nothing behind and is reported as failed", async () => {
  const a = await start(idA);
  const b = await start(idB);
  a.peer.transport.addPeer(idB, [b.url]);
  const image = imageOf(3_000_000, 2_000_000);
  a.peer.transport.sendSnapshot(snapshotMessage(5), image);
  await until(() => a.peer.snapshots.length > 0 && b.peer.has("failed to save incoming database snapshot"));
  expect(a.peer.snapshots).toEqual([{ peerId: idB, ok: false }]);
  expect(a.peer.unreachable).toContain(idB);
  expect(image.closed).toEqual([false]);
  await until(() => readdirSync(b.directory).length === 0);
  expect(b.peer.received).toEqual([]);
});

test("a disk that refuses ends the transfer with 500 and its reason", async () => {
  const refusing: Disk = Object.assign(Object.create(real.disk) as Disk, {
    open(path: string, ...rest: [never, never]) {
      const file = real.disk.open(path, ...rest);
      return Object.assign(Object.create(file) as typeof file, {
        path: file.path,
        close: () => file.close(),
        writeMany: () => Promise.reject(new DiskError("ENOSPC", path, "no space left on device")),
      });
    },
  });
  const a = await start(idA);
  const b = await start(idB, refusing);
  a.peer.transport.addPeer(idB, [b.url]);
  a.peer.transport.sendSnapshot(snapshotMessage(6), imageOf(1_000_000));
  await until(() => a.peer.snapshots.length > 0);
  expect(a.peer.snapshots[0].ok).toBe(false);
  expect(
    b.peer.lines.find((line) => line.message === "failed to save incoming database snapshot")?.fields["error"],
  ).toBe("no space left on device");
  await until(() => readdirSync(b.directory).length === 0);
});

test("a snapshot for a peer that is not there fails at once, its image released", async () => {
  const a = await start(idA);
  const image = imageOf(10);
  a.peer.transport.sendSnapshot(snapshotMessage(5), image);
  expect(image.closed).toEqual([false]);
  expect(a.peer.snapshots).toEqual([{ peerId: idB, ok: false }]);
});

test("stop() breaks a transfer off and releases its image", async () => {
  const a = await start(idA);
  const silent = net.createServer((socket) => void socket.on("error", () => undefined).resume());
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as net.AddressInfo;
  a.peer.transport.addPeer(idB, [`http://127.0.0.1:${port}`]);
  const image = imageOf(2_000_000);
  a.peer.transport.sendSnapshot(snapshotMessage(5), image);
  await until(() => a.peer.has("sending database snapshot"));
  await a.peer.transport.stop();
  await until(() => image.closed.length > 0);
  expect(image.closed).toEqual([false]);
  silent.close();
});

/** Posts to `/raft/snapshot` as a Go client would; `ends` false breaks the body off. */
function post(port: number, body: Uint8Array, options: { ends?: boolean; headers?: object; path?: string } = {}) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const request = http.request(
      {
        port,
        path: options.path ?? "/raft/snapshot",
        method: "POST",
        headers: {
          "X-Server-From": "a",
          "X-Server-Version": "3.5.30",
          "X-Min-Cluster-Version": "3.0.0",
          "X-Etcd-Cluster-ID": "c1",
          ...options.headers,
        },
      },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    request.on("error", reject);
    // Broken off once the system has the bytes.
    request.write(body, () => void (options.ends === false && request.destroy()));
    if (options.ends !== false) request.end();
  });
}

function framed(message: Message): Buffer {
  const encoder = new MessageEncoder();
  const bytes = Buffer.alloc(encoder.size(message));
  encoder.write(message, bytes, 0);
  return bytes;
}

test("bad snapshots are refused with etcd's texts", async () => {
  const { port, peer, directory } = await start(idB);
  const huge = Buffer.alloc(8);
  huge.writeUInt32BE(1, 0);
  expect(await post(port, huge)).toEqual({
    status: 400,
    body: "failed to decode raft message (rafthttp: error limit exceeded)\n",
  });
  expect(await post(port, Buffer.alloc(3))).toEqual({
    status: 400,
    body: "failed to decode raft message (unexpected EOF)\n",
  });
  expect((await post(port, Buffer.from([0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff]))).status).toBe(400);
  expect(await post(port, framed(createMessage(MessageType.Heartbeat, idB)))).toEqual({
    status: 400,
    body: "wrong raft message type\n",
  });
  expect(await post(port, framed(snapshotMessage(7)), { headers: { "X-Etcd-Cluster-ID": "dead" } })).toEqual({
    status: 412,
    body: "cluster ID mismatch\n",
  });
  expect(await post(port, framed(snapshotMessage(8, idA, 0xcn)))).toEqual({
    status: 500,
    body: "failed to process raft message (cannot process message to mismatch member)\n",
  });
  peer.removed.add(idA);
  expect(await post(port, framed(snapshotMessage(9)))).toEqual({
    status: 403,
    body: '{"message":"cannot process message from removed member"}',
  });
  peer.removed.clear();
  peer.accepts = false;
  expect((await post(port, framed(snapshotMessage(10)))).status).toBe(500);
  expect(peer.received).toEqual([]);
  expect(readdirSync(directory).some((name) => name.startsWith("tmp"))).toBe(false);
});

test("a body that breaks off in the database leaves no file", async () => {
  const { port, peer, directory } = await start(idB);
  const body = Buffer.concat([framed(snapshotMessage(11)), Buffer.alloc(100_000)]);
  await expect(post(port, body, { ends: false })).rejects.toThrow();
  await until(() => peer.has("failed to save incoming database snapshot"));
  await until(() => readdirSync(directory).length === 0);
  expect(peer.received).toEqual([]);
});

test("a database that is there already stays as it is", async () => {
  const { port, peer, directory } = await start(idB);
  const first = Buffer.concat([framed(snapshotMessage(12)), Buffer.from("first")]);
  const second = Buffer.concat([framed(snapshotMessage(12)), Buffer.from("second")]);
  expect((await post(port, first)).status).toBe(204);
  expect((await post(port, second)).status).toBe(204);
  expect(readFileSync(join(directory, "000000000000000c.snap.db"), "utf8")).toBe("first");
  expect(peer.received.length).toBe(2);
  expect(existsSync(directory)).toBe(true);
});

test("posted messages get etcd's answers", async () => {
  const { port, peer } = await start(idB);
  const encoder = new MessageEncoder();
  const vote = { ...createMessage(MessageType.Vote, idB), from: idA };
  const bytes = Buffer.alloc(encoder.size(vote));
  encoder.write(vote, bytes, 0);
  const raft = { path: "/raft" };
  expect(await post(port, bytes.subarray(8), raft)).toEqual({ status: 204, body: "" });
  expect(peer.received).toEqual([vote]);
  expect(await post(port, Buffer.from("garbage"), raft)).toEqual({
    status: 400,
    body: "error unmarshalling raft message\n",
  });
  peer.accepts = false;
  expect(await post(port, bytes.subarray(8), raft)).toEqual({ status: 500, body: "error processing raft message\n" });
  expect(await post(port, Buffer.alloc(0), { path: "/nothing" })).toEqual({
    status: 404,
    body: "404 page not found\n",
  });
});

test("sizes are printed as etcd's logs print them", () => {
  expect([0, 9, 10, 999, 1000, 24576, 1_500_000, 9_999_999_999].map(humanBytes)).toEqual([
    "0 B",
    "9 B",
    "10 B",
    "999 B",
    "1.0 kB",
    "25 kB",
    "1.5 MB",
    "10 GB",
  ]);
});

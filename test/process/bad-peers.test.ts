/**
 * What comes to the peer port and must be refused: strangers, garbage, snapshots that are none. Each gets etcd's answer, a
 * cause is logged once however often it comes, and the member serves on with what it had.
 */
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { connect as dial } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { MessageEncoder } from "../../src/peer/message-codec.ts";
import { createMessage, createSnapshot, type Message, MessageType } from "../../src/wire/raft/types.ts";
import { get, put, withClient } from "../support/client.ts";
import { program, removeFolder, runBeside, ServerProcess, temporaryFolder } from "../support/process.ts";

const stranger = 0xbadn;
/** Behind a snapshot that etcdctl saves. */
const checksumBytes = 32;

let folder: string;
let server: ServerProcess;
let member: { memberId: bigint; clusterId: bigint; raftTerm: bigint };

beforeEach(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: join(folder, "data") });
  member = await withClient(server.endpoint, async (client) => {
    await put(client, "k", "v");
    const { header } = await client.call(methods.status, {});
    return header!;
  });
});

afterEach(async () => {
  await server.kill();
  removeFolder(folder);
});

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** As a peer of this cluster introduces itself, but for what `changes` says. */
function send(
  method: string,
  path: string,
  { changes = {}, body = Buffer.alloc(0) }: { changes?: Record<string, string>; body?: Uint8Array } = {},
): Promise<Answer> {
  const headers = {
    "X-Etcd-Cluster-ID": member.clusterId.toString(16),
    "X-Raft-To": member.memberId.toString(16),
    "X-Server-From": stranger.toString(16),
    "X-Server-Version": "3.6.0",
    "X-Min-Cluster-Version": "3.0.0",
    ...changes,
  };
  return new Promise((resolve, reject) => {
    const { port } = new URL(server.peerUrl);
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

function framed(message: Message): Buffer {
  const encoder = new MessageEncoder();
  const bytes = Buffer.alloc(encoder.size(message));
  encoder.write(message, bytes, 0);
  return bytes;
}

/** Far ahead of the member, so that raft would take it. */
function snapshotMessage(index: number): Buffer {
  const snapshot = createSnapshot();
  Object.assign(snapshot.metadata, { index, term: Number(member.raftTerm) });
  const term = Number(member.raftTerm);
  return framed({ ...createMessage(MessageType.Snap, member.memberId), from: stranger, term, snapshot });
}

const linesWith = (text: string): number => server.lines.filter((line) => line.includes(text)).length;

/** Nothing has changed. */
async function servesOn(): Promise<void> {
  await withClient(server.endpoint, async (client) => {
    expect(await get(client, "k")).toBe("v");
    await put(client, "other", "v");
    const { header } = await client.call(methods.status, {});
    expect(header?.raftTerm).toBe(member.raftTerm);
  });
  const names = readdirSync(join(folder, "data", "member", "snap"));
  expect(names.filter((name) => name.startsWith("tmp") || name.endsWith(".snap.db"))).toEqual([]);
}

test("members of another cluster, unknown ones, of another version: refused, and logged once each", async () => {
  const stream = `/raft/stream/message/${stranger.toString(16)}`;
  for (let attempt = 0; attempt < 5; attempt++) {
    expect(await send("GET", stream, { changes: { "X-Etcd-Cluster-ID": "dead" } })).toEqual({
      status: 412,
      body: "cluster ID mismatch\n",
    });
    expect((await send("GET", stream)).status).toBe(404);
    expect(await send("GET", stream, { changes: { "X-Server-Version": "2.3.0" } })).toEqual({
      status: 412,
      body: "incompatible version\n",
    });
  }
  expect(linesWith("request cluster ID mismatch")).toBe(1);
  expect(linesWith("failed to find remote peer in cluster")).toBe(1);
  await servesOn();
});

test("garbage on the peer port, in a message, in a stream", async () => {
  for (let attempt = 0; attempt < 3; attempt++) {
    const socket = dial(Number(new URL(server.peerUrl).port), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(Buffer.alloc(10_000, "\u00ff\u0000garbage\r\n\r\n", "latin1"));
    await new Promise((resolve) => socket.once("close", resolve).resume());
    expect(await send("POST", "/raft", { body: Buffer.from("garbage") })).toEqual({
      status: 400,
      body: "error unmarshalling raft message\n",
    });
  }
  await servesOn();
});

test("snapshots that are cut short, or no database: refused before anything is replaced", async () => {
  const file = join(folder, "saved");
  const saved = await runBeside(program("etcdctl"), [`--endpoints=${server.endpoint}`, "snapshot", "save", file]);
  expect(saved).toMatchObject({ code: 0 });
  const whole = readFileSync(file).subarray(0, -checksumBytes);
  const front = snapshotMessage(1_000_000);
  const wrongs = [
    Buffer.alloc(0),
    Buffer.alloc(100_000, "no database"),
    Buffer.from(whole.subarray(0, whole.length / 2)),
    Buffer.concat([Buffer.alloc(8192), whole.subarray(8192)]), // no meta page
    whole, // sound, but of an older index than it says
  ];
  for (const wrong of wrongs) {
    const { status, body } = await send("POST", "/raft/snapshot", { body: Buffer.concat([front, wrong]) });
    expect({ status, body }).toEqual({
      status: 500,
      body: expect.stringMatching(/^failed to save KV snapshot \(.*\)\n$/) as string,
    });
  }
  expect(linesWith("failed to save incoming database snapshot")).toBe(wrongs.length);
  await servesOn();
});

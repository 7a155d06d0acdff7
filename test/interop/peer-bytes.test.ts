/**
 * What members say to each other, recorded between them: the requests with their fields, the answers, and which fields of
 * raft's messages are on the wire in which order. Two of ours say what two of Go's say.
 */
import { connect as dial, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { MessageType } from "../../src/wire/raft/types.ts";
import { put, withClient } from "../support/client.ts";
import { eventually } from "../support/cluster.ts";
import { freePorts, patienceMs, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";
import { patient } from "./workload.ts";

/** One connection: what the dialing member sent, and what came back. */
interface Recording {
  readonly asked: Buffer[];
  readonly answered: Buffer[];
}

const typeNames = new Map<number, string>(Object.entries(MessageType).map(([name, type]) => [type, name]));

/** Those that are dialed once and for all, and hold the traffic. */
const streams = ["/raft/stream/message/ID", "/raft/stream/msgapp/ID"];

/** Asked over connections of its own; others share one, of which only the first request is read here. */
const pages = ["/raft/probing"];

let members: ServerProcess[] = [];
let relays: Server[] = [];
let folder = "";
afterEach(async () => {
  await Promise.all(members.map((member) => member.kill()));
  for (const relay of relays) relay.close();
  removeFolder(folder);
});

async function relayTo(port: number, from: number, recordings: Recording[]): Promise<void> {
  const pass = (source: Socket, target: Socket, seen: Buffer[]): void => {
    source.on("data", (chunk) => {
      seen.push(chunk);
      target.write(chunk);
    });
    source.on("end", () => target.end());
    source.on("error", () => target.destroy());
    source.on("close", () => target.destroy());
  };
  const relay = createServer((near) => {
    const recording: Recording = { asked: [], answered: [] };
    recordings.push(recording);
    const far = dial(port, "127.0.0.1");
    pass(near, far, recording.asked);
    pass(far, near, recording.answered);
  });
  relays.push(relay);
  await new Promise<void>((resolve) => relay.listen(from, "127.0.0.1", resolve));
}

/** Runs two members for a while, with requests to each. */
async function record(command: string | undefined): Promise<Recording[]> {
  const recordings: Recording[] = [];
  folder = temporaryFolder();
  const ports = await freePorts(6);
  const [advertised, peers, clients] = [ports.slice(0, 2), ports.slice(2, 4), ports.slice(4)];
  await Promise.all(peers.map((port, index) => relayTo(port, advertised[index], recordings)));
  const founders = advertised.map((port, index) => `m${index}=http://127.0.0.1:${port}`).join();
  members = await Promise.all(
    [0, 1].map((index) =>
      ServerProcess.launch({
        dataDir: join(folder, `m${index}`),
        ports: { client: clients[index], peer: peers[index] },
        founding: [`--initial-cluster=${founders}`],
        args: [`--name=m${index}`, `--initial-advertise-peer-urls=http://127.0.0.1:${advertised[index]}`],
        ...(command === undefined ? {} : { command }),
      }),
    ),
  );
  for (const member of members) expect(await member.becomesReady()).toBe(true);
  for (const { endpoint } of members) {
    await withClient(endpoint, async (client) => {
      for (let index = 0; index < 3; index++) await put(patient(client), "k", `${index}`);
      const { ID } = await patient(client).call(methods.leaseGrant, { TTL: 100n });
      for (const other of members)
        await withClient(other.endpoint, (via) => patient(via).call(methods.leaseTimeToLive, { ID }));
    });
  }
  await eventually("everything was said once, and each stream that its link lives", async () => {
    const { heads, messages } = summary(recordings);
    expect(Object.keys(heads)).toEqual(expect.arrayContaining([...streams, ...pages]));
    const quiet = [messages["Heartbeat"] ?? [], messages["link"] ?? []];
    expect(quiet).toEqual([expect.arrayContaining(["Heartbeat 1,2,3,4,5,6,8,10,11,13"]), ["link heartbeat"]]);
  });
  return recordings;
}

const hidden = (text: string): string =>
  text
    .replaceAll(/127\.0\.0\.1:\d+/g, "HOST")
    .replaceAll(/\b[0-9a-f]{12,16}\b/g, "ID")
    .replace(/Date: .*/, "Date: D")
    .replace(/Content-Length: \d+/, "Content-Length: N");

function pathOf(asked: readonly Buffer[]): string | undefined {
  const path = Buffer.concat(asked).toString("latin1").split(" ", 2)[1];
  return path === undefined ? undefined : hidden(path);
}

/** Line and fields; their order means nothing in HTTP, and the programs name themselves. */
function headOf(bytes: Buffer): string[] {
  const [first, ...fields] = hidden(bytes.toString("latin1").split("\r\n\r\n", 1)[0]).split("\r\n");
  return [first, ...fields.filter((field) => !/^(User-Agent|Accept-Encoding):/.test(field)).sort()];
}

/** The chunks of a body, joined. */
function bodyOf(answer: Buffer): Buffer {
  const parts: Buffer[] = [];
  let offset = answer.indexOf("\r\n\r\n") + 4;
  for (;;) {
    const end = answer.indexOf("\r\n", offset);
    const size = Number.parseInt(answer.toString("latin1", offset, end), 16);
    if (end < 0 || !(size > 0) || end + 2 + size > answer.length) return Buffer.concat(parts);
    parts.push(answer.subarray(end + 2, end + 2 + size));
    offset = end + 4 + size;
  }
}

/** What the messages of a stream look like, each form once. */
function messagesOf(path: string, answer: Buffer): Set<string> {
  const body = bodyOf(answer);
  const found = new Set<string>();
  const isAppend = path.startsWith("/raft/stream/msgapp");
  let offset = 0;
  const uint64 = (): number => {
    offset += 8;
    return offset > body.length ? Number.POSITIVE_INFINITY : Number(body.readBigUInt64BE(offset - 8));
  };
  while (offset < body.length) {
    const kind = isAppend ? body[offset++] : 2;
    if (kind === 0) found.add("link heartbeat");
    else if (kind === 1) {
      for (let count = uint64(); count > 0 && offset < body.length; count--) offset += uint64();
      uint64();
      if (offset <= body.length) found.add("entries");
    } else {
      const size = uint64();
      if (offset + size > body.length) break;
      found.add(shapeOf(body.subarray(offset, offset + size)));
      offset += size;
    }
  }
  return found;
}

/** Type and field numbers in their order. An entry without data is an entry. */
function shapeOf(message: Buffer): string {
  let type = "";
  const fields = fieldsOf(message, (field, value) => {
    if (field === 1) type = typeNames.get(Number(value)) ?? `type ${String(value)}`;
    return field === 7
      ? `7(${fieldsOf(value as Buffer, String)
          .slice(0, 3)
          .join()})`
      : `${field}`;
  });
  // How many entries, and whether a context: chance decides.
  return `${type} ${fields.join()}`.replace(/(?:,7\(1,2,3\))+/, "").replace(",11,12,13", ",11,13");
}

function fieldsOf(bytes: Buffer, name: (field: number, value: number | Buffer) => string): string[] {
  const names: string[] = [];
  let offset = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[offset++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (offset < bytes.length) {
    const tag = varint();
    const size = varint();
    if ((tag & 7) === 0) names.push(name(tag >> 3, size));
    else names.push(name(tag >> 3, bytes.subarray(offset, (offset += size))));
  }
  return names;
}

interface Said {
  /** By path: heads of requests and of their answers. */
  readonly heads: Record<string, string[][]>;
  /** By type: forms of messages. */
  readonly messages: Record<string, string[]>;
}

function summary(recordings: readonly Recording[]): Said {
  const heads: Record<string, string[][]> = {};
  const messages: Record<string, string[]> = {};
  for (const { asked, answered } of recordings) {
    const path = pathOf(asked);
    const answer = Buffer.concat(answered);
    // Somebody asked before the other one listened, or while it started.
    if (path === undefined || !answer.toString("latin1", 0, 12).endsWith(" 200")) continue;
    heads[path] = [headOf(Buffer.concat(asked)), headOf(answer)];
    if (!streams.includes(path)) continue;
    for (const shape of messagesOf(path, answer)) {
      const type = shape.split(" ", 1)[0];
      messages[type] = [...new Set([...(messages[type] ?? []), shape])].sort();
    }
  }
  return { heads, messages };
}

describe.skipIf(goEtcd("3.6") === undefined)(titleFor("3.6", "what members say"), { timeout: 6 * patienceMs }, () => {
  test("two of ours say it as two of Go's do", async () => {
    const go = summary(await record(theGoEtcd("3.6").etcd));
    await Promise.all(members.map((member) => member.kill()));
    removeFolder(folder);
    const ours = summary(await record(undefined));
    for (const path of [...streams, ...pages]) {
      expect(ours.heads[path], path).toEqual(go.heads[path]);
      expect(ours.heads[path], path).toBeDefined();
    }
    for (const type of ["Heartbeat", "HeartbeatResp", "link"]) {
      expect(go.messages[type], type).toBeDefined();
      expect(ours.messages[type], type).toBeDefined();
    }
    for (const [type, shapes] of Object.entries(ours.messages)) {
      if (go.messages[type] === undefined) continue; // a vote or two more or less
      expect(
        shapes.filter((shape) => !go.messages[type].includes(shape)),
        type,
      ).toEqual([]);
    }
  });
});

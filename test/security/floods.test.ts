/**
 * Floods and bombs of HTTP/2 against a running member, with the limits it has by default. Each is said over a real socket as
 * fast as it is taken. Afterwards the member serves others, has not grown much, and has logged no error.
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { FrameType } from "../../src/http2/frame.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { HpackEncoder, type HeaderPair } from "../../src/http2/hpack-encoder.ts";
import { Code } from "../../src/wire/errors.ts";
import { calls, hasEnded, opening, sayAndListen } from "../process/raw-grpc.ts";
import { get, put, withClient } from "../support/client.ts";
import { patienceMs, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";
import { frame, goAwayCode, parseFrames, preface, requestFields, settings, uint32 } from "../support/raw-http2.ts";

const END_STREAM = 1;
const END_HEADERS = 4;

/** Most that a member may grow by; each attack below would make a member without limits hold more, or answer nobody. */
const growthMegabytesMax = 900;

let folder: string;
let server: ServerProcess;
let before: number;
const sockets: Socket[] = [];

beforeAll(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: `${folder}/data` });
  await withClient(server.endpoint, (client) => put(client, "a", "1"));
  before = residentMegabytes();
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await withClient(server.endpoint, async (client) => {
    await put(client, "a", "served");
    expect(await get(client, "a")).toBe("served");
  });
  expect(residentMegabytes() - before).toBeLessThan(growthMegabytesMax);
});

afterAll(async () => {
  expect(server.lines.filter((line) => line.includes('"level":"error"') || line.includes('"level":"fatal"'))).toEqual(
    [],
  );
  expect(await server.stop()).toBe(0);
  removeFolder(folder);
});

function residentMegabytes(): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1024;
}

/** Header blocks of one connection: names and values come by index once they were said. */
class Requests {
  readonly #encoder = new HpackEncoder();

  block(fields: readonly HeaderPair[]): Uint8Array {
    const target = new Uint8Array(this.#encoder.sizeBound(fields));
    return target.slice(0, this.#encoder.encode(fields, target, 0));
  }

  headers(id: number, path = "/etcdserverpb.KV/Put", flags = END_HEADERS, ...more: HeaderPair[]): Uint8Array {
    return frame(FrameType.headers, flags, id, this.block(requestFields(path, ...more)));
  }
}

interface Outcome {
  /** The member closed before everything was said. */
  readonly isCutOff: boolean;
  /** Of the GOAWAY; undefined when a reset of the connection overtook it, as it may while the flood is still coming. */
  readonly code: number | undefined;
}

function expectCutOff({ isCutOff, code = ErrorCode.enhanceYourCalm }: Outcome): void {
  expect({ isCutOff, code }).toEqual({ isCutOff: true, code: ErrorCode.enhanceYourCalm });
}

/** Says `piece(n)` again and again until the member closes, at most `countMax` times. */
function flood(countMax: number, piece: (n: number) => Uint8Array): Promise<Outcome> {
  return new Promise((resolve) => {
    const heard: Buffer[] = [];
    let count = 0;
    let closing: NodeJS.Timeout | undefined;
    let isOver = false;
    let isEnded = false;
    const socket = connect(server.port, "127.0.0.1", () => {
      socket.write(Buffer.concat([preface, settings()]));
      more();
    });
    sockets.push(socket);
    const more = (): void => {
      while (!isOver && count < countMax) {
        const parts: Uint8Array[] = [];
        for (let n = 0; n < 500 && count < countMax; n++) parts.push(piece(count++));
        if (!socket.write(Buffer.concat(parts))) return void socket.once("drain", more);
      }
      // What is said last may be what is one too much: time to hear of it.
      if (count >= countMax) closing = setTimeout(() => socket.end(() => (isEnded = true)), 2000);
    };
    socket.on("data", (bytes: Buffer) => heard.push(bytes));
    socket.on("error", () => undefined); // a reset is a way of closing, too
    socket.on("close", () => {
      isOver = true;
      clearTimeout(closing);
      resolve({ isCutOff: count < countMax || !isEnded, code: goAwayCode(parseFrames(Buffer.concat(heard))) });
    });
  });
}

const reset = (id: number): Uint8Array => frame(FrameType.resetStream, 0, id, uint32(ErrorCode.cancel));

describe("cut off with ENHANCE_YOUR_CALM", () => {
  test("rapid reset: streams opened and reset at once (CVE-2023-44487)", async () => {
    const peer = new Requests();
    const outcome = await flood(200_000, (n) => Buffer.concat([peer.headers(2 * n + 1), reset(2 * n + 1)]));
    expectCutOff(outcome);
  });

  test("made you reset: streams that the member is made to reset itself (CVE-2025-8671)", async () => {
    const peer = new Requests();
    const zero = (id: number): Uint8Array => frame(FrameType.windowUpdate, 0, id, uint32(0));
    const outcome = await flood(200_000, (n) => Buffer.concat([peer.headers(2 * n + 1), zero(2 * n + 1)]));
    expectCutOff(outcome);
  });

  test.each([
    ["bytes", new Uint8Array(16_000)],
    ["nothing", new Uint8Array(0)],
  ])("CONTINUATION frames without end, of %s (CVE-2023-45288)", async (_what, payload) => {
    const peer = new Requests();
    const outcome = await flood(100_000, (n) =>
      n === 0 ? peer.headers(1, "/etcdserverpb.KV/Put", 0) : frame(FrameType.continuation, 0, 1, payload),
    );
    expectCutOff(outcome);
  });

  test.each<[string, (n: number) => Uint8Array]>([
    ["SETTINGS (CVE-2019-9515)", () => settings([4, 70_000])],
    ["PING (CVE-2019-9512)", () => frame(FrameType.ping, 0, 0, new Uint8Array(8))],
    ["PRIORITY (CVE-2019-9513)", (n) => frame(FrameType.priority, 0, 2 * n + 1, [0, 0, 0, 0, 1])],
    ["unknown frames", () => frame(0x77, 0, 0, new Uint8Array(100))],
    ["GOAWAY", () => frame(FrameType.goAway, 0, 0, new Uint8Array(16_000))],
    ["WINDOW_UPDATE", () => frame(FrameType.windowUpdate, 0, 0, uint32(1))],
  ])("a flood of %s", async (_what, piece) => {
    expectCutOff(await flood(500_000, piece));
  });

  test.each<[string, number, Uint8Array]>([
    ["empty", 0, new Uint8Array(0)],
    ["nothing but padding", 8, Uint8Array.of(99, ...new Uint8Array(99))],
  ])("a flood of DATA frames that are %s (CVE-2019-9518)", async (_what, flags, payload) => {
    const peer = new Requests();
    const outcome = await flood(500_000, (n) => (n === 0 ? peer.headers(1) : frame(FrameType.data, flags, 1, payload)));
    expectCutOff(outcome);
  });

  test("an HPACK bomb: 4 KiB in the table, named sixteen thousand times by each stream", async () => {
    const peer = new Requests();
    const big: HeaderPair = ["x-bomb", "b".repeat(4000)];
    const first = peer.headers(1, "/etcdserverpb.KV/Put", END_HEADERS, big);
    // Index 62 is the newest entry of the table: the last field of the first block.
    const bomb = new Uint8Array(16_000).fill(0x80 | 62);
    const outcome = await flood(20_000, (n) =>
      n === 0 ? first : frame(FrameType.headers, END_HEADERS | END_STREAM, 2 * n + 1, bomb),
    );
    expectCutOff(outcome);
  });
});

test("one header of a megabyte never enters memory as a whole", async () => {
  const value = Buffer.alloc(1 << 20, 0x61);
  // A literal without indexing, name "a", and a length in four bytes.
  const length = value.length - 127;
  const block = Buffer.concat([
    Uint8Array.of(0x00, 1, 0x61, 127, (length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14),
    value,
  ]);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < block.length; at += 16_384) {
    const part = block.subarray(at, at + 16_384);
    const isLast = at + 16_384 >= block.length;
    pieces.push(frame(at === 0 ? FrameType.headers : FrameType.continuation, isLast ? END_HEADERS : 0, 1, part));
  }
  expectCutOff(await flood(pieces.length, (n) => pieces[n]));
});

test("a decompression bomb is not inflated: compressed requests are refused, as etcd refuses them", async () => {
  const peer = new Requests();
  const bomb = Buffer.concat([Uint8Array.of(1), uint32(1000), new Uint8Array(1000)]);
  const said = Buffer.concat([
    opening,
    peer.headers(1, "/etcdserverpb.KV/Put", END_HEADERS, ["grpc-encoding", "gzip"]),
    frame(FrameType.data, END_STREAM, 1, bomb),
    peer.headers(3),
    frame(FrameType.data, END_STREAM, 3, bomb),
  ]);
  const heard = await sayAndListen(server.port, said, (frames) => hasEnded(frames, 1) && hasEnded(frames, 3));
  const decoder = new HpackDecoder({ maxListSize: 65_536 });
  const statuses = heard
    .filter(({ type }) => type === FrameType.headers)
    .map(({ id, payload }) => {
      const { fields, count } = decoder.decode(payload, 0, payload.length);
      return [id, fields.slice(0, count).find(({ name }) => name === "grpc-status")?.value];
    });
  expect(statuses).toEqual([
    [1, String(Code.Unimplemented)],
    [3, String(Code.Internal)],
  ]);
});

test("a window that shrinks and grows for ten thousand streams, 2700 times a frame", async () => {
  const peer = new Requests();
  const changes = settings(...Array.from({ length: 2700 }, (_, n) => [4, n % 2 === 0 ? 0 : 70_000] as const));
  const streams = 10_000;
  const began = performance.now();
  const others = withClient(server.endpoint, async (client) => {
    for (let n = 0; n < 200; n++) await put(client, "b", `${n}`);
  });
  await flood(streams + 90, (n) => (n < streams ? peer.headers(2 * n + 1) : changes));
  await others;
  // 2700 changes × 90 frames × 10 000 streams are minutes of work; counted once a frame they are nothing.
  expect(performance.now() - began).toBeLessThan(patienceMs);
});

test("half a million streams that never say what they want", { timeout: 4 * patienceMs }, async () => {
  const peer = new Requests();
  await flood(500_000, (n) => peer.headers(2 * n + 1));
});

test("requests of two megabytes on every stream, none of them complete", { timeout: 4 * patienceMs }, async () => {
  const peer = new Requests();
  const part = new Uint8Array(16_384);
  const start = Buffer.concat([Uint8Array.of(0), uint32(2_000_000), part.subarray(5)]);
  const outcome = await flood(60_000, (n) =>
    Buffer.concat([peer.headers(2 * n + 1), frame(FrameType.data, 0, 2 * n + 1, start)]),
  );
  expectCutOff(outcome);
});

test("many clients that ask and never read", { timeout: 4 * patienceMs }, async () => {
  await withClient(server.endpoint, (client) => put(client, "large", Buffer.alloc(400_000, 1)));
  const range = { path: "/etcdserverpb.KV/Range", body: Uint8Array.of(10, 5, ...Buffer.from("large")) };
  const asked = calls(...Array.from({ length: 300 }, (_, n) => ({ id: 2 * n + 1, ...range })));
  for (let n = 0; n < 30; n++) {
    const socket = connect(server.port, "127.0.0.1", () => {
      socket.pause();
      socket.write(Buffer.concat([opening, asked]));
    });
    socket.on("error", () => undefined);
    sockets.push(socket);
  }
  // 30 × 300 × 400 kB are 3.6 GB.
  await withClient(server.endpoint, async (client) => {
    for (let n = 0; n < 500; n++) await put(client, "small", `${n}`);
  });
});

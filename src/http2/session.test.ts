import { expect, test } from "vitest";
import {
  RawPeer,
  frame,
  goAwayCode,
  message,
  parseFrames,
  preface,
  requestFields,
  resetCodes,
  settings,
  uint32,
} from "../../test/support/raw-http2.ts";
import { connectionPair } from "../../test/support/memory-connection.ts";
import { ErrorCode } from "./error-code.ts";
import { Flag, FrameType } from "./frame.ts";

const { data, headers, priority, resetStream, pushPromise, ping, goAway, windowUpdate, continuation } = FrameType;
const eight = [1, 2, 3, 4, 5, 6, 7, 8];

test.each<[string, ErrorCode, (peer: RawPeer) => Uint8Array[]]>([
  ["DATA on stream 0", ErrorCode.protocolError, () => [frame(data, 0, 0, [1])]],
  ["DATA on an idle stream", ErrorCode.protocolError, () => [frame(data, 0, 1, [1])]],
  [
    "DATA with too much padding",
    ErrorCode.protocolError,
    (p) => [p.headers(1), frame(data, Flag.padded, 1, [3, 0, 0])],
  ],
  ["HEADERS on stream 0", ErrorCode.protocolError, (p) => [p.headers(0)]],
  ["HEADERS on an even stream", ErrorCode.protocolError, (p) => [p.headers(2)]],
  ["HEADERS with a lower identifier", ErrorCode.protocolError, (p) => [p.headers(5), p.headers(3)]],
  [
    "HEADERS on a stream that is closed",
    ErrorCode.streamClosed,
    (p) => [p.headers(1), frame(resetStream, 0, 1, uint32(8)), p.headers(1)],
  ],
  ["HEADERS with too much padding", ErrorCode.protocolError, () => [frame(headers, Flag.padded | 4, 1, [9, 0x82])]],
  ["HEADERS too short for its padding", ErrorCode.frameSizeError, () => [frame(headers, Flag.padded | 4, 1, [])]],
  [
    "HEADERS too short for its priority",
    ErrorCode.frameSizeError,
    () => [frame(headers, Flag.priority | 4, 1, [1, 2])],
  ],
  ["a header block that does not decode", ErrorCode.compressionError, () => [frame(headers, 4, 1, [0x80])]],
  [
    "a header block interrupted",
    ErrorCode.protocolError,
    (p) => [p.headers(1, "/t.S/Hang", 0), frame(ping, 0, 0, eight)],
  ],
  [
    "CONTINUATION of another stream",
    ErrorCode.protocolError,
    (p) => [p.headers(1, "/t.S/Hang", 0), frame(continuation, 4, 3, [])],
  ],
  ["CONTINUATION without HEADERS", ErrorCode.protocolError, () => [frame(continuation, 4, 1, [])]],
  ["PRIORITY on stream 0", ErrorCode.protocolError, () => [frame(priority, 0, 0, [0, 0, 0, 1, 1])]],
  ["RST_STREAM on an idle stream", ErrorCode.protocolError, () => [frame(resetStream, 0, 1, uint32(8))]],
  ["RST_STREAM on stream 0", ErrorCode.protocolError, () => [frame(resetStream, 0, 0, uint32(8))]],
  ["RST_STREAM of a wrong size", ErrorCode.frameSizeError, (p) => [p.headers(1), frame(resetStream, 0, 1, [1, 2, 3])]],
  ["SETTINGS on a stream", ErrorCode.protocolError, () => [frame(FrameType.settings, 0, 1, [])]],
  ["SETTINGS of a wrong size", ErrorCode.frameSizeError, () => [frame(FrameType.settings, 0, 0, [1, 2, 3])]],
  [
    "a SETTINGS acknowledgement with a payload",
    ErrorCode.frameSizeError,
    () => [frame(FrameType.settings, 1, 0, [0, 1, 0, 0, 0, 0])],
  ],
  ["ENABLE_PUSH of 2", ErrorCode.protocolError, () => [settings([2, 2])]],
  ["INITIAL_WINDOW_SIZE of 2^31", ErrorCode.flowControlError, () => [settings([4, 2 ** 31])]],
  ["MAX_FRAME_SIZE of 1", ErrorCode.protocolError, () => [settings([5, 1])]],
  ["PUSH_PROMISE", ErrorCode.protocolError, () => [frame(pushPromise, 4, 1, [0, 0, 0, 2])]],
  ["PING on a stream", ErrorCode.protocolError, () => [frame(ping, 0, 1, eight)]],
  ["PING of a wrong size", ErrorCode.frameSizeError, () => [frame(ping, 0, 0, [1])]],
  ["GOAWAY on a stream", ErrorCode.protocolError, () => [frame(goAway, 0, 1, eight)]],
  ["GOAWAY too short", ErrorCode.frameSizeError, () => [frame(goAway, 0, 0, [1])]],
  ["WINDOW_UPDATE of 0 on the connection", ErrorCode.protocolError, () => [frame(windowUpdate, 0, 0, uint32(0))]],
  ["WINDOW_UPDATE beyond 2^31 - 1", ErrorCode.flowControlError, () => [frame(windowUpdate, 0, 0, uint32(0x7fff_ffff))]],
  ["WINDOW_UPDATE on an idle stream", ErrorCode.protocolError, () => [frame(windowUpdate, 0, 7, uint32(1))]],
  ["WINDOW_UPDATE of a wrong size", ErrorCode.frameSizeError, () => [frame(windowUpdate, 0, 0, [1])]],
  ["a frame above the announced size", ErrorCode.frameSizeError, () => [frame(data, 0, 1, [], 16_385)]],
])("%s ends the connection with the right code", async (_name, code, frames) => {
  const peer = new RawPeer();
  const said = await peer.open(...frames(peer));
  expect(goAwayCode(said)).toBe(code);
  await peer.clock.advance(2000);
  expect(peer.server.connectionCount).toBe(0);
});

test.each<[string, ErrorCode, (peer: RawPeer) => Uint8Array[]]>([
  [
    "DATA after END_STREAM",
    ErrorCode.streamClosed,
    (p) => [p.headers(1), frame(data, 1, 1, message(new Uint8Array(2))), frame(data, 0, 1, [1])],
  ],
  [
    "HEADERS after END_STREAM",
    ErrorCode.streamClosed,
    (p) => [p.headers(1), frame(data, 1, 1, message(new Uint8Array(2))), p.headers(1)],
  ],
  ["trailers without END_STREAM", ErrorCode.protocolError, (p) => [p.headers(1), p.headers(1)]],
  [
    "a stream that depends on itself",
    ErrorCode.protocolError,
    (p) => [frame(headers, Flag.priority | 4, 1, [0, 0, 0, 1, 0, ...p.headerBlock(requestFields("/t.S/Echo"))])],
  ],
  ["WINDOW_UPDATE of 0", ErrorCode.protocolError, (p) => [p.headers(1), frame(windowUpdate, 0, 1, uint32(0))]],
  [
    "a stream window beyond 2^31 - 1",
    ErrorCode.flowControlError,
    (p) => [p.headers(1), frame(windowUpdate, 0, 1, uint32(0x7fff_ffff))],
  ],
  ["PRIORITY of a wrong size", ErrorCode.frameSizeError, () => [frame(priority, 0, 1, [1])]],
  [
    "a request without a path",
    ErrorCode.protocolError,
    (p) => [
      frame(
        headers,
        4,
        1,
        p.headerBlock([
          [":method", "POST"],
          [":scheme", "http"],
        ]),
      ),
    ],
  ],
  [
    "a pseudo-header behind a field",
    ErrorCode.protocolError,
    (p) => [
      frame(
        headers,
        4,
        1,
        p.headerBlock([
          [":method", "POST"],
          ["te", "trailers"],
          [":scheme", "http"],
          [":path", "/"],
        ]),
      ),
    ],
  ],
  [
    "an upper-case name",
    ErrorCode.protocolError,
    (p) => [frame(headers, 4, 1, p.headerBlock(requestFields("/t.S/Echo", ["Token", "x"])))],
  ],
  [
    "a connection-specific field",
    ErrorCode.protocolError,
    (p) => [frame(headers, 4, 1, p.headerBlock(requestFields("/t.S/Echo", ["connection", "close"])))],
  ],
])("%s resets the stream with the right code and spares the others", async (_name, code, frames) => {
  const peer = new RawPeer();
  const said = await peer.open(...frames(peer));
  expect(resetCodes(said, 1)).toEqual([code]);
  expect(goAwayCode(said)).toBeUndefined();
  const after = await peer.say(peer.headers(9, "/t.S/Echo"), frame(data, 1, 9, message(Uint8Array.of(7))));
  expect(after.filter(({ type, id }) => type === data && id === 9).map(({ payload }) => payload[5])).toEqual([7]);
});

test("a wrong preface, or a first frame that is not SETTINGS, is a protocol error", async () => {
  expect(goAwayCode(await new RawPeer().say(Buffer.from("GET / HTTP/1.1\r\n\r\n")))).toBe(ErrorCode.protocolError);
  expect(goAwayCode(await new RawPeer().say(preface, frame(ping, 0, 0, eight)))).toBe(ErrorCode.protocolError);
});

test("unknown frame types and settings are ignored; PING and SETTINGS are acknowledged", async () => {
  const peer = new RawPeer();
  const said = await peer.open(frame(0xfe, 0xff, 0, eight), settings([0xaaaa, 5]), frame(ping, 0, 0, eight));
  expect(goAwayCode(said)).toBeUndefined();
  expect(said.filter(({ type, flags }) => type === FrameType.settings && flags === 1).length).toBe(2);
  expect(said.filter(({ type, flags }) => type === ping && flags === 1).map(({ payload }) => [...payload])).toEqual([
    eight,
  ]);
});

test("a request in single bytes, padded and continued, is served", async () => {
  const peer = new RawPeer();
  peer.near.pieceBytes = 1;
  const block = peer.headerBlock(requestFields("/t.S/Echo"));
  const said = await peer.open(
    frame(headers, Flag.padded | Flag.priority, 1, [2, 0, 0, 0, 0, 16, ...block.subarray(0, 5), 0, 0]),
    frame(continuation, 0, 1, block.subarray(5, 9)),
    frame(continuation, Flag.endHeaders, 1, block.subarray(9)),
    frame(data, Flag.padded, 1, [3, 0, 0, 0, 0, 0, 0, 0]),
    frame(data, Flag.padded, 1, [0, 2, 8]),
    frame(data, Flag.endStream, 1, [9]),
  );
  const answer = said.filter(({ id }) => id === 1);
  expect(answer.map(({ type, flags }) => [type, flags])).toEqual([
    [headers, Flag.endHeaders],
    [data, 0],
    [headers, Flag.endHeaders | Flag.endStream],
  ]);
  expect([...answer[1].payload]).toEqual([0, 0, 0, 0, 2, 8, 9]);
});

// ---- Flow control ----------------------------------------------------------------------------------------------------

test("an answer obeys a tiny stream window, WINDOW_UPDATE by WINDOW_UPDATE", async () => {
  const peer = new RawPeer();
  await peer.say(preface, settings([4, 10]));
  const payload = Uint8Array.from({ length: 25 }, (_, index) => index);
  const bodies: number[] = [];
  const collect = (frames: readonly { type: number; payload: Uint8Array }[]): number => {
    const parts = frames.filter(({ type }) => type === data);
    for (const part of parts) bodies.push(...part.payload);
    return parts.reduce((sum, part) => sum + part.payload.length, 0);
  };
  expect(collect(await peer.say(peer.headers(1, "/t.S/Echo"), frame(data, 1, 1, message(payload))))).toBe(10);
  expect(collect(await peer.say(frame(windowUpdate, 0, 1, uint32(1))))).toBe(1);
  expect(collect(await peer.say(settings([4, 12])))).toBe(2); // the change applies to open streams
  expect(collect(await peer.say(settings([4, 0])))).toBe(0); // the window is negative now
  expect(collect(await peer.say(frame(windowUpdate, 0, 1, uint32(12))))).toBe(0);
  const last = await peer.say(frame(windowUpdate, 0, 1, uint32(1000)));
  expect(collect(last)).toBe(17);
  expect(last.at(-1)).toMatchObject({ type: headers, flags: Flag.endHeaders | Flag.endStream });
  expect(bodies.slice(5)).toEqual([...payload]);
});

test("many answers share a small connection window without loss", async () => {
  const peer = new RawPeer();
  const requests: Uint8Array[] = [];
  for (let id = 1; id < 40; id += 2) {
    requests.push(peer.headers(id, "/t.S/Echo"), frame(data, 1, id, message(new Uint8Array(15_000).fill(id))));
  }
  let frames = await peer.open(...requests);
  const sizes = new Map<number, number>();
  for (let round = 0; round < 1000; round++) {
    const received = frames.filter(({ type }) => type === data);
    for (const { id, payload } of received) sizes.set(id, (sizes.get(id) ?? 0) + payload.length);
    const total = received.reduce((sum, { payload }) => sum + payload.length, 0);
    if (total === 0) break;
    frames = await peer.say(frame(windowUpdate, 0, 0, uint32(total)));
  }
  expect([...sizes.values()]).toEqual(Array.from({ length: 20 }, () => 15_005));
});

test("the server gives windows back, and refuses what exceeds them", async () => {
  const peer = new RawPeer({ limits: { streamWindow: 100_000, connectionWindow: 200_000 } });
  const chunk = new Uint8Array(16_000);
  const said = await peer.open(
    peer.headers(1, "/t.S/Chat"),
    ...Array.from({ length: 6 }, () => frame(data, 0, 1, message(chunk.subarray(5)))),
  );
  const updates = said.filter(({ type }) => type === windowUpdate).map(({ id }) => id);
  expect(updates).toContain(0);
  expect(updates).toContain(1);
  expect(goAwayCode(said)).toBeUndefined();
});

// ---- Hardening -------------------------------------------------------------------------------------------------------

const calm = ErrorCode.enhanceYourCalm;
const rate = { burst: 50, perSecond: 10 };
const many = (count: number, make: (index: number) => Uint8Array): Uint8Array[] =>
  Array.from({ length: count }, (_, index) => make(index));

test.each<[string, (peer: RawPeer) => Uint8Array[]]>([
  [
    "rapid reset",
    (p) => many(60, (n) => Buffer.concat([p.headers(2 * n + 1), frame(resetStream, 0, 2 * n + 1, uint32(8))])),
  ],
  [
    "stream errors of the peer",
    (p) => many(60, (n) => Buffer.concat([p.headers(2 * n + 1), frame(windowUpdate, 0, 2 * n + 1, uint32(0))])),
  ],
  ["SETTINGS flood", () => many(60, () => settings())],
  ["PING flood", () => many(60, () => frame(ping, 0, 0, eight))],
  ["empty DATA frames", (p) => [p.headers(1), ...many(60, () => frame(data, 0, 1, []))]],
  ["PRIORITY flood", () => many(60, () => frame(priority, 0, 1, [0, 0, 0, 3, 1]))],
  ["WINDOW_UPDATE flood on the connection", () => many(60, () => frame(windowUpdate, 0, 0, uint32(1)))],
  ["WINDOW_UPDATE flood on a stream", (p) => [p.headers(1), ...many(60, () => frame(windowUpdate, 0, 1, uint32(1)))]],
  ["unknown frames", () => many(60, () => frame(0xbb, 0, 0, []))],
  [
    "CONTINUATION flood of empty frames",
    (p) => [p.headers(1, "/t.S/Hang", 0), ...many(100, () => frame(continuation, 0, 1, []))],
  ],
  [
    "CONTINUATION flood of bytes",
    (p) => [p.headers(1, "/t.S/Hang", 0), ...many(30, () => frame(continuation, 0, 1, new Uint8Array(16_000)))],
  ],
])("%s is cut off with ENHANCE_YOUR_CALM", async (_name, frames) => {
  const peer = new RawPeer({
    limits: { resets: rate, settings: rate, pings: rate, emptyData: rate, idleFrames: rate },
  });
  const said = await peer.open(...frames(peer));
  expect(goAwayCode(said)).toBe(calm);
  await peer.clock.advance(2000);
  expect(peer.server.connectionCount).toBe(0);
});

test("the same frames at the allowed rate are no attack", async () => {
  const peer = new RawPeer({ limits: { resets: rate } });
  await peer.open();
  for (let n = 0; n < 200; n++) {
    const id = 2 * n + 1;
    const said = await peer.say(peer.headers(id), frame(resetStream, 0, id, uint32(8)));
    expect(goAwayCode(said)).toBeUndefined();
    await peer.clock.advance(101);
  }
});

test("updates of windows that answers explain are no flood", async () => {
  const peer = new RawPeer({ limits: { idleFrames: { burst: 2, perSecond: 0 } } });
  await peer.open();
  for (let id = 1; id < 400; id += 2) {
    const said = await peer.say(
      peer.headers(id, "/t.S/Echo"),
      frame(data, 1, id, message(new Uint8Array(10))),
      frame(windowUpdate, 0, 0, uint32(1)),
      frame(windowUpdate, 0, 0, uint32(1)),
    );
    expect(goAwayCode(said)).toBeUndefined();
  }
});

test("settings that change the windows of all streams again and again count once a frame", async () => {
  const peer = new RawPeer();
  await peer.open(...many(100, (n) => peer.headers(2 * n + 1)));
  // Each change alone is legal, and undone by the next.
  const said = await peer.say(
    settings(...many(2000, () => uint32(0)).map((_, n) => [4, n % 2 === 0 ? 0 : 70_000] as const)),
  );
  expect(goAwayCode(said)).toBeUndefined();
  const answer = await peer.say(peer.headers(1001, "/t.S/Big"), frame(data, 1, 1001, message(new Uint8Array(0))));
  const sent = answer.filter(({ type, id }) => type === data && id === 1001);
  expect(sent.reduce((sum, { payload }) => sum + payload.length, 0)).toBeLessThanOrEqual(70_000);
});

test("clients that together hold too much memory: those that hold most are closed", async () => {
  const peer = new RawPeer({ maxHeldBytes: 300_000 });
  await peer.open(peer.headers(1));
  const [near, far] = connectionPair(peer.clock);
  peer.server.handleConnection(far);
  const encoder = new RawPeer();
  near.write(Buffer.concat([preface, settings(), ...many(200, (n) => encoder.headers(2 * n + 1))]));
  await peer.clock.settle();
  expect(peer.server.connectionCount).toBe(2);
  await peer.clock.advance(3000);
  expect(goAwayCode(parseFrames(far.takeWritten()))).toBe(calm);
  expect(peer.server.connectionCount).toBe(1);
  const alive = await peer.say(peer.headers(3, "/t.S/Echo"), frame(data, 1, 3, message(new Uint8Array(1))));
  expect(alive.some(({ type, id }) => type === data && id === 3)).toBe(true);
});

test("streams above the limit are refused, and accepted again when there is room", async () => {
  const peer = new RawPeer({ maxConcurrentStreams: 2 });
  const said = await peer.open(peer.headers(1), peer.headers(3), peer.headers(5));
  expect(
    said
      .find(({ type }) => type === FrameType.settings)!
      .payload.subarray(0, 6)
      .join(),
  ).toBe("0,3,0,0,0,2");
  expect(resetCodes(said, 5)).toEqual([ErrorCode.refusedStream]);
  const after = await peer.say(
    frame(resetStream, 0, 1, uint32(8)),
    peer.headers(7, "/t.S/Echo"),
    frame(data, 1, 7, message(new Uint8Array(1))),
  );
  expect(after.some(({ type, id }) => type === data && id === 7)).toBe(true);
});

test("a header list above the limit resets its stream only", async () => {
  const peer = new RawPeer({ limits: { maxHeaderListSize: 1000 } });
  const said = await peer.open(
    frame(headers, 4, 1, peer.headerBlock(requestFields("/t.S/Echo", ["x", "y".repeat(2000)]))),
  );
  expect(resetCodes(said, 1)).toEqual([ErrorCode.frameSizeError]);
  expect(goAwayCode(said)).toBeUndefined();
});

test("a client that sends no preface, or stops inside a frame or header block, is dropped", async () => {
  const silent = new RawPeer();
  await silent.clock.advance(25_000);
  expect(goAwayCode(silent.heard())).toBe(ErrorCode.settingsTimeout);
  for (const half of [(p: RawPeer) => p.headers(1).subarray(0, 20), (p: RawPeer) => p.headers(1, "/t.S/Hang", 0)]) {
    const peer = new RawPeer();
    await peer.open(half(peer));
    await peer.clock.advance(50_000);
    expect(peer.server.connectionCount).toBe(1);
    await peer.clock.advance(15_000);
    expect(goAwayCode(peer.heard())).toBe(calm);
  }
});

test("a client that does not read costs bounded memory: new streams are refused, then it is closed", async () => {
  const peer = new RawPeer({
    limits: { refuseAboveQueuedBytes: 4_000_000, maxQueuedBytes: 8_000_000, stallTimeoutMs: 30_000 },
  });
  await peer.say(preface, settings([4, 0x7fff_ffff]), frame(windowUpdate, 0, 0, uint32(0x7000_0000)));
  peer.far.stalled = true;
  for (let id = 1; id < 100; id += 2)
    await peer.say(peer.headers(id, "/t.S/Big"), frame(data, 1, id, message(new Uint8Array(0))));
  expect(peer.far.waitingBytes).toBeLessThan(2_000_000);
  const refused = peer.server.methods.find(({ method }) => method === "Big")!;
  expect(refused.started).toBeLessThan(10);
  await peer.clock.advance(40_000);
  expect(peer.server.connectionCount).toBe(0);
});

test("a flood of frames that must be answered, never read, ends the connection", async () => {
  const peer = new RawPeer({ limits: { maxUnsentBytes: 300_000, settings: { burst: 1e9, perSecond: 1 } } });
  await peer.open();
  peer.far.stalled = true;
  const burst = Buffer.concat(many(5000, () => settings()));
  for (let round = 0; round < 12 && !peer.far.destroyed; round++) {
    await peer.say(burst);
    expect(peer.far.waitingBytes).toBeLessThan(500_000);
  }
  expect(peer.server.connectionCount).toBe(0);
});

test("a request that begins and does not arrive in time is answered DeadlineExceeded", async () => {
  const peer = new RawPeer();
  const block = peer.headerBlock(requestFields("/t.S/Echo", ["grpc-timeout", "100m"]));
  await peer.open(frame(headers, 4, 1, block), frame(data, 0, 1, [0, 0, 0, 0, 9, 1]));
  await peer.clock.advance(90);
  expect(peer.heard()).toEqual([]);
  await peer.clock.advance(50);
  const said = peer.heard();
  expect(said.map(({ type, id }) => [type, id])).toEqual([
    [headers, 1],
    [resetStream, 1],
  ]);
  expect(resetCodes(said, 1)).toEqual([ErrorCode.noError]);
});

test("incomplete requests are bounded per connection", async () => {
  const peer = new RawPeer({ maxPartialBytes: 100_000 });
  const prefix = [0, 0, 0x10, 0, 0];
  const said = await peer.open(
    ...many(50, (n) => Buffer.concat([peer.headers(2 * n + 1), frame(data, 0, 2 * n + 1, [...prefix, 1, 2, 3])])),
  );
  expect(goAwayCode(said)).toBe(calm);
});

test("pings that come too soon end with too_many_pings; answers in between forgive them", async () => {
  const pinging = new RawPeer();
  await pinging.open(pinging.headers(1));
  let said = await pinging.say(frame(ping, 0, 0, eight), frame(ping, 0, 0, eight), frame(ping, 0, 0, eight));
  expect(goAwayCode(said)).toBeUndefined();
  said = await pinging.say(frame(ping, 0, 0, eight));
  expect(goAwayCode(said)).toBe(calm);
  expect(Buffer.from(said.find(({ type }) => type === goAway)!.payload.subarray(8)).toString()).toBe("too_many_pings");

  const working = new RawPeer();
  await working.open();
  for (let id = 1; id < 60; id += 2) {
    said = await working.say(
      working.headers(id, "/t.S/Echo"),
      frame(data, 1, id, message(new Uint8Array(1))),
      frame(ping, 0, 0, eight),
    );
    expect(goAwayCode(said)).toBeUndefined();
  }
  const patient = new RawPeer();
  await patient.open(patient.headers(1));
  for (let n = 0; n < 10; n++) {
    await patient.clock.advance(5001);
    expect(goAwayCode(await patient.say(frame(ping, 0, 0, eight)))).toBeUndefined();
  }
});

test("a window that is held is given back when it is released", async () => {
  const peer = new RawPeer();
  const ofConnection = (frames: readonly { type: number; id: number }[]): number =>
    frames.filter(({ type, id }) => type === windowUpdate && id === 0).length;
  const part = new Uint8Array(16_384);
  const parts = (id: number): Uint8Array[] => [
    peer.headers(id),
    ...Array.from({ length: 200 }, () => frame(data, 0, id, part)),
  ];
  await peer.open();
  expect(ofConnection(await peer.say(...parts(1), ...parts(3)))).toBe(1);
  peer.server.holdWindows(true);
  expect(ofConnection(await peer.say(...parts(5), ...parts(7)))).toBe(0);
  expect((await peer.say(frame(ping, 0, 0, eight))).map(({ type }) => type)).toContain(ping);
  peer.server.holdWindows(false);
  await peer.clock.settle();
  expect(ofConnection(peer.heard())).toBe(1);
});

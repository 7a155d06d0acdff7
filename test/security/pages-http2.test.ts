/**
 * Pages over HTTP/2 under the limits that calls have: many requests share a connection there, and none of them may make us
 * hold more than the connection's share. In process, on a clock of its own.
 */
import { expect, test } from "vitest";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { FrameType } from "../../src/http2/frame.ts";
import type { HeaderPair } from "../../src/http2/hpack-encoder.ts";
import { gatewayPage } from "../../src/http/gateway/gateway-page.ts";
import { http2Pages } from "../../src/http/http2-pages.ts";
import { HttpServer } from "../../src/http/server.ts";
import type { GrpcServerOptions } from "../../src/grpc/server.ts";
import { connectionPair } from "../support/memory-connection.ts";
import { frame, goAwayCode, RawPeer, resetCodes, uint32 } from "../support/raw-http2.ts";

const END_STREAM = 1;
const END_HEADERS = 4;

/** A connection to a server with pages: the gateway below `/v3/`, and `/silent`, which never answers. */
class PagePeer extends RawPeer {
  constructor(options: Partial<GrpcServerOptions> = {}) {
    super(options);
    const { clock, server } = this;
    server.unary("/etcdserverpb.KV/Range", (call) => call.respond(new Uint8Array(0)));
    const gateway = { grpc: server, clock };
    const pages = new Map([["/silent", () => undefined]]);
    const http = new HttpServer({ clock, pages, prefixes: [["/v3/", gatewayPage(gateway)]] });
    const [near, far] = connectionPair(clock);
    Object.assign(this, { near, far });
    server.handleConnection(far, undefined, { pages: http2Pages(http), takesCalls: true });
  }

  request(id: number, path: string, flags = END_HEADERS, more: readonly HeaderPair[] = []): Uint8Array {
    const fields: HeaderPair[] = [
      [":method", "POST"],
      [":scheme", "https"],
      [":path", path],
      [":authority", "member"],
      ...more,
    ];
    return frame(FrameType.headers, flags, id, this.headerBlock(fields));
  }
}

test("rapid reset of pages ends the connection as that of calls does (CVE-2023-44487)", async () => {
  const peer = new PagePeer();
  await peer.open();
  let code: number | undefined;
  for (let id = 1; id < 14_000 && code === undefined; id += 2) {
    const cancel = frame(FrameType.resetStream, 0, id, uint32(ErrorCode.cancel));
    code = goAwayCode(await peer.say(peer.request(id, "/silent"), cancel));
  }
  expect(code).toBe(ErrorCode.enhanceYourCalm);
});

test("pages count among the streams that a client may have open", async () => {
  const peer = new PagePeer({ maxConcurrentStreams: 2 });
  const heard = await peer.open(...[1, 3, 5].map((id) => peer.request(id, "/silent")));
  expect([1, 3, 5].map((id) => resetCodes(heard, id))).toEqual([[], [], [ErrorCode.refusedStream]]);
});

test("a head above the limit resets its stream, and no page sees it", async () => {
  const peer = new PagePeer();
  const more = Array.from({ length: 200 }, (): HeaderPair => ["n", "x".repeat(1900)]);
  const heard = await peer.open(peer.request(1, "/silent", END_HEADERS, more));
  expect(resetCodes(heard, 1)).toEqual([ErrorCode.frameSizeError]);
});

test("bodies that are never complete: no new streams above the limit, and what a reset frees is free", async () => {
  const peer = new PagePeer({ maxReceiveBytes: 2 << 20, limits: { refuseAboveQueuedBytes: 8 << 20 } });
  await peer.open();
  const chunk = frame(FrameType.data, 0, 0, Buffer.alloc(16_384, '"'.charCodeAt(0)));
  const opening = Buffer.from('{"key":"');
  /** Three megabytes of a JSON value that does not end. */
  const send = async (id: number): Promise<number[]> => {
    const refused = resetCodes(await peer.say(peer.request(id, "/v3/kv/range")), id);
    if (refused.length > 0) return refused;
    const part = Buffer.from(chunk);
    part.fill(0x61, 9);
    part.writeUInt32BE(id, 5);
    return resetCodes(await peer.say(frame(FrameType.data, 0, id, opening), ...Array<Uint8Array>(192).fill(part)), id);
  };
  let id = 1;
  let codes = await send(id);
  while (codes.length === 0 && id < 100) codes = await send((id += 2));
  expect(codes).toEqual([ErrorCode.refusedStream]);
  expect(id).toBe(2 * 3 + 1); // three times three megabytes are more than eight
  await peer.say(frame(FrameType.resetStream, 0, 1, uint32(ErrorCode.cancel)));
  expect(await send(id + 2)).toEqual([]);
});

test("heads that are kept count: requests with large ones and no end are refused above 64 MiB", async () => {
  const peer = new PagePeer();
  await peer.open();
  // In the client's table once, named again for a byte each: 240 KiB of fields in a request of some 60 bytes.
  const more = Array.from({ length: 60 }, (): HeaderPair => ["n", "x".repeat(1900)]);
  let refused: number[] = [];
  let id = -1;
  while (refused.length === 0 && id < 2000) {
    id += 2;
    refused = resetCodes(await peer.say(peer.request(id, "/silent", END_HEADERS, more)), id);
  }
  expect(refused).toEqual([ErrorCode.refusedStream]);
});

test("a body longer than a request may be is refused before it is complete", async () => {
  const peer = new PagePeer({ maxReceiveBytes: 1000 });
  const body = frame(FrameType.data, 0, 1, Buffer.from(`{"key":"${"a".repeat(3000)}`));
  const heard = await peer.open(peer.request(1, "/v3/kv/range"), body);
  expect(heard.find(({ type, id }) => type === FrameType.headers && id === 1)).toBeDefined();
  const data = heard.filter(({ type, id }) => type === FrameType.data && id === 1);
  expect(Buffer.concat(data.map(({ payload }) => payload)).toString()).toContain("larger than max");
  expect(data.at(-1)?.flags).toBe(END_STREAM);
  // The rest of it has a second to come, then the stream is gone.
  await peer.clock.advance(1001);
  expect(resetCodes(peer.heard(), 1)).toEqual([ErrorCode.noError]);
});

test("in clear text pages are refused as grpc-go refuses them", async () => {
  const peer = new RawPeer();
  const block = peer.headerBlock([
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/version"],
    [":authority", "member"],
  ]);
  const heard = await peer.open(frame(FrameType.headers, END_HEADERS | END_STREAM, 1, block));
  // 415, and a gRPC status behind it.
  expect(Buffer.from(heard.find(({ id }) => id === 1)?.payload ?? []).toString("latin1")).toContain("415");
});

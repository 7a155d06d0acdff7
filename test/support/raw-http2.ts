/** A peer made of raw frames, to say to a server what no proper client would. */
import { GrpcServer, type GrpcServerOptions } from "../../src/grpc/server.ts";
import { FrameType, readUint31, readUint32, writeFrameHeader, writeUint32 } from "../../src/http2/frame.ts";
import { HpackEncoder, type HeaderPair } from "../../src/http2/hpack-encoder.ts";
import { type MemoryConnection, TestClock, connectionPair } from "./memory-connection.ts";

export const preface: Uint8Array = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

/** One frame; `length` overrides the true length of the payload. */
export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array | readonly number[] = [],
  length = payload.length,
): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  writeFrameHeader(bytes, 0, length, type, flags, id);
  bytes.set(payload, 9);
  return bytes;
}

export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeUint32(bytes, 0, value);
  return bytes;
}

export const settings = (...pairs: readonly (readonly [number, number])[]): Uint8Array =>
  frame(
    FrameType.settings,
    0,
    0,
    Buffer.concat(pairs.map(([id, value]) => [Uint8Array.of(id >>> 8, id), uint32(value)]).flat()),
  );

export function parseFrames(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  for (let offset = 0; offset + 9 <= bytes.length;) {
    const length = (bytes[offset] << 16) | (bytes[offset + 1] << 8) | bytes[offset + 2];
    frames.push({
      type: bytes[offset + 3],
      flags: bytes[offset + 4],
      id: readUint31(bytes, offset + 5),
      payload: bytes.slice(offset + 9, offset + 9 + length),
    });
    offset += 9 + length;
  }
  return frames;
}

/** A request's header fields. */
export const requestFields = (path: string, ...more: readonly HeaderPair[]): HeaderPair[] => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", path],
  [":authority", "test"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ...more,
];

/** A message with its gRPC prefix. */
export function message(payload: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(0), uint32(payload.length), payload]);
}

export class RawPeer {
  readonly clock = new TestClock();
  readonly server: GrpcServer;
  readonly near: MemoryConnection;
  readonly far: MemoryConnection;
  readonly encoder = new HpackEncoder();

  /** A server with `/t.S/Echo` and `/t.S/Hang`, and a connection to it that has said nothing yet. */
  constructor(options: Partial<GrpcServerOptions> = {}) {
    this.server = new GrpcServer({ clock: this.clock, ...options });
    this.server.unary("/t.S/Echo", (call, request) => call.respond(new Uint8Array(request)));
    this.server.unary("/t.S/Hang", () => undefined);
    this.server.unary("/t.S/Big", (call) => call.respond(new Uint8Array(1_000_000)));
    this.server.bidi("/t.S/Chat", (call) => call.onMessage((bytes) => call.send(new Uint8Array(bytes))));
    [this.near, this.far] = connectionPair(this.clock);
    this.server.handleConnection(this.far);
  }

  /** Preface and SETTINGS, then the frames; returns what the server said. */
  async open(...frames: readonly Uint8Array[]): Promise<Frame[]> {
    return this.say(preface, settings(), ...frames);
  }

  async say(...frames: readonly Uint8Array[]): Promise<Frame[]> {
    this.near.write(Buffer.concat(frames));
    await this.clock.settle();
    return this.heard();
  }

  /** What the server sent since the last look. */
  heard(): Frame[] {
    return parseFrames(this.far.takeWritten());
  }

  headerBlock(fields: readonly HeaderPair[]): Uint8Array {
    const target = new Uint8Array(this.encoder.sizeBound(fields));
    return target.slice(0, this.encoder.encode(fields, target, 0));
  }

  /** A HEADERS frame for a request; `flags` default END_HEADERS. */
  headers(id: number, path = "/t.S/Hang", flags = 4): Uint8Array {
    return frame(FrameType.headers, flags, id, this.headerBlock(requestFields(path)));
  }
}

/** The code of the GOAWAY among `frames`, or undefined. */
export function goAwayCode(frames: readonly Frame[]): number | undefined {
  const found = frames.find(({ type }) => type === FrameType.goAway);
  return found === undefined ? undefined : readUint32(found.payload, 4);
}

/** The codes of the RST_STREAM frames for a stream. */
export function resetCodes(frames: readonly Frame[], id: number): number[] {
  return frames
    .filter(({ type, id: stream }) => type === FrameType.resetStream && stream === id)
    .map(({ payload }) => readUint32(payload, 0));
}

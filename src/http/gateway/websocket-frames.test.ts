import { expect, test } from "vitest";
import { encodeFrame, FrameReader, Opcode, WebSocketError } from "./websocket-frames.ts";

function masked(opcode: number, payload: Uint8Array, { final = true, mask = [1, 2, 3, 4] } = {}): Buffer {
  const frame = Buffer.from(encodeFrame(opcode, payload));
  const start = frame.length - payload.length;
  frame[0] = (final ? 0x80 : 0) | opcode;
  frame[1] |= 0x80;
  return Buffer.concat([frame.subarray(0, start), Buffer.from(mask), payload.map((byte, at) => byte ^ mask[at % 4])]);
}

function read(input: Uint8Array, { chunkSize = input.length, limit = 1 << 20 } = {}): string[] {
  const seen: string[] = [];
  const reader = new FrameReader(
    {
      message: (payload) => seen.push(`message ${Buffer.from(payload).toString()}`),
      ping: (payload) => seen.push(`ping ${Buffer.from(payload).toString()}`),
      close: () => seen.push("close"),
    },
    limit,
  );
  for (let at = 0; at < input.length; at += chunkSize) reader.push(input.subarray(at, at + chunkSize));
  return seen;
}

test.each([0, 1, 125, 126, 65_535, 65_536])("a message of %d bytes arrives, whole or a few bytes at a time", (size) => {
  const text = "x".repeat(size);
  const frame = masked(Opcode.text, Buffer.from(text));
  expect(read(frame)).toEqual([`message ${text}`]);
  expect(read(frame, { chunkSize: 7 })).toEqual([`message ${text}`]);
});

test("fragments are put together, with a ping between them", () => {
  const input = Buffer.concat([
    masked(Opcode.text, Buffer.from("a"), { final: false }),
    masked(Opcode.ping, Buffer.from("p")),
    masked(Opcode.continuation, Buffer.from("b"), { final: false }),
    masked(Opcode.continuation, Buffer.from("c")),
    masked(Opcode.close, Buffer.alloc(0)),
  ]);
  expect(read(input)).toEqual(["ping p", "message abc", "close"]);
});

test.each([
  ["a frame that is not masked", Buffer.from(encodeFrame(Opcode.text, Buffer.from("a"))), 1002],
  ["reserved bits", Buffer.from([0xc1, 0x80, 0, 0, 0, 0]), 1002],
  ["an unknown type", masked(3, Buffer.alloc(0)), 1002],
  ["a long ping", masked(Opcode.ping, Buffer.alloc(126)), 1002],
  ["a continuation of nothing", masked(Opcode.continuation, Buffer.alloc(0)), 1002],
  ["a message above the limit", masked(Opcode.text, Buffer.alloc(300)), 1009],
])("%s closes the connection", (_what, input, code) => {
  expect(() => read(input, { limit: 200 })).toThrow(WebSocketError);
  try {
    read(input, { limit: 200 });
  } catch (error) {
    expect((error as WebSocketError).code).toBe(code);
  }
});

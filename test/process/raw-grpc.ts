/** A client made of raw frames over TCP, to do to a running server what no proper client would. */
import { connect, type Socket } from "node:net";
import { FrameType } from "../../src/http2/frame.ts";
import { HpackEncoder } from "../../src/http2/hpack-encoder.ts";
import {
  frame,
  message,
  parseFrames,
  preface,
  requestFields,
  settings,
  uint32,
  type Frame,
} from "../support/raw-http2.ts";

const END_STREAM = 1;
const END_HEADERS = 4;

const windowLargest = 0x7fff_ffff;
const initialWindowSetting = 4;
const initialWindow = 65_535;

/** Settings and windows of a client that lets the server send as much as it wants. */
export const opening: Uint8Array = Buffer.concat([
  preface,
  settings([initialWindowSetting, windowLargest]),
  frame(FrameType.windowUpdate, 0, 0, uint32(windowLargest - initialWindow)),
]);

export interface Call {
  readonly id: number;
  readonly path: string;
  readonly body: Uint8Array;
}

/** HEADERS and DATA of unary calls, which must be the first and only ones of their connection. */
export function calls(...requests: readonly Call[]): Uint8Array {
  const encoder = new HpackEncoder();
  return Buffer.concat(
    requests.flatMap(({ id, path, body }) => {
      const fields = requestFields(path);
      const block = new Uint8Array(encoder.sizeBound(fields));
      const length = encoder.encode(fields, block, 0);
      return [
        frame(FrameType.headers, END_HEADERS, id, block.subarray(0, length)),
        frame(FrameType.data, END_STREAM, id, message(body)),
      ];
    }),
  );
}

/** Says `said` and gives the bytes that come until `isEnough`, or until the server closes the connection. */
export function sayAndHear(port: number, said: Uint8Array, isEnough?: (heard: Buffer) => boolean): Promise<Buffer> {
  return new Promise((resolve) => {
    let heard = Buffer.alloc(0);
    const socket = connect(port, "127.0.0.1", () => socket.write(said));
    socket.on("data", (bytes: Buffer) => {
      heard = Buffer.concat([heard, bytes]);
      if (isEnough?.(heard) === true) socket.destroy();
    });
    // A reset is a way of closing, too.
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(heard));
  });
}

/** The same with frames. */
export async function sayAndListen(
  port: number,
  said: Uint8Array,
  isEnough?: (heard: Frame[]) => boolean,
): Promise<Frame[]> {
  return parseFrames(await sayAndHear(port, said, (heard) => isEnough?.(parseFrames(heard)) === true));
}

/** The server has ended its side of stream `id`. */
export function hasEnded(heard: readonly Frame[], id: number): boolean {
  return heard.some(
    (part) => part.id === id && part.type === FrameType.headers && (part.flags & END_STREAM) === END_STREAM,
  );
}

/** Says `said` and never reads. The caller destroys the socket. */
export function sayAndTurnDeaf(port: number, said: Uint8Array): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.pause();
      socket.write(said, () => resolve(socket));
    });
    socket.on("error", reject);
  });
}

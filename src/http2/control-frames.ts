/**
 * Frames that flow control does not hold back, written into the connection's output. A peer that makes us answer and
 * never reads is cut off.
 */
import type { ErrorCode } from "./error-code.ts";
import {
  Flag,
  FrameType,
  SettingId,
  defaultWindowSize,
  frameHeaderSize,
  goAwayFrame,
  settingsFrame,
  writeFrameHeader,
  writeUint32,
} from "./frame.ts";
import type { Http2Limits } from "./limits.ts";
import type { Output } from "./output.ts";
import { clientPreface } from "./preface.ts";

const pingSize = 8;

export class ControlFrames {
  readonly #output: Output;
  readonly #limits: Http2Limits;
  readonly #cutOff: () => void;

  /** @param cutOff - closes the connection at once. */
  constructor(output: Output, limits: Http2Limits, cutOff: () => void) {
    this.#output = output;
    this.#limits = limits;
    this.#cutOff = cutOff;
  }

  /** What an end says first: a client its preface, both their SETTINGS and the connection's window. */
  start({ isServer }: { isServer: boolean }): void {
    const { maxConcurrentStreams, streamWindow, maxHeaderListSize, connectionWindow } = this.#limits;
    if (!isServer) this.#output.append(clientPreface);
    this.#output.append(
      settingsFrame([
        isServer ? [SettingId.maxConcurrentStreams, maxConcurrentStreams] : [SettingId.enablePush, 0],
        [SettingId.initialWindowSize, streamWindow],
        [SettingId.maxHeaderListSize, maxHeaderListSize],
      ]),
    );
    const extra = connectionWindow - defaultWindowSize;
    if (extra > 0) this.windowUpdate(0, extra);
  }

  settingsAcknowledged(): void {
    this.reserve(frameHeaderSize);
    this.#header(0, FrameType.settings, Flag.ack, 0);
  }

  /** A PING whose payload starts with `word`. */
  ping(word: number): void {
    this.reserve(frameHeaderSize + pingSize);
    this.#header(pingSize, FrameType.ping, Flag.none, 0);
    const output = this.#output;
    output.position = writeUint32(output.bytes, writeUint32(output.bytes, output.position, word), 0);
  }

  /** Sends the payload of a PING back, `bytes[start, start + 8)`. */
  pingAcknowledged(bytes: Uint8Array, start: number): void {
    this.reserve(frameHeaderSize + pingSize);
    this.#header(pingSize, FrameType.ping, Flag.ack, 0);
    const output = this.#output;
    for (let index = start; index < start + pingSize; index++) output.bytes[output.position++] = bytes[index];
  }

  windowUpdate(id: number, increment: number): void {
    this.#withWord(FrameType.windowUpdate, id, increment);
  }

  resetStream(id: number, code: ErrorCode): void {
    this.#withWord(FrameType.resetStream, id, code);
  }

  goAway(lastStreamId: number, code: ErrorCode, debug: string): void {
    this.#output.append(goAwayFrame(lastStreamId, code, debug));
  }

  /** Room for `size` bytes. */
  reserve(size: number): void {
    const output = this.#output;
    if (output.blocked && output.waitingBytes > this.#limits.maxUnsentBytes) this.#cutOff();
    output.reserve(size);
  }

  #withWord(type: number, id: number, word: number): void {
    this.reserve(frameHeaderSize + 4);
    this.#header(4, type, Flag.none, id);
    const output = this.#output;
    output.position = writeUint32(output.bytes, output.position, word);
  }

  #header(size: number, type: number, flags: number, id: number): void {
    const output = this.#output;
    output.position = writeFrameHeader(output.bytes, output.position, size, type, flags, id);
  }
}

/**
 * A message that goes to many calls, laid out as it travels: frame header, gRPC prefix, message. Sending it to one more call
 * costs one copy, and that stream's number in the frame header of the copy.
 *
 *     DATA frame header (9, stream 0) | prefix (5) | message
 */
import { defaultMaxFrameSize, Flag, FrameType, frameHeaderSize, writeFrameHeader } from "../http2/frame.ts";
import { prefixSize, writePrefix } from "./message-reader.ts";

/** Larger ones do not fit into one frame of every peer. */
export const sharedMessageMax = defaultMaxFrameSize - prefixSize;

export class SharedMessage {
  /** Never changed. */
  readonly frame: Uint8Array;

  /** @param size - bytes of all parts, at most {@link sharedMessageMax}. */
  constructor(parts: readonly Uint8Array[], size: number) {
    this.frame = Buffer.allocUnsafe(frameHeaderSize + prefixSize + size);
    let at = writeFrameHeader(this.frame, 0, prefixSize + size, FrameType.data, Flag.none, 0);
    at = writePrefix(this.frame, at, size);
    for (const part of parts) {
      this.frame.set(part, at);
      at += part.length;
    }
  }

  get size(): number {
    return this.frame.length - frameHeaderSize - prefixSize;
  }

  get message(): Uint8Array {
    return this.frame.subarray(frameHeaderSize + prefixSize);
  }

  /** The message with its prefix. */
  get payload(): Uint8Array {
    return this.frame.subarray(frameHeaderSize);
  }
}

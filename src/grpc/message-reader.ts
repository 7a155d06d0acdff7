/**
 * Length-prefixed gRPC messages out of the pieces in which they arrive.
 *
 *     flag (1: 0 plain, 1 compressed) | length (4, big-endian) | message
 *
 * A message that lies whole in one piece is handed on as a view; others are collected in a buffer that grows with what
 * has arrived, so a length alone makes us allocate next to nothing.
 */
import { readUint32 } from "../http2/frame.ts";
import { emptyBytes } from "../base/bytes.ts";

export const prefixSize = 5;
const firstBufferBytes = 16 * 1024;

export interface MessageSink {
  /** One message, borrowed. `flag` as on the wire. Returns false to stop: the rest of the input is dropped. */
  receiveMessage(message: Uint8Array, flag: number): boolean;
  /** The announced length is above the limit; nothing more is read. */
  messageTooLarge(length: number): void;
}

export class MessageReader {
  readonly #maxBytes: number;
  #prefixHave = 0;
  #flag = 0;
  #length = 0;
  #buffer: Uint8Array = emptyBytes;
  #have = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * True in the middle of a message: the end of the stream here is an error. The end inside a prefix is none to grpc-go,
   * and so it is here.
   */
  get partial(): boolean {
    return this.#prefixHave === prefixSize;
  }

  /** Bytes of memory held for a message that is not complete. */
  get heldBytes(): number {
    return this.#buffer.length;
  }

  /** Bytes, prefix included, that have come of the message in progress. */
  get partialBytes(): number {
    return this.#prefixHave + this.#have;
  }

  /** Takes `bytes[start, end)`, borrowed. */
  push(bytes: Uint8Array, start: number, end: number, sink: MessageSink): void {
    let position = start;
    while (position < end) {
      if (this.#prefixHave === 0 && end - position >= prefixSize) {
        this.#flag = bytes[position]!;
        this.#length = readUint32(bytes, position + 1);
        this.#prefixHave = prefixSize;
        position += prefixSize;
      } else if (this.#prefixHave < prefixSize) {
        this.#prefixByte(bytes[position++]);
        if (this.#prefixHave < prefixSize) continue;
      }
      if (this.#length > this.#maxBytes) {
        sink.messageTooLarge(this.#length);
        return;
      }
      const take = Math.min(this.#length - this.#have, end - position);
      if (this.#have === 0 && take === this.#length) {
        this.#prefixHave = 0;
        const message = new Uint8Array(bytes.buffer, bytes.byteOffset + position, take);
        position += take;
        if (!sink.receiveMessage(message, this.#flag)) return;
        continue;
      }
      this.#collect(bytes, position, take);
      position += take;
      if (this.#have < this.#length) return;
      const message = this.#buffer.subarray(0, this.#length);
      this.#prefixHave = 0;
      this.#have = 0;
      this.#buffer = emptyBytes;
      if (!sink.receiveMessage(message, this.#flag)) return;
    }
  }

  #prefixByte(byte: number): void {
    if (this.#prefixHave === 0) {
      this.#flag = byte;
      this.#length = 0;
    } else {
      this.#length = this.#length * 256 + byte;
    }
    this.#prefixHave++;
  }

  #collect(bytes: Uint8Array, start: number, count: number): void {
    const needed = this.#have + count;
    if (this.#buffer.length < needed) {
      const size = Math.min(this.#length, Math.max(needed * 2, firstBufferBytes));
      const grown = new Uint8Array(size);
      grown.set(this.#buffer.subarray(0, this.#have));
      this.#buffer = grown;
    }
    this.#buffer.set(bytes.subarray(start, start + count), this.#have);
    this.#have = needed;
  }
}

/** Writes the prefix of an uncompressed message. */
export function writePrefix(target: Uint8Array, offset: number, size: number): number {
  target[offset] = 0;
  target[offset + 1] = size >>> 24;
  target[offset + 2] = size >>> 16;
  target[offset + 3] = size >>> 8;
  target[offset + 4] = size;
  return offset + prefixSize;
}

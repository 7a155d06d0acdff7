/**
 * WebSocket frames (RFC 6455 section 5) as a server reads and writes them: pure functions of bytes.
 *
 *     0                   1                   2                   3
 *     |F|RSV|opcode |M| length (7)  | 16 or 64 bits more of it | mask (4 bytes) | payload
 */

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Why a connection is closed (section 7.4.1). */
export const CloseCode = { normal: 1000, protocolError: 1002, tooLarge: 1009 } as const;

/** The client broke the protocol, or a limit. */
export class WebSocketError extends Error {
  override readonly name = "WebSocketError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface FrameSink {
  /** A whole text or binary message, put together from its frames. @param payload - owned by the receiver. */
  message(payload: Uint8Array): void;
  ping(payload: Uint8Array): void;
  close(): void;
}

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #messageBytesMax: number;
  /** What came and is not read: joined when there is enough for the next step, so that a trickle costs no more. */
  #chunks: Uint8Array[] = [];
  #waitingBytes = 0;
  #neededBytes = 2;
  #input: Buffer = Buffer.alloc(0);
  /** Frames of a message whose last one has not come. */
  #fragments: Uint8Array[] = [];
  #fragmentBytes = 0;
  #isFragmented = false;

  constructor(sink: FrameSink, messageBytesMax: number) {
    this.#sink = sink;
    this.#messageBytesMax = messageBytesMax;
  }

  /** @throws {WebSocketError} when the connection must be closed. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes < this.#neededBytes) return;
    this.#input = Buffer.concat(this.#chunks, this.#waitingBytes);
    while (this.#frame());
    this.#chunks = [this.#input];
    this.#waitingBytes = this.#input.length;
  }

  /** Takes one frame off the input; false, and it is known how much is needed, when it is not complete. */
  #frame(): boolean {
    const input = this.#input;
    if (!this.#has(2)) return false;
    const opcode = input[0] & 0x0f;
    const isFinal = (input[0] & 0x80) !== 0;
    const isControl = opcode >= Opcode.close;
    if ((input[0] & 0x70) !== 0) throw new WebSocketError(CloseCode.protocolError, "reserved bits are set");
    if ((input[1] & 0x80) === 0) throw new WebSocketError(CloseCode.protocolError, "a client's frame is not masked");
    let size = input[1] & 0x7f;
    if (isControl && (!isFinal || size > 125)) throw new WebSocketError(CloseCode.protocolError, "bad control frame");
    let start = 2;
    if (size === 126) {
      if (!this.#has(4)) return false;
      size = input.readUInt16BE(2);
      start = 4;
    } else if (size === 127) {
      if (!this.#has(10)) return false;
      size = Number(input.readBigUInt64BE(2));
      start = 10;
    }
    if (this.#fragmentBytes + size > this.#messageBytesMax) {
      throw new WebSocketError(CloseCode.tooLarge, "message too large");
    }
    const end = start + 4 + size;
    if (!this.#has(end)) return false;
    const payload = new Uint8Array(size);
    for (let index = 0; index < size; index++) payload[index] = input[start + 4 + index] ^ input[start + (index & 3)];
    this.#input = input.subarray(end);
    this.#take(opcode, payload, isFinal);
    return true;
  }

  #has(size: number): boolean {
    this.#neededBytes = size;
    return this.#input.length >= size;
  }

  #take(opcode: number, payload: Uint8Array, isFinal: boolean): void {
    switch (opcode) {
      case Opcode.ping:
        return this.#sink.ping(payload);
      case Opcode.pong:
        return;
      case Opcode.close:
        return this.#sink.close();
      case Opcode.text:
      case Opcode.binary:
      case Opcode.continuation:
        if ((opcode === Opcode.continuation) !== this.#isFragmented) {
          throw new WebSocketError(CloseCode.protocolError, "frames of a message are out of order");
        }
        this.#fragments.push(payload);
        this.#fragmentBytes += payload.length;
        this.#isFragmented = !isFinal;
        if (isFinal) {
          const message = this.#fragments.length === 1 ? payload : Buffer.concat(this.#fragments);
          this.#fragments = [];
          this.#fragmentBytes = 0;
          this.#sink.message(message);
        }
        return;
      default:
        throw new WebSocketError(CloseCode.protocolError, `unknown frame type ${opcode}`);
    }
  }
}

/** One whole frame of a server: not masked. */
export function encodeFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  let head: Buffer;
  if (length < 126) {
    head = Buffer.from([0x80 | opcode, length]);
  } else if (length < 0x1_0000) {
    head = Buffer.from([0x80 | opcode, 126, length >> 8, length & 0xff]);
  } else {
    head = Buffer.alloc(10);
    head[0] = 0x80 | opcode;
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

export function encodeClose(code: number): Uint8Array {
  return encodeFrame(Opcode.close, Uint8Array.of(code >> 8, code & 0xff));
}

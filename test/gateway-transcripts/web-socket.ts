/** A WebSocket client (RFC 6455) of text frames, enough to replay recorded conversations. */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

/** The key of the RFC's example: the recorded answers were made with it. */
const sampleKey = "dGhlIHNhbXBsZSBub25jZQ==";

export class WebSocketClient {
  readonly #socket: Socket;
  #input = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #ended = false;
  /** Status line and headers of the answer. */
  head = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#input = Buffer.concat([this.#input, chunk]);
      this.#wake?.();
    });
    socket.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
    socket.on("error", () => {});
  }

  static async open(
    base: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<WebSocketClient> {
    const { hostname, port } = new URL(base);
    const client = new WebSocketClient(connect(Number(port), hostname));
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${sampleKey}`,
      "Sec-WebSocket-Version: 13",
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ];
    client.#socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    const end = await client.#until(() => {
      const at = client.#input.indexOf("\r\n\r\n");
      return at < 0 ? undefined : at;
    });
    client.head = client.#input.toString("latin1", 0, end);
    client.#input = client.#input.subarray(end + 4);
    return client;
  }

  send(text: string): void {
    this.sendFrame(1, Buffer.from(text));
  }

  /** Frames of a client are masked. */
  sendFrame(opcode: number, payload: Uint8Array, final = true): void {
    const mask = randomBytes(4);
    const long = payload.length > 125;
    const head = Buffer.alloc(long ? 4 : 2);
    head[0] = (final ? 0x80 : 0) | opcode;
    head[1] = 0x80 | (long ? 126 : payload.length);
    if (long) head.writeUInt16BE(payload.length, 2);
    this.#socket.write(Buffer.concat([head, mask, Buffer.from(payload.map((byte, index) => byte ^ mask[index % 4]))]));
  }

  /** The next frame of any kind; undefined when the connection ended. */
  async receive(): Promise<{ opcode: number; payload: Buffer } | undefined> {
    try {
      return await this.#until(() => this.#frame());
    } catch {
      return undefined;
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #frame(): { opcode: number; payload: Buffer } | undefined {
    const input = this.#input;
    if (input.length < 2) return undefined;
    let size = input[1] & 0x7f;
    let start = 2;
    if (size === 126) {
      if (input.length < 4) return undefined;
      size = input.readUInt16BE(2);
      start = 4;
    } else if (size === 127) {
      if (input.length < 10) return undefined;
      size = Number(input.readBigUInt64BE(2));
      start = 10;
    }
    if (input.length < start + size) return undefined;
    this.#input = input.subarray(start + size);
    return { opcode: input[0] & 0xf, payload: input.subarray(start, start + size) };
  }

  async #until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.#ended) throw new Error("the connection ended");
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

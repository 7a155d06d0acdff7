/** gRPC calls as cheap as a load generator needs them: raw HTTP/2 streams, encoded requests, answers as bytes. */
import { emptyBytes } from "../src/base/bytes.ts";
import { prefixSize, writePrefix } from "../src/grpc/message-reader.ts";
import { Http2Client, PreparedHeaders } from "../src/http2/client.ts";
import { FieldKind } from "../src/http2/header-field.ts";
import { readUint32 } from "../src/http2/frame.ts";
import type { HeaderList } from "../src/http2/hpack-decoder.ts";
import { Http2Stream } from "../src/http2/stream.ts";
import { NodeClock } from "../src/platform/node/clock.ts";
import { createStderrLogger } from "../src/platform/node/stderr-logger.ts";
import { NodeNetwork } from "../src/platform/node/network.ts";

export const clock = new NodeClock();
const network = new NodeNetwork();
const log = createStderrLogger("error");

/** Called with the message of a unary answer; the bytes are the caller's. */
export type Answered = (message: Uint8Array) => void;

export class RawClient {
  readonly #client: Http2Client;
  readonly #authority: string;
  readonly #headers = new Map<string, PreparedHeaders>();

  private constructor(client: Http2Client, authority: string) {
    this.#client = client;
    this.#authority = authority;
  }

  /** @param caFile - the server's certificate when it speaks TLS. */
  static async connect(port: number, caFile?: string): Promise<RawClient> {
    const tls =
      caFile === undefined ? undefined : { caFile, serverName: "127.0.0.1", verifiesServer: true, alpn: ["h2"], log };
    const connection = await network.connect({ host: "127.0.0.1", port }, { tls });
    return new RawClient(new Http2Client(connection, { clock }), `127.0.0.1:${port}`);
  }

  /** @param keepsBody - false: `answered` gets nothing, and the bytes of the answer are only counted off. */
  unary(path: string, request: Uint8Array, answered: Answered, keepsBody = false): void {
    const stream = new RawStream(this.#client, answered, { isUnary: true, keepsBody });
    this.#client.sendRequest(stream, this.#prepared(path), false);
    stream.sendMessage(request, true);
  }

  /** A unary call whose answer is taken at `bytesPerSecond`, whatever the server could send. Ends when this connection does. */
  slowUnary(path: string, request: Uint8Array, bytesPerSecond: number): SlowStream {
    const stream = new SlowStream(this.#client, bytesPerSecond);
    this.#client.sendRequest(stream, this.#prepared(path), false);
    stream.sendMessage(request, true);
    return stream;
  }

  /** @param message - each message of the server, borrowed. */
  stream(path: string, message: Answered): RawStream {
    const stream = new RawStream(this.#client, message, { isUnary: false, keepsBody: true });
    this.#client.sendRequest(stream, this.#prepared(path), false);
    return stream;
  }

  close(): void {
    this.#client.session.destroy();
  }

  #prepared(path: string): PreparedHeaders {
    let headers = this.#headers.get(path);
    if (headers === undefined) {
      headers = new PreparedHeaders([
        [":method", "POST"],
        [":scheme", "http"],
        [":path", path],
        [":authority", this.#authority],
        ["content-type", "application/grpc"],
        ["user-agent", "quorate-bench"],
        ["te", "trailers"],
      ]);
      this.#headers.set(path, headers);
    }
    return headers;
  }
}

export class RawStream extends Http2Stream {
  readonly #answered: Answered;
  readonly #isUnary: boolean;
  readonly #keepsBody: boolean;
  #body: Uint8Array = emptyBytes;

  constructor(client: Http2Client, answered: Answered, kind: { isUnary: boolean; keepsBody: boolean }) {
    super(client.session, client.session.nextStreamId(), false);
    this.#answered = answered;
    this.#isUnary = kind.isUnary;
    this.#keepsBody = kind.keepsBody;
  }

  /** Requests here are far smaller than any window. */
  sendMessage(message: Uint8Array, last: boolean): void {
    const { session } = this;
    session.beginData(this, prefixSize + message.length, last);
    const { output } = session;
    const at = writePrefix(output.bytes, output.position, message.length);
    output.bytes.set(message, at);
    output.position = at + message.length;
  }

  onHeaders(list: HeaderList, end: boolean): void {
    if (!end) return;
    for (let index = 0; index < list.count; index++) {
      const field = list.fields[index];
      if (field.kind === FieldKind.grpcStatus && field.value !== "0")
        throw new Error(`call failed: status ${field.value}`);
    }
    if (this.#isUnary) this.#answered(this.#body.subarray(prefixSize));
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.session.consumed(this, end - start);
    if (!this.#keepsBody) return;
    const chunk = bytes.subarray(start, end);
    // Usually just one message: no copy, or it is the load generator that is measured.
    if (!this.#isUnary && this.#body.length === 0 && isOneMessage(chunk))
      return this.#answered(chunk.subarray(prefixSize));
    this.#body = this.#body.length === 0 ? new Uint8Array(chunk) : Buffer.concat([this.#body, chunk]);
    if (!this.#isUnary) this.#takeMessages();
  }

  onAborted(end: string): void {
    throw new Error(`call ended: ${end}`);
  }

  onQueueEmpty(): void {
    // Requests are small and never queue.
  }

  #takeMessages(): void {
    for (;;) {
      const body = this.#body;
      if (body.length < prefixSize) return;
      const size = Buffer.from(body.buffer, body.byteOffset).readUInt32BE(1);
      if (body.length < prefixSize + size) return;
      this.#body = body.subarray(prefixSize + size);
      this.#answered(body.subarray(prefixSize, prefixSize + size));
    }
  }
}

function isOneMessage(chunk: Uint8Array): boolean {
  return chunk.length >= prefixSize && readUint32(chunk, 1) === chunk.length - prefixSize;
}

/** Gives the flow-control window back at a steady pace. */
export class SlowStream extends RawStream {
  /** Bytes that the reader has taken. */
  taken = 0;
  isComplete = false;
  #waiting = 0;

  constructor(client: Http2Client, bytesPerSecond: number) {
    super(client, () => (this.isComplete = true), { isUnary: true, keepsBody: false });
    const tickMs = 10;
    clock.setTicker(() => this.#take((bytesPerSecond / 1000) * tickMs), tickMs);
  }

  override onData(_bytes: Uint8Array, start: number, end: number): void {
    this.#waiting += end - start;
  }

  #take(most: number): void {
    const size = Math.min(this.#waiting, Math.floor(most));
    if (size === 0 || this.isComplete) return;
    this.#waiting -= size;
    this.taken += size;
    this.session.consumed(this, size);
  }
}

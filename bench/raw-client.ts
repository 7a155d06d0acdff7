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
    const stream = new RawStream(this.#client, answered, keepsBody);
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

  /** A stream whose messages are only counted: `arrived` is called once for each. */
  stream(path: string, arrived: () => void): CountedStream {
    const stream = new CountedStream(this.#client, arrived);
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

abstract class SendingStream extends Http2Stream {
  constructor(client: Http2Client) {
    super(client.session, client.session.nextStreamId(), false);
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
    this.ended();
  }

  onAborted(end: string): void {
    throw new Error(`call ended: ${end}`);
  }

  onQueueEmpty(): void {
    // Requests are small and never queue.
  }

  /** With status OK. */
  protected abstract ended(): void;
}

export class RawStream extends SendingStream {
  readonly #answered: Answered;
  readonly #keepsBody: boolean;
  #body: Uint8Array = emptyBytes;

  constructor(client: Http2Client, answered: Answered, keepsBody: boolean) {
    super(client);
    this.#answered = answered;
    this.#keepsBody = keepsBody;
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.session.consumed(this, end - start);
    if (!this.#keepsBody) return;
    const chunk = bytes.subarray(start, end);
    this.#body = this.#body.length === 0 ? new Uint8Array(chunk) : Buffer.concat([this.#body, chunk]);
  }

  protected ended(): void {
    this.#answered(this.#body.subarray(prefixSize));
  }
}

/** Counts messages where they lie, without a view or a copy, or it is the load generator that is measured. */
export class CountedStream extends SendingStream {
  readonly #arrived: () => void;
  /** Of the message under way: bytes that are to come, and of its prefix those that have come. */
  #left = 0;
  #prefixHave = 0;
  #length = 0;

  constructor(client: Http2Client, arrived: () => void) {
    super(client);
    this.#arrived = arrived;
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    this.session.consumed(this, end - start);
    const size = end - start - prefixSize;
    // Usually one whole message.
    const isBetween = this.#left === 0 && this.#prefixHave === 0;
    if (isBetween && size >= 0 && readUint32(bytes, start + 1) === size) this.#arrived();
    else this.#count(bytes, start, end);
  }

  #count(bytes: Uint8Array, start: number, end: number): void {
    let position = start;
    while (position < end) {
      if (this.#prefixHave < prefixSize) {
        // The flag comes first, and is 0.
        this.#length = this.#length * 256 + bytes[position++];
        if (++this.#prefixHave < prefixSize) continue;
        this.#left = this.#length;
        this.#length = 0;
      }
      const take = Math.min(this.#left, end - position);
      this.#left -= take;
      position += take;
      if (this.#left > 0) return;
      this.#prefixHave = 0;
      this.#arrived();
    }
  }

  protected ended(): void {
    // Nobody waits for it.
  }
}

/** Gives the flow-control window back at a steady pace. */
export class SlowStream extends RawStream {
  /** Bytes that the reader has taken. */
  taken = 0;
  isComplete = false;
  #waiting = 0;

  constructor(client: Http2Client, bytesPerSecond: number) {
    super(client, () => (this.isComplete = true), false);
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

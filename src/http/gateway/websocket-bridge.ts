/**
 * The JSON gateway over a WebSocket: each text frame of the client is a part of the request's body, each line of the
 * answer becomes a text frame. A token may come as the sub-protocol `Bearer, <token>`, since browsers set no headers.
 *
 * @see etcd server/embed/serve.go; tmc/grpc-websocket-proxy
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Upgrade } from "../server.ts";
import { Exchange, type GatewayContext, type GatewayOutput } from "./exchange.ts";
import { remoteOf } from "./gateway-page.ts";
import { CloseCode, encodeClose, encodeFrame, FrameReader, Opcode, WebSocketError } from "./websocket-frames.ts";

/** RFC 6455 section 1.3. */
const acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** Bytes that may wait for a client before it is said to be slow. */
const waitingBytesMax = 64 * 1024;
/** Headers of the handshake that go with the request. */
const forwarded = ["origin", "referer"] as const;

export function gatewayUpgrade(context: GatewayContext): Upgrade {
  return (request, socket, head, url) => {
    const key = request.headers["sec-websocket-key"];
    if (request.method !== "GET" || request.headers["sec-websocket-version"] !== "13" || key === undefined) {
      socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 12\r\n\r\nBad Request\n");
      return;
    }
    const token = bearer(request);
    const lines = [
      "HTTP/1.1 101 Switching Protocols",
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Accept: ${createHash("sha1")
        .update(key + acceptSuffix)
        .digest("base64")}`,
      ...(token === undefined ? [] : ["Sec-WebSocket-Protocol: Bearer"]),
    ];
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    serve(context, { request, socket, head, path: url.pathname, token });
  };
}

interface Opened {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Uint8Array;
  readonly path: string;
  readonly token: string | undefined;
}

function serve(context: GatewayContext, { request, socket, head, path, token }: Opened): void {
  const headers: Record<string, string> = {};
  for (const name of forwarded) {
    const value = request.headers[name];
    if (value !== undefined) headers[name] = value;
  }
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  const output = new FrameOutput(socket);
  const exchange = new Exchange(context, { method: "POST", path, headers, remote: remoteOf(request) }, output);
  const newline = Uint8Array.of(0x0a);
  const reader = new FrameReader(
    {
      message(payload) {
        exchange.push(payload);
        exchange.push(newline);
      },
      ping: (payload) => void socket.write(encodeFrame(Opcode.pong, payload)),
      close: () => socket.end(encodeClose(CloseCode.normal)),
    },
    context.grpc.maxReceiveBytes * 2,
  );
  const read = (chunk: Uint8Array): void => {
    try {
      reader.push(chunk);
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error;
      socket.end(encodeClose(error.code));
    }
  };
  socket.on("data", read);
  socket.on("drain", () => exchange.drained());
  socket.on("error", () => socket.destroy()); // a client that is gone; `close` follows
  socket.on("end", () => socket.end());
  socket.on("close", () => exchange.gone());
  if (head.length > 0) read(head);
}

class FrameOutput implements GatewayOutput {
  readonly #socket: Duplex;
  /** Text after the last newline. */
  #line = "";

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  whole(_status: number, _headers: Readonly<Record<string, string>>, text: string): void {
    this.write(`${text}\n`);
    this.close();
  }

  open(): void {
    // The handshake is the only head there is.
  }

  write(text: string): boolean {
    this.#line += text;
    if (text.includes("\n")) {
      const lines = this.#line.split("\n");
      this.#line = lines.pop() ?? "";
      for (const line of lines) this.#send(line);
    }
    return this.#socket.writableLength < waitingBytesMax;
  }

  close(): void {
    if (this.#line !== "") this.#send(this.#line);
    this.#line = "";
    if (this.#socket.writable) this.#socket.end(encodeClose(CloseCode.normal));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  #send(line: string): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(Opcode.text, Buffer.from(line)));
  }
}

/** The token of `Sec-WebSocket-Protocol: Bearer, <token>`. */
function bearer(request: IncomingMessage): string | undefined {
  return /^Bearer,\s*(\S+)/.exec(request.headers["sec-websocket-protocol"] ?? "")?.[1];
}

/**
 * One request to the JSON gateway, from its headers to the end of its answer. It knows neither HTTP nor WebSocket: bytes
 * of the body come in, heads and text go out, so both serve it (gateway-page.ts, websocket-bridge.ts). All meaning is in
 * the gRPC handlers, called here as they are.
 */
import { assert } from "../../base/assert.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Address } from "../../platform/network.ts";
import { Code } from "../../wire/errors.ts";
import { methodTypes } from "../../wire/gen/schema.ts";
import { jsonToMessage, JsonValueError } from "./json-decode.ts";
import { messageToJson, messageToJsonText } from "./json-encode.ts";
import { JsonSplitter, JsonSyntaxError } from "./json-splitter.ts";
import { LocalStreamCall, LocalUnaryCall, type LocalCallContext } from "./local-call.ts";
import { messageType, type MessageType } from "./message-type.ts";
import { readMetadata, readTimeout } from "./metadata.ts";
import { gatewayRoutes } from "./routes.ts";
import { errorHeaders, httpStatus, statusText, type Status } from "./status.ts";

/** JSON is longer than what it stands for: base64 by a third, escapes and names by more. */
const jsonPerMessageByte = 2;

const successHeaders = { "Content-Type": "application/json", "Grpc-Metadata-Content-Type": "application/grpc" };

export interface GatewayContext {
  readonly grpc: GrpcServer;
  readonly clock: Clock;
}

export interface GatewayRequest {
  readonly method: string;
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly remote: Address;
}

/** Where the answer goes: `whole`, or `open`, any number of `write` and `close`. Ignored once the client is gone. */
export interface GatewayOutput {
  whole(status: number, headers: Readonly<Record<string, string>>, text: string): void;
  open(status: number, headers: Readonly<Record<string, string>>): void;
  /** @returns false when the client takes no more for now: `Exchange.drained` is called when it does again. */
  write(text: string): boolean;
  close(): void;
  /**
   * What is held now of a request that is not complete, or of an answer that the client has yet to take. Only for an
   * output that shares its connection with others.
   */
  holds?(bytes: number): void;
  readonly bufferedBytes: number;
}

type Call =
  | { readonly kind: "unary"; start(message: Uint8Array): LocalUnaryCall }
  | { readonly kind: "serverStream"; start(message: Uint8Array): LocalStreamCall }
  | { readonly kind: "bidi"; readonly call: LocalStreamCall };

export class Exchange {
  readonly #output: GatewayOutput;
  readonly #splitter: JsonSplitter;
  readonly #requestType: MessageType | undefined;
  readonly #responseType: MessageType | undefined;
  readonly #call: Call | undefined;
  readonly #messageBytesMax: number;
  #running: LocalUnaryCall | LocalStreamCall | undefined;
  #isOpen = false;
  #isDone = false;
  /** The rest of a large answer, waiting for the client. */
  #pieces: Iterator<string, void> | undefined;

  constructor({ grpc, clock }: GatewayContext, request: GatewayRequest, output: GatewayOutput) {
    this.#output = output;
    this.#messageBytesMax = grpc.maxReceiveBytes;
    this.#splitter = new JsonSplitter({
      valueBytesMax: grpc.maxReceiveBytes * jsonPerMessageByte,
      onValue: (value) => this.#received(value),
      onTooLarge: (size) => this.#refuse(this.#tooLarge(size)),
    });
    const path = gatewayRoutes.get(request.path);
    const route = path === undefined ? undefined : grpc.route(path);
    if (path === undefined || route === undefined) {
      this.#fail({ code: Code.NotFound, message: "Not Found" });
      return;
    }
    if (request.method !== "POST") {
      this.#fail({ code: Code.Unimplemented, message: "Method Not Allowed" });
      return;
    }
    const timeoutMs = readTimeout(first(request.headers["grpc-timeout"]));
    const { remote } = request;
    const metadata = readMetadata(request.headers, "host" in remote ? remote.host : remote.path);
    if (typeof timeoutMs !== "number" || "code" in metadata) {
      this.#fail(typeof timeoutMs === "number" ? (metadata as Status) : timeoutMs);
      return;
    }
    const [requestName, responseName] = methodTypes[path];
    this.#requestType = messageType(requestName);
    this.#responseType = messageType(responseName);
    const context: LocalCallContext = { server: grpc, clock, stats: route.stats, metadata, remote, timeoutMs };
    switch (route.type) {
      case "unary":
        this.#call = {
          kind: "unary",
          start: (message) => {
            const call = new LocalUnaryCall(context, {
              answered: (answer) => this.#answer(answer),
              failed: (status) => this.#fail(status),
            });
            this.#running = call;
            call.start(route.handler, message);
            return call;
          },
        };
        break;
      case "server_stream":
        this.#call = {
          kind: "serverStream",
          start: (message) => {
            const call = this.#streamCall(context);
            route.handler(call, message);
            return call;
          },
        };
        break;
      case "bidi_stream": {
        const call = this.#streamCall(context);
        this.#call = { kind: "bidi", call };
        route.handler(call);
        break;
      }
    }
  }

  // ---- From the client -------------------------------------------------------------------------------------------

  /** A piece of the body. @param bytes - kept until the JSON value in it is complete. */
  push(bytes: Uint8Array): void {
    if (this.#isDone) return;
    this.#guard(() => this.#splitter.push(bytes));
    this.#output.holds?.(this.#splitter.heldBytes);
  }

  /** The body is complete. */
  finish(): void {
    if (this.#isDone) return;
    this.#guard(() => {
      this.#splitter.end();
      // An empty body is an empty request.
      if (this.#call?.kind === "bidi") this.#call.call.halfClose();
      else if (this.#running === undefined) this.#start(new Uint8Array(0));
    });
  }

  /** The client went away. */
  gone(): void {
    if (this.#isDone && this.#pieces === undefined) return;
    this.#isDone = true;
    this.#pieces = undefined;
    this.#splitter.stop();
    this.#running?.cancel();
  }

  /** The client takes more. */
  drained(): void {
    if (this.#pieces !== undefined) this.#writePieces();
    else if (this.#running instanceof LocalStreamCall) this.#running.drained();
  }

  /** A request of the stream, or the only one; of a unary method what follows is not looked at, as in Go. */
  #received(value: Uint8Array): void {
    assert(this.#requestType !== undefined, "bodies are read for known methods only");
    const message = jsonToMessage(this.#requestType, value);
    if (message.length > this.#messageBytesMax) this.#refuse(this.#tooLarge(message.length));
    else if (this.#call?.kind === "bidi") this.#call.call.receive(message);
    else this.#start(message);
  }

  #start(message: Uint8Array): void {
    assert(this.#call !== undefined && this.#call.kind !== "bidi", "a request starts a call with one request");
    this.#splitter.stop();
    this.#output.holds?.(0);
    this.#running = this.#call.start(message);
  }

  /** A body that cannot be read: the answer of a method with one request; the end of the requests of a stream, as in Go. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof JsonSyntaxError || error instanceof JsonValueError)) throw error;
      this.#refuse({ code: Code.InvalidArgument, message: error.message });
    }
  }

  #refuse(status: Status): void {
    this.#splitter.stop();
    if (this.#call?.kind === "bidi" && status.code === Code.InvalidArgument) this.#call.call.halfClose();
    else if (this.#running !== undefined) this.#running.fail(status.code, status.message);
    else this.#fail(status);
  }

  #tooLarge(size: number): Status {
    const message = `grpc: received message larger than max (${size} vs. ${this.#messageBytesMax})`;
    return { code: Code.ResourceExhausted, message };
  }

  // ---- To the client ---------------------------------------------------------------------------------------------

  #streamCall(context: LocalCallContext): LocalStreamCall {
    const output = this.#output;
    const call = new LocalStreamCall(context, {
      message: (message) => {
        this.#open();
        return output.write(`{"result":${this.#textOf(message)}}\n`);
      },
      ended: (status) => this.#streamEnded(status),
      get bufferedBytes() {
        return output.bufferedBytes;
      },
    });
    this.#running = call;
    return call;
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#output.open(200, successHeaders);
  }

  #streamEnded(status: Status): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#splitter.stop();
    if (status.code === Code.OK) {
      // Without a message there was nobody to set the headers, in Go.
      if (!this.#isOpen) this.#output.open(200, {});
    } else {
      if (!this.#isOpen) this.#output.open(httpStatus(status.code), { "Content-Type": "application/json" });
      this.#output.write(`{"error":${statusText(status)}}\n`);
    }
    this.#output.close();
  }

  #answer(message: Uint8Array): void {
    if (this.#isDone) return;
    this.#isDone = true;
    assert(this.#responseType !== undefined, "an answer has a type");
    const pieces = messageToJson(this.#responseType, message);
    const start = pieces.next();
    const second = pieces.next();
    if (second.done === true) {
      this.#output.whole(200, successHeaders, start.value ?? "");
      return;
    }
    this.#output.open(200, successHeaders);
    this.#output.write((start.value ?? "") + second.value);
    this.#pieces = pieces;
    this.#output.holds?.(message.length);
    this.#writePieces();
  }

  /** Writes as much of a large answer as the client takes; the rest follows in `drained`. */
  #writePieces(): void {
    while (this.#pieces !== undefined) {
      const { done, value } = this.#pieces.next();
      if (done === true) {
        this.#pieces = undefined;
        this.#output.holds?.(0);
        this.#output.close();
      } else if (!this.#output.write(value)) {
        return;
      }
    }
  }

  #fail(status: Status): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#splitter.stop();
    this.#output.whole(httpStatus(status.code), errorHeaders(status), statusText(status));
  }

  #textOf(message: Uint8Array): string {
    assert(this.#responseType !== undefined, "an answer has a type");
    return messageToJsonText(this.#responseType, message);
  }
}

function first(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === "string" || value === undefined ? value : value[0];
}

/**
 * Calls of gRPC handlers from within the process: what a handler sees of a call that came as HTTP. Settles exactly once,
 * like a call that came over a connection, and counts in the same counters.
 */
import { assert } from "../../base/assert.ts";
import { copyBytes } from "../../base/bytes.ts";
import type { HandledCall, MethodStats, StreamCall, UnaryCall } from "../../grpc/calls.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import type { SharedMessage } from "../../grpc/shared-message.ts";
import type { Clock, Timer } from "../../platform/clock.ts";
import type { Address } from "../../platform/network.ts";
import { Code } from "../../wire/errors.ts";
import type { Metadata } from "./metadata.ts";
import type { Status } from "./status.ts";

/** Largest answer that is collected before it becomes JSON, bytes. Over gRPC such an answer is streamed; here it is held. */
const answerBytesMax = 1024 * 1024 * 1024;
/** Size of the pieces asked of a chunked answer. */
const pieceBytes = 256 * 1024;

export interface LocalCallContext {
  readonly server: GrpcServer;
  readonly clock: Clock;
  readonly stats: MethodStats;
  readonly metadata: Metadata;
  readonly remote: Address;
  /** Milliseconds the call may take; 0 = any time. */
  readonly timeoutMs: number;
}

abstract class LocalCall implements HandledCall {
  readonly path: string;
  readonly remote: Address;
  readonly tls = undefined;
  readonly deadline: number | undefined;
  readonly method: MethodStats;
  requestBytes = 0;
  responseBytes = 0;
  request: unknown = undefined;
  response: unknown = undefined;
  cancelled = false;
  protected readonly context: LocalCallContext;
  /** Answered, failed or cancelled. */
  protected isOver = false;
  readonly #startedMs: number;
  #timer: Timer | undefined;

  constructor(context: LocalCallContext) {
    const { clock, timeoutMs, stats } = context;
    this.context = context;
    this.method = stats;
    this.path = stats.path;
    this.remote = context.remote;
    this.#startedMs = clock.monotonic();
    this.deadline = timeoutMs === 0 ? undefined : this.#startedMs + timeoutMs;
    if (timeoutMs > 0) this.#timer = clock.setTimer(() => this.#expire(), timeoutMs);
    stats.started++;
  }

  metadata(name: string): string | undefined {
    return this.context.metadata.get(name);
  }

  metadataBytes(name: string): Uint8Array | undefined {
    const text = this.metadata(name);
    return text === undefined ? undefined : copyBytes(Buffer.from(text, "base64"));
  }

  fail(code: number, message: string): void {
    this.settle({ code, message });
  }

  /** The client went away. */
  cancel(): void {
    if (this.isOver) return;
    this.cancelled = true;
    this.settle({ code: Code.Canceled, message: "context canceled" });
  }

  protected settle(status: Status): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#timer?.cancel();
    const { handled, handlingSeconds } = this.method;
    handled[status.code] = (handled[status.code] ?? 0) + 1;
    const tookMs = this.context.clock.monotonic() - this.#startedMs;
    handlingSeconds?.observe(tookMs / 1000);
    this.context.server.onHandled?.(this, status.code, tookMs);
    this.settled(status);
  }

  protected countReceived(size: number): void {
    this.method.messagesReceived++;
    this.requestBytes = size;
    this.context.server.countLocal(size, 0);
  }

  protected countSent(size: number): void {
    this.method.messagesSent++;
    this.responseBytes = size;
    this.context.server.countLocal(0, size);
  }

  /** After the first end of the call; the answer of a unary call was handed over before. */
  protected abstract settled(status: Status): void;

  #expire(): void {
    if (this.isOver) return;
    this.cancelled = true;
    this.settle({ code: Code.DeadlineExceeded, message: "context deadline exceeded" });
  }
}

/** What becomes of a unary call: one of the two, once. */
export interface UnaryOutcome {
  /** @param message - owned by the receiver. */
  answered(message: Uint8Array): void;
  /** Also after cancellation and at the deadline. */
  failed(status: Status): void;
}

export class LocalUnaryCall extends LocalCall implements UnaryCall {
  readonly #outcome: UnaryOutcome;
  readonly #onCancel: (() => void)[] = [];

  constructor(context: LocalCallContext, outcome: UnaryOutcome) {
    super(context);
    this.#outcome = outcome;
  }

  /** @param request - borrowed by the handler until it returns. */
  start(handler: (call: UnaryCall, request: Uint8Array) => void, request: Uint8Array): void {
    this.countReceived(request.length);
    handler(this, request);
  }

  onCancel(callback: () => void): void {
    if (this.cancelled) callback();
    else this.#onCancel.push(callback);
  }

  respond(message: Uint8Array): void {
    if (this.isOver) return;
    this.countSent(message.length);
    this.settle({ code: Code.OK, message: "" });
    this.#outcome.answered(message);
  }

  respondWith(size: number, write: (target: Uint8Array, offset: number) => number): void {
    if (this.isOver) return;
    const message = new Uint8Array(size);
    assert(write(message, 0) === size, "an answer is as long as it says");
    this.respond(message);
  }

  respondChunked(size: number, next: (maxBytes: number) => Uint8Array | undefined, done: () => void): void {
    if (!this.isOver && size > answerBytesMax) {
      this.fail(Code.ResourceExhausted, `grpc: received message larger than max (${size} vs. ${answerBytesMax})`);
    }
    if (this.isOver) return done();
    const message = Buffer.allocUnsafe(size); // every byte is written before anybody reads one
    let position = 0;
    const pull = (): void => {
      if (this.isOver) return done();
      const piece = next(Math.min(pieceBytes, size - position));
      assert(piece !== undefined, "an answer is as long as it says");
      message.set(piece, position);
      position += piece.length;
      if (position < size) return this.context.clock.nextTurn(pull);
      done();
      this.respond(message);
    };
    pull();
  }

  protected settled(status: Status): void {
    if (this.cancelled) for (const callback of this.#onCancel.splice(0)) callback();
    if (status.code !== Code.OK) this.#outcome.failed(status);
  }
}

/** Where the messages of a streaming call go. */
export interface StreamOutput {
  /** @param message - to be used before this returns. @returns false when the client should get no more for now. */
  message(message: Uint8Array): boolean;
  /** After the last message; also after cancellation and at the deadline. */
  ended(status: Status): void;
  /** Bytes that wait for the client. */
  readonly bufferedBytes: number;
}

export class LocalStreamCall extends LocalCall implements StreamCall {
  readonly #output: StreamOutput;
  #onMessage: ((message: Uint8Array) => void) | undefined;
  #onHalfClose: (() => void) | undefined;
  readonly #onClose: (() => void)[] = [];
  #onDrain: (() => void) | undefined;
  #isHalfClosed = false;

  constructor(context: LocalCallContext, output: StreamOutput) {
    super(context);
    this.#output = output;
  }

  // ---- From the client -------------------------------------------------------------------------------------------

  /** A message of the client. */
  receive(message: Uint8Array): void {
    if (this.isOver) return;
    this.countReceived(message.length);
    this.#onMessage?.(message);
  }

  /** The client will send no more. */
  halfClose(): void {
    if (this.isOver || this.#isHalfClosed) return;
    this.#isHalfClosed = true;
    this.#onHalfClose?.();
  }

  /** The client takes more, after `message` said no. */
  drained(): void {
    if (!this.isOver) this.#onDrain?.();
  }

  // ---- What the handler sees -------------------------------------------------------------------------------------

  /** Its client's connection carries nothing else. */
  readonly isCrowded = false;

  get bufferedBytes(): number {
    return this.#output.bufferedBytes;
  }

  onMessage(callback: (message: Uint8Array) => void): void {
    this.#onMessage = callback;
  }

  onHalfClose(callback: () => void): void {
    this.#onHalfClose = callback;
    if (this.#isHalfClosed) callback();
  }

  onClose(callback: () => void): void {
    if (this.isOver) callback();
    else this.#onClose.push(callback);
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback;
  }

  send(message: Uint8Array): boolean {
    if (this.isOver) return true;
    this.countSent(message.length);
    return this.#output.message(message);
  }

  sendParts(parts: readonly Uint8Array[], size: number): boolean {
    return this.send(Buffer.concat(parts, size));
  }

  sendShared(message: SharedMessage): boolean {
    return this.send(message.message);
  }

  end(): void {
    this.settle({ code: Code.OK, message: "" });
  }

  protected settled(status: Status): void {
    this.#output.ended(status);
    for (const callback of this.#onClose.splice(0)) callback();
  }
}

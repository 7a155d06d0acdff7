/** A server-streaming or bidirectional call. */
import { copyBytes } from "../base/bytes.ts";
import { frameHeaderSize } from "../http2/frame.ts";
import { Code } from "../wire/errors.ts";
import type { BidiHandler, ServerStreamHandler, StreamCall } from "./calls.ts";
import { type CallStart, ServerCall } from "./server-call.ts";
import type { SharedMessage } from "./shared-message.ts";

/** `send` says stop when more than this waits in the stream. */
export const sendHighWaterBytes = 64 * 1024;

abstract class StreamingCall extends ServerCall implements StreamCall {
  #messageCallback: ((message: Uint8Array) => void) | undefined = undefined;
  #halfCloseCallback: (() => void) | undefined = undefined;
  #closeCallback: (() => void) | undefined = undefined;
  #drainCallback: (() => void) | undefined = undefined;
  #needsDrain = false;
  #halfClosed = false;
  #ended = false;

  constructor(start: CallStart) {
    super(start);
    start.method.started++;
  }

  get bufferedBytes(): number {
    return this.queuedBytes;
  }

  get isCrowded(): boolean {
    return this.session.isCrowded;
  }

  onMessage(callback: (message: Uint8Array) => void): void {
    this.#messageCallback = callback;
  }

  onHalfClose(callback: () => void): void {
    this.#halfCloseCallback = callback;
    if (this.#halfClosed) callback();
  }

  onClose(callback: () => void): void {
    const earlier = this.#closeCallback;
    this.#closeCallback =
      earlier === undefined
        ? callback
        : () => {
            earlier();
            callback();
          };
    if (this.#ended) this.#callClose();
  }

  onDrain(callback: () => void): void {
    this.#drainCallback = callback;
  }

  send(message: Uint8Array): boolean {
    if (this.over || this.refuseTooLarge(message.length)) return true;
    this.countSent(message.length);
    if (this.beginMessage(message.length)) {
      const { output } = this.session;
      output.bytes.set(message, output.position);
      output.position += message.length;
      return true;
    }
    this.queuePrefix(message.length);
    this.session.enqueue(this, message);
    return this.#queued();
  }

  sendParts(parts: readonly Uint8Array[], size: number): boolean {
    if (this.over || this.refuseTooLarge(size)) return true;
    this.countSent(size);
    if (this.beginMessage(size)) {
      const { output } = this.session;
      for (const part of parts) {
        output.bytes.set(part, output.position);
        output.position += part.length;
      }
      return true;
    }
    this.queuePrefix(size);
    for (const part of parts) this.session.enqueue(this, part);
    return this.#queued();
  }

  sendShared(message: SharedMessage): boolean {
    const { frame, size } = message;
    if (this.over || this.refuseTooLarge(size)) return true;
    this.countSent(size);
    const { session } = this;
    this.openResponse();
    if (session.canSendNow(this, frame.length - frameHeaderSize)) {
      session.sendFrame(this, frame);
      return true;
    }
    session.enqueue(this, message.payload);
    return this.#queued();
  }

  #queued(): boolean {
    this.session.pumpStream(this);
    this.#needsDrain = this.queuedBytes > sendHighWaterBytes || (this.#needsDrain && this.queuedBytes > 0);
    return !this.#needsDrain;
  }

  end(): void {
    if (!this.over) this.settleOk();
  }

  onQueueEmpty(): void {
    if (this.finishPending() || !this.#needsDrain) return;
    this.#needsDrain = false;
    this.#drainCallback?.();
  }

  protected deliver(message: Uint8Array): void {
    this.#messageCallback?.(message);
  }

  protected endedByClient(): void {
    this.#halfClosed = true;
    this.#halfCloseCallback?.();
  }

  protected endedInsideMessage(): void {
    this.fail(Code.Internal, "unexpected EOF");
  }

  protected cutOff(): void {
    // `onClose` is the one callback for every end.
  }

  protected ended(): void {
    this.#ended = true;
    this.#callClose();
  }

  #callClose(): void {
    const callback = this.#closeCallback;
    this.#closeCallback = undefined;
    callback?.();
  }
}

export class BidiServerCall extends StreamingCall {
  readonly #handler: BidiHandler;

  constructor(start: CallStart, handler: BidiHandler) {
    super(start);
    this.#handler = handler;
  }

  /** Runs the handler; the call is registered by now. */
  open(): void {
    this.#handler(this);
  }

  protected takeMessage(message: Uint8Array): void {
    this.method.messagesReceived++;
    this.deliver(message);
  }
}

export class ServerStreamServerCall extends StreamingCall {
  readonly #handler: ServerStreamHandler;
  /** The one request, kept until the client has finished: only then is it certain that there is no second. */
  #request: Uint8Array | undefined = undefined;

  constructor(start: CallStart, handler: ServerStreamHandler) {
    super(start);
    this.#handler = handler;
  }

  protected takeMessage(message: Uint8Array): void {
    if (this.#request !== undefined) {
      this.fail(
        Code.Internal,
        "cardinality violation: received multiple request messages for non-client-streaming RPC",
      );
      return;
    }
    this.method.messagesReceived++;
    this.#request = copyBytes(message);
  }

  protected override endedByClient(): void {
    if (this.#request === undefined) {
      this.fail(Code.Internal, "cardinality violation: received no request message from non-client-streaming RPC");
      return;
    }
    super.endedByClient();
    this.#handler(this, this.#request);
  }
}

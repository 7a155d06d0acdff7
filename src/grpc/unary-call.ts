/** A call with one request and one response. */
import { assert } from "../base/assert.ts";
import { Code } from "../wire/errors.ts";
import { ErrorCode } from "../http2/error-code.ts";
import type { UnaryCall, UnaryHandler } from "./calls.ts";
import { prefixSize, writePrefix } from "./message-reader.ts";
import { type CallStart, ServerCall } from "./server-call.ts";

/** Size of the pieces asked of a chunked answer: one turn's share of a stream. */
const pieceBytes = 64 * 1024;

/** An answer that is produced piece by piece. */
interface Source {
  readonly next: (maxBytes: number) => Uint8Array | undefined;
  readonly done: () => void;
  left: number;
}

export class UnaryServerCall extends ServerCall implements UnaryCall {
  readonly #handler: UnaryHandler;
  #requested = false;
  #cancelCallback: (() => void) | undefined = undefined;
  #source: Source | undefined = undefined;

  constructor(start: CallStart, handler: UnaryHandler) {
    super(start);
    this.#handler = handler;
  }

  onCancel(callback: () => void): void {
    if (this.cancelled) {
      callback();
      return;
    }
    const earlier = this.#cancelCallback;
    if (earlier === undefined) {
      this.#cancelCallback = callback;
    } else {
      this.#cancelCallback = () => {
        earlier();
        callback();
      };
    }
  }

  respond(message: Uint8Array): void {
    if (this.over || this.refuseTooLarge(message.length)) return;
    if (this.beginMessage(message.length)) {
      const { output } = this.session;
      output.bytes.set(message, output.position);
      output.position += message.length;
    } else {
      this.queuePrefix(message.length);
      this.session.enqueue(this, message);
    }
    this.#answered(message.length);
  }

  respondWith(size: number, write: (target: Uint8Array, offset: number) => number): void {
    if (this.over || this.refuseTooLarge(size)) return;
    if (this.beginMessage(size)) {
      const { output } = this.session;
      output.position = write(output.bytes, output.position);
    } else {
      // Not cleared first, as every byte is written: the assertion keeps other memory from leaking out.
      const message = Buffer.allocUnsafeSlow(prefixSize + size);
      writePrefix(message, 0, size);
      const end = write(message, prefixSize);
      assert(end === message.length, "a response is not as long as was said");
      this.openResponse();
      this.session.enqueue(this, message);
    }
    this.#answered(size);
  }

  respondChunked(size: number, next: (maxBytes: number) => Uint8Array | undefined, done: () => void): void {
    if (this.over || this.refuseTooLarge(size)) {
      done();
      return;
    }
    this.queuePrefix(size);
    this.#source = { next, done, left: size };
    if (this.#pull()) this.#answered(size);
  }

  #answered(size: number): void {
    this.countSent(size);
    this.settleOk();
    if (this.queuedBytes > 0) this.session.pumpStream(this);
  }

  /** Queues the next piece of a chunked answer; false when the producer broke its promise and the stream is reset. */
  #pull(): boolean {
    const source = this.#source;
    if (source === undefined || source.left === 0) return true;
    const piece = source.next(Math.min(pieceBytes, source.left));
    if (piece === undefined || piece.length === 0 || piece.length > source.left) {
      // The size is already out, so the client must not take what it has for an answer.
      this.session.resetStream(this, ErrorCode.internalError);
      this.onAborted("aborted", ErrorCode.internalError);
      return false;
    }
    source.left -= piece.length;
    this.session.enqueue(this, piece);
    return true;
  }

  onQueueEmpty(): void {
    if (this.#source !== undefined && this.#source.left > 0) this.#pull();
    else this.finishPending();
  }

  protected takeMessage(message: Uint8Array): void {
    if (this.#requested) return; // like grpc-go, a second request is not looked at
    this.#requested = true;
    this.method.started++;
    this.method.messagesReceived++;
    this.#handler(this, message);
    if (this.deadlineMs !== 0 && !this.closed && this.deadlineSlot < 0) this.connection.watchDeadline(this);
  }

  protected endedByClient(): void {
    if (!this.#requested) this.fail(Code.Unknown, "EOF");
  }

  protected endedInsideMessage(): void {
    if (!this.#requested) this.fail(Code.Unknown, "unexpected EOF");
  }

  protected cutOff(): void {
    const callback = this.#cancelCallback;
    this.#cancelCallback = undefined;
    callback?.();
  }

  protected ended(): void {
    const source = this.#source;
    this.#source = undefined;
    source?.done();
  }
}

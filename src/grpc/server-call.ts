/**
 * One call on the server: HTTP/2 stream, gRPC state and the handler's view of it in a single object, so that a request
 * costs one allocation. What unary and streaming calls share is here; the two kinds differ in what a message means.
 */
import { ErrorCode } from "../http2/error-code.ts";
import type { HeaderField } from "../http2/header-field.ts";
import { frameHeaderSize } from "../http2/frame.ts";
import { Http2Stream, type StreamEnd } from "../http2/stream.ts";
import type { Address, TlsIdentity } from "../platform/network.ts";
import { Code } from "../wire/errors.ts";
import type { HandledCall, MethodStats } from "./calls.ts";
import type { Deadline } from "./deadline-queue.ts";
import { MessageReader, type MessageSink, prefixSize, writePrefix } from "./message-reader.ts";
import type { ServerConnection } from "./server-connection.ts";
import { encodeMessage } from "./status.ts";

/** Room for the header frames of an answer beside its message, so that one check covers all of it. */
const headerRoom = 256;

/** What the connection read of the request's header block. */
export interface CallStart {
  readonly connection: ServerConnection;
  readonly id: number;
  readonly receivedEnd: boolean;
  readonly method: MethodStats;
  readonly metadata: readonly HeaderField[];
  readonly subtype: string;
  /** Monotonic milliseconds; 0 = none. */
  readonly deadlineMs: number;
}

export abstract class ServerCall extends Http2Stream implements Deadline, MessageSink, HandledCall {
  readonly connection: ServerConnection;
  readonly method: MethodStats;
  requestBytes = 0;
  responseBytes = 0;
  request: unknown = undefined;
  response: unknown = undefined;
  /** When its header was read, on the monotonic clock. */
  readonly #startedMs: number;
  readonly #metadata: readonly HeaderField[];
  readonly #subtype: string;
  /** The reader of messages that do not lie whole in one frame; made when the first such comes. */
  #reader: MessageReader | undefined = undefined;
  #heldBytes = 0;
  #headersSent = false;
  /** Settled: answered, failed or cancelled. */
  protected over = false;
  #left = false;
  cancelled = false;
  /** The status to send once the queue is empty; -1 = none. */
  #pendingCode = -1;
  #pendingMessage = "";

  readonly deadlineMs: number;
  deadlineNext: Deadline | undefined = undefined;
  deadlinePrevious: Deadline | undefined = undefined;
  deadlineSlot = -1;

  constructor(start: CallStart) {
    super(start.connection.session, start.id, start.receivedEnd);
    this.connection = start.connection;
    this.method = start.method;
    this.#startedMs = start.connection.session.now;
    this.#metadata = start.metadata;
    this.#subtype = start.subtype;
    this.deadlineMs = start.deadlineMs;
  }

  // ---- What the handler sees -------------------------------------------------------------------------------------

  get path(): string {
    return this.method.path;
  }

  get remote(): Address {
    return this.session.connection.remote;
  }

  get tls(): TlsIdentity | undefined {
    return this.session.connection.tls;
  }

  get deadline(): number | undefined {
    return this.deadlineMs === 0 ? undefined : this.deadlineMs;
  }

  metadata(name: string): string | undefined {
    for (const field of this.#metadata) if (field.name === name) return field.value;
    return undefined;
  }

  metadataBytes(name: string): Uint8Array | undefined {
    const text = this.metadata(name);
    return text === undefined ? undefined : new Uint8Array(Buffer.from(text, "base64"));
  }

  fail(code: number, message: string): void {
    if (this.over) return;
    this.#becomeOver(code);
    this.#settle(code, message);
  }

  // ---- Receiving -------------------------------------------------------------------------------------------------

  onData(bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.session.consumed(this, end - start);
    if (!this.over) {
      const length = end - start - prefixSize;
      // Nearly always: one plain message, whole, in one frame.
      if (this.#reader === undefined && length >= 0 && isWholeMessage(bytes, start, length)) {
        if (length > this.connection.maxReceiveBytes) this.messageTooLarge(length);
        else this.receiveMessage(new Uint8Array(bytes.buffer, bytes.byteOffset + start + prefixSize, length), 0);
      } else if (end > start) {
        this.#collect(bytes, start, end);
      }
    }
    if (endStream && !this.over) this.#halfClosed();
  }

  #collect(bytes: Uint8Array, start: number, end: number): void {
    this.#reader ??= new MessageReader(this.connection.maxReceiveBytes);
    const reader = this.#reader;
    reader.push(bytes, start, end, this);
    this.#hold(this.over ? 0 : reader.heldBytes);
    // A request that does not arrive in time is over too, not only one that is not answered.
    if (!this.over && this.deadlineMs !== 0 && this.deadlineSlot < 0) this.connection.watchDeadline(this);
  }

  /** Accounts for the memory of an incomplete message. */
  #hold(size: number): void {
    const change = size - this.#heldBytes;
    this.#heldBytes = size;
    if (change !== 0) this.connection.partialBytesChanged(change);
  }

  onHeaders(): void {
    // Trailers of the client: nothing in them means anything to gRPC.
    if (!this.over) this.#halfClosed();
  }

  #halfClosed(): void {
    if (this.#reader?.partial === true) this.endedInsideMessage();
    else this.endedByClient();
  }

  receiveMessage(message: Uint8Array, flag: number): boolean {
    if (this.over) return false;
    if (flag !== 0) {
      const text =
        flag === 1
          ? "grpc: compressed flag set with identity or empty encoding"
          : `grpc: received unexpected payload format ${flag}`;
      this.fail(Code.Internal, text);
      return false;
    }
    this.requestBytes = message.length;
    this.connection.countReceived(message.length);
    this.takeMessage(message);
    return !this.over;
  }

  messageTooLarge(length: number): void {
    const limit = this.connection.maxReceiveBytes;
    this.fail(Code.ResourceExhausted, `grpc: received message larger than max (${length} vs. ${limit})`);
  }

  protected abstract takeMessage(message: Uint8Array): void;
  /** The client finished with all messages whole. */
  protected abstract endedByClient(): void;
  /** The client finished in the middle of a message. */
  protected abstract endedInsideMessage(): void;
  /** The call was cut off: `cancelled` is set, nothing can be sent any more. */
  protected abstract cutOff(): void;
  /** Any end, after everything else. */
  protected abstract ended(): void;

  // ---- Sending ---------------------------------------------------------------------------------------------------

  /** Sends the headers unless they are sent. */
  protected openResponse(): void {
    if (this.#headersSent) return;
    this.#headersSent = true;
    const { blocks } = this.connection;
    const block = this.#subtype === "" ? blocks.headers() : blocks.headersWithSubtype(this.#subtype);
    this.session.sendHeaders(this.id, block, 0, block.length, false);
  }

  /** Begins a message that goes out at once; the caller writes its `size` bytes to the output. False: it must be queued. */
  protected beginMessage(size: number): boolean {
    const { session } = this;
    const whole = prefixSize + size;
    if (!session.canSendNow(this, whole)) return false;
    const { output } = session;
    output.reserve(frameHeaderSize + whole + headerRoom);
    this.openResponse();
    session.beginData(this, whole, false);
    output.position = writePrefix(output.bytes, output.position, size);
    return true;
  }

  /** Queues the prefix of a message of `size` bytes; the message follows by `session.enqueue`. */
  protected queuePrefix(size: number): void {
    this.openResponse();
    const prefix = new Uint8Array(prefixSize);
    writePrefix(prefix, 0, size);
    this.session.enqueue(this, prefix);
  }

  protected countSent(size: number): void {
    this.responseBytes = size;
    this.method.messagesSent++;
    this.connection.countSent(size);
  }

  /** True, and the call has failed, when the message is above the limit. */
  protected refuseTooLarge(size: number): boolean {
    const limit = this.connection.maxSendBytes;
    if (size <= limit) return false;
    this.fail(Code.ResourceExhausted, `grpc: trying to send message larger than max (${size} vs. ${limit})`);
    return true;
  }

  /** Ends with status OK: at once, or when the queue is empty. */
  protected settleOk(): void {
    this.#becomeOver(Code.OK);
    this.#settle(Code.OK, "");
  }

  #becomeOver(code: number): void {
    this.over = true;
    const { onHandled, clock } = this.connection;
    const { handlingSeconds } = this.method;
    if (onHandled === undefined && handlingSeconds === undefined) return;
    const tookMs = clock.monotonic() - this.#startedMs;
    handlingSeconds?.observe(tookMs / 1000);
    onHandled?.(this, code, tookMs);
  }

  #settle(code: number, message: string): void {
    if (this.queuedBytes > 0) {
      this.#pendingCode = code;
      this.#pendingMessage = message;
    } else {
      this.#finish(code, message);
    }
  }

  /** Sends the status that waited for the queue; false when there is none. */
  protected finishPending(): boolean {
    if (this.#pendingCode < 0) return false;
    const code = this.#pendingCode;
    this.#pendingCode = -1;
    this.#finish(code, this.#pendingMessage);
    return true;
  }

  #finish(code: number, message: string, cut = false): void {
    const { blocks } = this.connection;
    let block: Uint8Array;
    if (code === Code.OK && this.#headersSent) {
      block = blocks.okTrailers();
    } else if (this.#headersSent) {
      block = blocks.errorTrailers(code, encodeMessage(message));
    } else {
      block = blocks.trailersOnly(200, this.#subtype, code, encodeMessage(message));
    }
    this.session.sendHeaders(this.id, block, 0, block.length, true);
    this.#leave(code, cut);
    this.session.finished(this);
  }

  // ---- The end ---------------------------------------------------------------------------------------------------

  /** The deadline passed. */
  expire(): void {
    const cut = !this.over;
    this.cancelled = true;
    if (cut) this.#becomeOver(Code.DeadlineExceeded);
    if (this.queuedBytes > 0) {
      // Half of a message is out: no status can follow it.
      this.session.resetStream(this, ErrorCode.cancel);
      this.#leave(Code.DeadlineExceeded, cut);
    } else {
      this.#finish(Code.DeadlineExceeded, "context deadline exceeded", cut);
    }
  }

  onAborted(_end: StreamEnd, _code: ErrorCode): void {
    const cut = !this.over;
    this.cancelled = true;
    if (cut) this.#becomeOver(Code.Canceled);
    this.#leave(Code.Canceled, cut);
  }

  /** Leaves every list, once: writing the last frame may itself find the connection broken. */
  #leave(code: number, cut: boolean): void {
    if (this.#left) return;
    this.#left = true;
    this.connection.deadlines.remove(this);
    this.#reader = undefined;
    this.#hold(0);
    this.method.handled[code] = (this.method.handled[code] ?? 0) + 1;
    if (cut) this.cutOff();
    this.ended();
  }
}

function isWholeMessage(bytes: Uint8Array, start: number, length: number): boolean {
  return (
    bytes[start] === 0 &&
    ((bytes[start + 1] << 24) | (bytes[start + 2] << 16) | (bytes[start + 3] << 8) | bytes[start + 4]) === length
  );
}

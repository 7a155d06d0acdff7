/** One call of the gRPC client: what the server answers, turned into messages and one status. */
import { ErrorCode } from "../http2/error-code.ts";
import { FieldKind } from "../http2/header-field.ts";
import type { HeaderList } from "../http2/hpack-decoder.ts";
import type { Http2Session } from "../http2/session.ts";
import { Http2Stream, type StreamEnd } from "../http2/stream.ts";
import { copyBytes } from "../base/bytes.ts";
import { Code } from "../wire/errors.ts";
import { MessageReader, type MessageSink, prefixSize, writePrefix } from "./message-reader.ts";
import { GrpcError, codeOfHttpStatus, decodeMessage } from "./status.ts";

/** Names as Go prints them. */
const http2ErrorNames: Readonly<Record<number, string>> = {
  0: "NO_ERROR",
  1: "PROTOCOL_ERROR",
  2: "INTERNAL_ERROR",
  3: "FLOW_CONTROL_ERROR",
  4: "SETTINGS_TIMEOUT",
  5: "STREAM_CLOSED",
  6: "FRAME_SIZE_ERROR",
  7: "REFUSED_STREAM",
  8: "CANCEL",
  9: "COMPRESSION_ERROR",
  10: "CONNECT_ERROR",
  11: "ENHANCE_YOUR_CALM",
  12: "INADEQUATE_SECURITY",
  13: "HTTP_1_1_REQUIRED",
};

export interface ClientCallEvents {
  /** One message, owned. */
  message(message: Uint8Array): void;
  /** Exactly once, last. Undefined: status OK. */
  ended(error: GrpcError | undefined): void;
  /** All that was sent so far has left the queue. */
  drained(): void;
}

export class ClientCall extends Http2Stream implements MessageSink {
  readonly #events: ClientCallEvents;
  readonly #reader: MessageReader;
  readonly #maxReceiveBytes: number;
  #headersSeen = false;
  #httpError: GrpcError | undefined = undefined;
  #over = false;
  #halfClosing = false;
  /** Messages are given back to the peer's window by the consumer ({@link release}) instead of on arrival. */
  readonly #holdWindow: boolean;
  /** The consumer waits for a message. */
  #isWanted = false;
  /** Bytes that were given back before their message was taken: of the message in progress, and of the first that waits. */
  #returnedBytes = 0;
  #firstReturnedBytes = 0;

  constructor(
    session: Http2Session,
    options: { maxReceiveBytes: number; holdWindow: boolean; events: ClientCallEvents },
  ) {
    super(session, session.nextStreamId(), false);
    this.#events = options.events;
    this.#maxReceiveBytes = options.maxReceiveBytes;
    this.#holdWindow = options.holdWindow;
    this.#reader = new MessageReader(options.maxReceiveBytes);
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sends one message, whose bytes belong to the call until sent; `last` ends our side with it. */
  send(message: Uint8Array, last: boolean): void {
    if (this.#over || this.closed) return;
    const { session } = this;
    const whole = prefixSize + message.length;
    if (session.canSendNow(this, whole)) {
      session.beginData(this, whole, last);
      const { output } = session;
      const offset = writePrefix(output.bytes, output.position, message.length);
      output.bytes.set(message, offset);
      output.position = offset + message.length;
      return;
    }
    const prefix = new Uint8Array(prefixSize);
    writePrefix(prefix, 0, message.length);
    session.enqueue(this, prefix);
    session.enqueue(this, message);
    this.#halfClosing = this.#halfClosing || last;
    session.pumpStream(this);
  }

  /** Ends our side after all that was sent. */
  halfClose(): void {
    if (this.queuedBytes > 0) this.#halfClosing = true;
    else this.session.endStream(this);
  }

  /** Ends the call from our side: the server is told, the caller gets `error`. */
  abort(error: GrpcError): void {
    if (this.#over) return;
    this.session.resetStream(this, ErrorCode.cancel);
    this.#end(error);
  }

  /** A message was taken by the consumer. */
  release(size: number): void {
    this.session.consumed(this, prefixSize + size - this.#firstReturnedBytes);
    this.#firstReturnedBytes = 0;
  }

  /** The consumer has taken all messages and waits for the next. */
  want(): void {
    this.#isWanted = true;
    this.#returnPartial();
  }

  /** What comes of a message that is waited for is given back at once: it may be larger than the window. */
  #returnPartial(): void {
    if (!this.#isWanted) return;
    const { partialBytes } = this.#reader;
    this.session.consumed(this, partialBytes - this.#returnedBytes);
    this.#returnedBytes = partialBytes;
  }

  onQueueEmpty(): void {
    if (this.#halfClosing) {
      this.#halfClosing = false;
      this.session.endStream(this);
    }
    this.#events.drained();
  }

  onHeaders(list: HeaderList, end: boolean): void {
    if (!this.#headersSeen) {
      this.#headersSeen = true;
      if (informational(list) && !end) {
        this.#headersSeen = false;
        return;
      }
      this.#httpError = httpError(list);
      if (this.#httpError !== undefined && !end && grpcStatus(list) === undefined) {
        this.abort(this.#httpError);
        return;
      }
    }
    if (!end) return;
    const status = grpcStatus(list);
    if (status === undefined) {
      this.#finish(
        this.#httpError ?? new GrpcError(Code.Internal, "server closed the stream without sending trailers"),
      );
    } else {
      this.#finish(status.code === Code.OK ? undefined : new GrpcError(status.code, status.message));
    }
  }

  onData(bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (!this.#holdWindow) this.session.consumed(this, end - start);
    this.#reader.push(bytes, start, end, this);
    this.#returnPartial();
    if (endStream) {
      this.#finish(new GrpcError(Code.Internal, "server closed the stream without sending trailers"));
    }
  }

  receiveMessage(message: Uint8Array, flag: number): boolean {
    if (flag !== 0) {
      this.abort(new GrpcError(Code.Internal, "grpc: compressed flag set with identity or empty encoding"));
      return false;
    }
    this.#isWanted = false;
    // Something was returned only while this message was waited for: it is the first to be taken.
    this.#firstReturnedBytes = Math.max(this.#firstReturnedBytes, this.#returnedBytes);
    this.#returnedBytes = 0;
    this.#events.message(copyBytes(message));
    return !this.#over;
  }

  messageTooLarge(length: number): void {
    this.abort(
      new GrpcError(
        Code.ResourceExhausted,
        `grpc: received message larger than max (${length} vs. ${this.#maxReceiveBytes})`,
      ),
    );
  }

  onAborted(end: StreamEnd, code: ErrorCode): void {
    this.#end(abortError(end, code));
  }

  /** The server is done; if we are not, nobody would read the rest. */
  #finish(error: GrpcError | undefined): void {
    if (!this.sentEnd) this.session.resetStream(this, ErrorCode.noError);
    this.#end(error);
  }

  #end(error: GrpcError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.ended(error);
  }
}

function informational(list: HeaderList): boolean {
  for (let index = 0; index < list.count; index++) {
    const field = list.fields[index];
    if (field.kind === FieldKind.status) return field.value.startsWith("1");
  }
  return false;
}

/** What is wrong with the response as HTTP, if anything. */
function httpError(list: HeaderList): GrpcError | undefined {
  let status = "";
  let contentType = "";
  for (let index = 0; index < list.count; index++) {
    const field = list.fields[index];
    if (field.kind === FieldKind.status) status = field.value;
    else if (field.kind === FieldKind.contentType) contentType = field.value;
  }
  if (status !== "200") {
    const text = `unexpected HTTP status code received from server: ${status}`;
    return new GrpcError(codeOfHttpStatus(Number(status)), text);
  }
  if (!contentType.startsWith("application/grpc")) {
    const text = `transport: received unexpected content-type ${JSON.stringify(contentType)}`;
    return new GrpcError(Code.Unknown, text);
  }
  return undefined;
}

/** Not an error yet: most are OK, and an error takes its time to note where it was made. */
function grpcStatus(list: HeaderList): { readonly code: number; readonly message: string } | undefined {
  let code = -1;
  let message = "";
  for (let index = 0; index < list.count; index++) {
    const field = list.fields[index];
    if (field.kind === FieldKind.grpcStatus) code = /^\d{1,9}$/.test(field.value) ? Number(field.value) : Code.Unknown;
    else if (field.kind === FieldKind.grpcMessage) message = decodeMessage(field.value);
  }
  return code < 0 ? undefined : { code, message };
}

function abortError(end: StreamEnd, code: ErrorCode): GrpcError {
  if (end === "lost") return new GrpcError(Code.Unavailable, "error reading from server: EOF");
  if (end === "refused") {
    return new GrpcError(Code.Unavailable, "the connection is draining", { isUnsent: true });
  }
  const text = `stream terminated by RST_STREAM with error code: ${http2ErrorNames[code] ?? code}`;
  switch (code) {
    case ErrorCode.refusedStream:
      return new GrpcError(Code.Unavailable, text, { isUnsent: true });
    case ErrorCode.cancel:
      return new GrpcError(Code.Canceled, text);
    case ErrorCode.enhanceYourCalm:
    case ErrorCode.flowControlError:
      return new GrpcError(Code.ResourceExhausted, text);
    case ErrorCode.inadequateSecurity:
      return new GrpcError(Code.PermissionDenied, text);
    default:
      return new GrpcError(Code.Internal, text);
  }
}

/**
 * One HTTP/2 stream: the state that {@link Http2Session} keeps, and what it tells the layer above, which extends this
 * class, so that a request costs one object. The public fields belong to the session; the layer above reads them.
 */
import type { HeaderList } from "./hpack-decoder.ts";
import type { Http2Session } from "./session.ts";
import type { ErrorCode } from "./error-code.ts";

/** Why a stream ended without both sides having finished. */
export type StreamEnd =
  /** RST_STREAM from the peer. */
  | "reset"
  /** We reset it (a protocol error of the peer, or on our own account). */
  | "aborted"
  /** The connection is gone. */
  | "lost"
  /** GOAWAY said the peer never looked at it: safe to retry elsewhere. */
  | "refused";

export abstract class Http2Stream {
  readonly session: Http2Session;
  readonly id: number;
  /** What the peer lets us send; may be negative after it lowered its initial window. */
  sendWindow: number;
  /** Received and not yet given back by WINDOW_UPDATE. Invariant: at most the announced stream window. */
  receivedBytes = 0;
  /** Of those, consumed: given back when half a window is reached. */
  consumedBytes = 0;
  /** The peer finished its side (END_STREAM). */
  receivedEnd: boolean;
  /** We finished ours. */
  sentEnd = false;
  /** Not in the session any more; nothing can be sent. */
  closed = false;
  /** Pieces that wait for windows or the socket, from `queueHead` on; the first one from `queueOffset` on. */
  queue: Uint8Array[] | undefined = undefined;
  queueHead = 0;
  queueOffset = 0;
  queuedBytes = 0;
  /** In the session's list of streams to serve. */
  listed = false;

  constructor(session: Http2Session, id: number, receivedEnd: boolean) {
    this.session = session;
    this.id = id;
    this.sendWindow = session.peer.initialWindow;
    this.receivedEnd = receivedEnd;
  }

  /** A further header block: the response (client), or trailers. `list` is valid until this returns. */
  abstract onHeaders(list: HeaderList, end: boolean): void;

  /** `bytes[start, end)` of the body, borrowed. Call {@link Http2Session.consumed} when it is used up. */
  abstract onData(bytes: Uint8Array, start: number, end: number, endStream: boolean): void;

  /** The stream is over before both sides finished. Called at most once, last. */
  abstract onAborted(end: StreamEnd, code: ErrorCode): void;

  /** All that was queued has been sent: queue more, finish, or do nothing. */
  abstract onQueueEmpty(): void;
}

/** Between a session and the server or client it belongs to: what it is made of, and what it tells. */
import type { Clock } from "../platform/clock.ts";
import type { NetworkError } from "../platform/network.ts";
import type { HeaderList } from "./hpack-decoder.ts";
import type { Http2Limits } from "./limits.ts";
import type { BufferPool, FlushQueue } from "./output.ts";
import type { SharedQueue } from "./send-scheduler.ts";
import type { Http2Session } from "./session.ts";

/** What a session tells its server or client. */
export interface SessionOwner {
  /**
   * The peer opened a stream; `end` when it has no body. The owner registers a stream object ({@link Http2Session.register}),
   * refuses ({@link Http2Session.rejectStream}) or answers at once ({@link Http2Session.answeredAtOnce}).
   * `list` is valid until this returns.
   */
  accept(session: Http2Session, id: number, list: HeaderList, end: boolean): void;
  /** A PING came (the acknowledgement is already written). */
  pingReceived(session: Http2Session): void;
  /** Our PING with this first word of payload came back. */
  pongReceived(session: Http2Session, word: number): void;
  settingsReceived(session: Http2Session): void;
  goAwayReceived(session: Http2Session, lastStreamId: number, code: number, debug: string): void;
  /** The last open stream closed. */
  streamsGone(session: Http2Session): void;
  /**
   * Exactly once, last: the connection is gone and every stream has been told.
   *
   * @param error - what the connection broke with; undefined for a proper end.
   */
  sessionClosed(session: Http2Session, error: NetworkError | undefined): void;
}

export interface SessionOptions {
  readonly role: "server" | "client";
  readonly owner: SessionOwner;
  readonly clock: Clock;
  readonly limits: Http2Limits;
  readonly pool: BufferPool;
  readonly flushQueue: FlushQueue;
  readonly sharedQueue: SharedQueue;
}

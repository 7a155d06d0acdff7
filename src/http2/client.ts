/**
 * A plain HTTP/2 client over one connection: requests by streams that the caller derives from {@link Http2Stream}. The
 * gRPC client stands on it; a load generator uses it raw.
 */
import type { Clock } from "../platform/clock.ts";
import type { Connection, NetworkError } from "../platform/network.ts";
import { HpackEncoder, type HeaderPair } from "./hpack-encoder.ts";
import { type Http2Limits, defaultLimits } from "./limits.ts";
import { BufferPool, FlushQueue } from "./output.ts";
import { SharedQueue } from "./send-scheduler.ts";
import { Http2Session } from "./session.ts";
import type { SessionOwner } from "./session-owner.ts";
import type { Http2Stream } from "./stream.ts";

export interface Http2ClientOptions {
  readonly clock: Clock;
  readonly limits?: Partial<Http2Limits>;
  readonly onSettings?: () => void;
  readonly onPong?: (word: number) => void;
  readonly onClosed?: (error: NetworkError | undefined) => void;
}

/**
 * The headers of a request that is made many times. Its block is encoded again only when the dynamic table has changed.
 */
export class PreparedHeaders {
  readonly fields: readonly HeaderPair[];
  /** Encoded block, valid while the encoder's version is `version`. */
  block: Uint8Array | undefined = undefined;
  version = -1;

  constructor(fields: readonly HeaderPair[]) {
    this.fields = fields;
  }
}

export class Http2Client implements SessionOwner {
  readonly session: Http2Session;
  readonly #encoder = new HpackEncoder();
  readonly #options: Http2ClientOptions;
  #goingAway = false;
  #goAwayReason = "";

  /** Takes over `connection` and sends the preface. */
  constructor(connection: Connection, options: Http2ClientOptions) {
    this.#options = options;
    this.session = new Http2Session(connection, {
      role: "client",
      owner: this,
      clock: options.clock,
      limits: { ...defaultLimits, ...options.limits },
      pool: new BufferPool(),
      flushQueue: new FlushQueue(),
      sharedQueue: new SharedQueue(Number.MAX_SAFE_INTEGER, () => undefined),
    });
    this.session.start();
  }

  /** False once closed, told to go away, or out of stream identifiers: no request may be sent. */
  get usable(): boolean {
    return !this.#goingAway && this.session.canOpen;
  }

  /** What the server's GOAWAY said, empty when it said nothing. */
  get goAwayReason(): string {
    return this.#goAwayReason;
  }

  /** The server's limit leaves room for one more stream. */
  get hasRoom(): boolean {
    return this.session.streamCount < this.session.peer.maxConcurrentStreams;
  }

  /** Registers a stream (made with `session.nextStreamId()`) and sends its request headers. */
  sendRequest(stream: Http2Stream, headers: PreparedHeaders, endStream: boolean): void {
    const { session } = this;
    session.register(stream);
    const encoder = this.#encoder;
    let { block } = headers;
    if (block === undefined || headers.version !== encoder.version) {
      const before = encoder.version;
      const target = new Uint8Array(encoder.sizeBound(headers.fields));
      block = target.subarray(0, encoder.encode(headers.fields, target, 0));
      // A block that added entries, or announced a table size, is right only once.
      headers.block = before === encoder.version ? block : undefined;
      headers.version = encoder.version;
    }
    session.sendHeaders(stream.id, block, 0, block.length, endStream);
    if (endStream) stream.sentEnd = true;
  }

  accept(session: Http2Session): void {
    // Only a server is asked; a pushed stream ends the connection before it gets here.
    session.destroy();
  }

  pingReceived(): void {
    // Acknowledged by the session.
  }

  pongReceived(_session: Http2Session, word: number): void {
    this.#options.onPong?.(word);
  }

  settingsReceived(session: Http2Session): void {
    this.#encoder.setTableSizeLimit(session.peer.headerTableSize);
    this.#options.onSettings?.();
  }

  goAwayReceived(session: Http2Session, _lastStreamId: number, _code: number, debug: string): void {
    this.#goingAway = true;
    this.#goAwayReason = debug;
    if (session.streamCount === 0) session.finishConnection();
  }

  streamsGone(session: Http2Session): void {
    if (this.#goingAway) session.finishConnection();
  }

  sessionClosed(_session: Http2Session, error: NetworkError | undefined): void {
    this.#options.onClosed?.(error);
  }
}

/** How streams that are no gRPC calls leave the gRPC server, for whoever has pages to show on the same connection. */
import type { HeaderList } from "../http2/hpack-decoder.ts";
import type { HeaderPair } from "../http2/hpack-encoder.ts";
import type { Http2Session } from "../http2/session.ts";
import type { Clock } from "../platform/clock.ts";

export interface PageStreams {
  /** A new stream: registers one of its own in the session. */
  open(start: PageStart): void;
}

/** What the connection read of the request, and what the stream needs of the connection. */
export interface PageStart {
  readonly session: Http2Session;
  readonly id: number;
  readonly receivedEnd: boolean;
  readonly method: string;
  readonly path: string;
  /** Valid until `open` returns. */
  readonly list: HeaderList;
  readonly clock: Clock;
  /** The memory held for this stream beside its queue changed by so many bytes. */
  held(change: number): void;
  /** Sends the head of the answer. @param fields - names in lower case. */
  sendHeaders(status: number, fields: readonly HeaderPair[]): void;
}

/**
 * Which streams a connection has: those that are open, those that closed lately, and which identifiers were never used
 * (RFC 9113 section 5.1.1). Clients open odd ones, in rising order; nobody opens even ones, as nothing is pushed.
 */
import { maxStreamId } from "./frame.ts";
import { ClosedStreams } from "./closed-streams.ts";
import type { Http2Stream } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

export class SessionStreams {
  readonly open = new StreamTable();
  readonly closed = new ClosedStreams();
  /** The highest stream the peer opened. */
  lastOfPeer = 0;
  /** Streams above this were told to go elsewhere by our GOAWAY. */
  acceptUpTo = maxStreamId;
  readonly #isServer: boolean;
  #nextId = 1;

  constructor({ isServer }: { isServer: boolean }) {
    this.#isServer = isServer;
  }

  /** False when a client has used up its identifiers. */
  get hasIds(): boolean {
    return this.#nextId < maxStreamId;
  }

  /** The identifier for a client's next stream. */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  /** Nobody has opened this stream yet, or ever may. */
  isIdle(id: number): boolean {
    const isOfClient = id % 2 === 1;
    if (this.#isServer) return isOfClient ? id > this.lastOfPeer : true;
    return isOfClient ? id >= this.#nextId : id > this.lastOfPeer;
  }

  /** @param reset - by us: what is in flight for it is expected, and ignored. */
  close(stream: Http2Stream, reset: boolean): void {
    stream.closed = true;
    this.open.delete(stream);
    this.closed.add(stream.id, reset);
  }
}

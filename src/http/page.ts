/**
 * What a page needs of a request and of its answer. Those of node:http fit as they are (HTTP/1.1); http2-pages.ts has
 * those of an HTTP/2 stream.
 */
import type { IncomingHttpHeaders } from "node:http";

export type Page = (request: PageRequest, response: PageResponse, url: URL) => void;

export interface PageRequest {
  readonly method?: string | undefined;
  /** The target as it was sent. */
  readonly url?: string | undefined;
  /** Names in lower case; `host` is there under HTTP/2 too. */
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };
  /** @param listener - gets pieces of the body, which are its own; without one the body is dropped. */
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  on(event: "end", listener: () => void): unknown;
}

export interface PageResponse {
  setHeader(name: string, value: string): unknown;
  writeHead(status: number, headers?: Record<string, string | number>): unknown;
  /** @returns false when the client takes no more for now: `drain` follows. */
  write(body: string | Uint8Array): boolean;
  end(body?: string | Uint8Array): unknown;
  /** Ends the answer in the middle. */
  destroy(error?: Error): unknown;
  /** Bytes that wait for the client. */
  readonly writableLength: number;
  /** @param event - `close`: complete, or the client is gone. Once. */
  on(event: "drain" | "close", listener: () => void): unknown;
  /** Where several requests share a connection: how much the page holds of a request or of its answer for it, bytes. */
  holds?(bytes: number): void;
}

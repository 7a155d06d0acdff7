/**
 * One port, two protocols: the first bytes tell HTTP/2 with prior knowledge (its preface `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`)
 * from HTTP/1.x. No method of HTTP/1.1 starts with `PRI * HTTP/2`.
 */
import type { Clock } from "../platform/clock.ts";
import type { Connection } from "../platform/network.ts";
import { copyBytes, emptyBytes } from "../base/bytes.ts";
import { clientPreface } from "./preface.ts";

/** A client that sends nothing, or a part of the preface, is dropped after this long. */
export const sniffTimeoutMs = 20_000;

/** `more`: every byte so far fits the HTTP/2 preface and there are fewer than it takes to be sure. */
export type Protocol = "http2" | "http1" | "more";

/** How many bytes decide: `PRI * ` is no HTTP/1.x request line with a known method, but a custom method could start `PRI`. */
const decidingBytes = 14;

/** Tells the protocol from the first bytes of a connection. Borrows `bytes`. */
export function sniffProtocol(bytes: Uint8Array): Protocol {
  const count = Math.min(bytes.length, decidingBytes);
  for (let index = 0; index < count; index++) {
    if (bytes[index] !== clientPreface[index]) return "http1";
  }
  return count === decidingBytes ? "http2" : "more";
}

/** Where a sniffed connection goes; `firstBytes` is an owned copy of all that was read. */
export interface SniffedHandlers {
  http2(connection: Connection, firstBytes: Uint8Array): void;
  http1(connection: Connection, firstBytes: Uint8Array): void;
}

/**
 * Reads from a fresh connection until its protocol is known and hands it over. The new owner sets its own handlers
 * (`setHandlers`) or takes the socket (`detach`) before it returns. A connection that stays undecided for
 * {@link sniffTimeoutMs}, or ends, is closed.
 */
export function sniffConnection(connection: Connection, clock: Clock, handlers: SniffedHandlers): void {
  let read = emptyBytes;
  const timer = clock.setTimer(() => connection.destroy(), sniffTimeoutMs);
  connection.setHandlers({
    data(chunk) {
      read = read.length === 0 ? copyBytes(chunk) : Buffer.concat([read, chunk]);
      const protocol = sniffProtocol(read);
      if (protocol === "more") return;
      timer.cancel();
      if (protocol === "http2") handlers.http2(connection, read);
      else handlers.http1(connection, read);
    },
    end() {
      connection.destroy();
    },
    drained() {
      // Nothing was written yet.
    },
    closed() {
      timer.cancel();
    },
  });
}

/**
 * Connections that have answered and wait for the next request to the same place. The newest is taken first.
 *
 * There is no timer for each: the other side drops what is silent for {@link connectionTimeoutMs}, and what has waited for more than
 * a part of that is not used any more, as a request could cross its end.
 */
import type { Clock } from "../../platform/clock.ts";
import type { Connection } from "../../platform/network.ts";
import { connectionTimeoutMs } from "../limits.ts";

/** To one place. As many as etcd keeps. */
const connectionsMax = 1024;
const idleMsMax = connectionTimeoutMs / 2;

interface Idle {
  readonly connection: Connection;
  readonly sinceMs: number;
}

export class IdleConnections {
  readonly #clock: Clock;
  /** By place, oldest first. */
  readonly #idle = new Map<string, Idle[]>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Its handlers are the caller's to set. */
  take(place: string): Connection | undefined {
    const idle = this.#idle.get(place);
    const newest = idle?.pop();
    if (idle === undefined || newest === undefined) return undefined;
    if (!this.#isStale(newest)) return newest.connection;
    // The others have waited for longer.
    this.#idle.delete(place);
    for (const { connection } of [...idle, newest]) connection.destroy();
    return undefined;
  }

  keep(place: string, connection: Connection): void {
    if (this.#isClosed) return connection.destroy();
    let idle = this.#idle.get(place);
    if (idle === undefined) this.#idle.set(place, (idle = []));
    const oldest = idle[0];
    if (oldest !== undefined && (idle.length >= connectionsMax || this.#isStale(oldest))) {
      idle.shift();
      oldest.connection.destroy();
    }
    idle.push({ connection, sinceMs: this.#clock.monotonic() });
    const drop = (): void => this.#drop(place, connection);
    // Nothing is to come: whatever does is the end.
    connection.setHandlers({ data: drop, end: drop, drained() {}, closed: drop });
  }

  close(): void {
    this.#isClosed = true;
    for (const idle of this.#idle.values()) for (const { connection } of idle) connection.destroy();
    this.#idle.clear();
  }

  #drop(place: string, connection: Connection): void {
    const idle = this.#idle.get(place) ?? [];
    const at = idle.findIndex((one) => one.connection === connection);
    if (at >= 0) idle.splice(at, 1);
    connection.destroy();
  }

  #isStale({ sinceMs }: Idle): boolean {
    return this.#clock.monotonic() - sinceMs >= idleMsMax;
  }
}

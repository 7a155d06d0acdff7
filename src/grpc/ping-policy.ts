/**
 * What a server tolerates of a client's keepalive pings, as grpc-go counts them: a ping that comes too soon is a strike,
 * three strikes end the connection with GOAWAY ENHANCE_YOUR_CALM "too_many_pings". Anything the server sent in between
 * (headers or data) forgives all strikes.
 */

const maxStrikes = 2;
/** Without an open stream a client has no reason to ping more often than this. */
const idleMinTimeMs = 2 * 3_600_000;

export class PingPolicy {
  readonly #minTimeMs: number;
  #strikes = 0;
  #lastPingMs = Number.NEGATIVE_INFINITY;
  #framesSent = 0;

  constructor(minTimeMs: number) {
    this.#minTimeMs = minTimeMs;
  }

  /**
   * Counts one ping.
   *
   * @param nowMs - monotonic.
   * @param framesSent - HEADERS and DATA frames sent on the connection so far.
   * @returns false when the connection must end.
   */
  allow(nowMs: number, framesSent: number, openStreams: number): boolean {
    const sinceMs = nowMs - this.#lastPingMs;
    this.#lastPingMs = nowMs;
    if (framesSent !== this.#framesSent) {
      this.#framesSent = framesSent;
      this.#strikes = 0;
      return true;
    }
    if (sinceMs < (openStreams === 0 ? idleMinTimeMs : this.#minTimeMs)) this.#strikes++;
    return this.#strikes <= maxStrikes;
  }
}

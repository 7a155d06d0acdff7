/**
 * Every limit of an HTTP/2 session, with its reason. A peer that goes beyond one is told ENHANCE_YOUR_CALM (or the code
 * RFC 9113 names) and disconnected; nothing a peer sends makes us hold memory or burn time without bound.
 */

/** A rate: `burst` events at once, refilled with `perSecond`. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

export interface Http2Limits {
  /** Streams the peer may have open at once; announced. Beyond it: REFUSED_STREAM. */
  readonly maxConcurrentStreams: number;
  /** Decoded header list, HPACK's count; announced. Beyond it: the stream is reset with FRAME_SIZE_ERROR, as grpc-go does. */
  readonly maxHeaderListSize: number;
  /** Encoded header block over all its frames. Bounds the memory of CONTINUATION and the time of one decode. */
  readonly maxHeaderBlockBytes: number;
  /** CONTINUATION frames of one block (many tiny ones cost more than their bytes). */
  readonly maxContinuations: number;
  /** Stream window we announce. At least one whole request, so that unary calls need no WINDOW_UPDATE. */
  readonly streamWindow: number;
  /** Connection window we announce; refilled as data arrives, never waiting for a handler (as grpc-go does). */
  readonly connectionWindow: number;
  /** RST_STREAM of the peer and resets it provokes (CVE-2023-44487 and its sequels). */
  readonly resets: Rate;
  readonly settings: Rate;
  /** PING without any answer of ours in between; gRPC's stricter policy stands above this one. */
  readonly pings: Rate;
  /** DATA frames that carry nothing and end nothing. */
  readonly emptyData: Rate;
  /** PRIORITY, unknown and other frames that have no effect; WINDOW_UPDATE beyond what our DATA explains. */
  readonly idleFrames: Rate;
  /** Bytes of answers that wait for the peer's windows or socket; above it new streams are refused. */
  readonly refuseAboveQueuedBytes: number;
  /** ... and above this the connection is closed. */
  readonly maxQueuedBytes: number;
  /** Bytes not subject to flow control (headers, acknowledgements) that wait for the socket; above it the connection is closed. */
  readonly maxUnsentBytes: number;
  /** The client preface and SETTINGS must be complete after this. */
  readonly prefaceTimeoutMs: number;
  /** A header block or frame that has begun must be complete after this. */
  readonly frameTimeoutMs: number;
  /** A socket that takes nothing for this long although bytes wait is closed. */
  readonly stallTimeoutMs: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

export const defaultLimits: Http2Limits = {
  maxConcurrentStreams: 0xffff_ffff,
  maxHeaderListSize: 256 * KiB,
  maxHeaderBlockBytes: 256 * KiB,
  maxContinuations: 64,
  streamWindow: 4 * MiB,
  connectionWindow: 16 * MiB,
  // A client whose thousand calls time out together resets a thousand streams: no attack.
  resets: { burst: 5000, perSecond: 1000 },
  settings: { burst: 100, perSecond: 20 },
  // grpc-go measures bandwidth with a ping per round trip, on loopback thousands a second.
  pings: { burst: 20_000, perSecond: 10_000 },
  emptyData: { burst: 1000, perSecond: 100 },
  idleFrames: { burst: 5000, perSecond: 1000 },
  refuseAboveQueuedBytes: 64 * MiB,
  maxQueuedBytes: 512 * MiB,
  maxUnsentBytes: 16 * MiB,
  prefaceTimeoutMs: 20_000,
  frameTimeoutMs: 60_000,
  stallTimeoutMs: 120_000,
};

/** Counts events against a {@link Rate} (a token bucket). Time is passed in. */
export class RateMeter {
  readonly #rate: Rate;
  #tokens: number;
  #refilledMs = 0;

  constructor(rate: Rate) {
    this.#rate = rate;
    this.#tokens = rate.burst;
  }

  /** Counts one event; false when it is one too many. @param nowMs - monotonic. */
  allow(nowMs: number): boolean {
    if (this.#tokens < 1) {
      const refill = ((nowMs - this.#refilledMs) * this.#rate.perSecond) / 1000;
      this.#tokens = Math.min(this.#rate.burst, this.#tokens + refill);
      this.#refilledMs = nowMs;
    } else if (this.#tokens === this.#rate.burst) {
      this.#refilledMs = nowMs;
    }
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

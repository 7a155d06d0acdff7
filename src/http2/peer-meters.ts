/**
 * How often the peer did what costs us more than it: each kind of frame against its rate in `limits.ts`. One too many ends
 * the connection with ENHANCE_YOUR_CALM.
 */
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { type Http2Limits, RateMeter } from "./limits.ts";

/** A DATA frame of ours explains an update of its stream's window and of the connection's, in parts. */
const windowUpdatesPerFrame = 16;
/** What was sent long ago explains no more than this. */
const windowUpdatesDueMax = 100_000;

export class PeerMeters {
  readonly #resets: RateMeter;
  readonly #settings: RateMeter;
  readonly #pings: RateMeter;
  readonly #emptyData: RateMeter;
  readonly #idleFrames: RateMeter;
  /** WINDOW_UPDATE frames that what we sent explains, and how much of that was counted. */
  #windowUpdatesDue = 0;
  #framesSentSeen = 0;

  constructor(limits: Http2Limits) {
    this.#resets = new RateMeter(limits.resets);
    this.#settings = new RateMeter(limits.settings);
    this.#pings = new RateMeter(limits.pings);
    this.#emptyData = new RateMeter(limits.emptyData);
    this.#idleFrames = new RateMeter(limits.idleFrames);
  }

  /** RST_STREAM, and what makes us send one. */
  reset(nowMs: number, message: string): void {
    count(this.#resets, nowMs, message);
  }

  settings(nowMs: number): void {
    count(this.#settings, nowMs, "too many SETTINGS frames");
  }

  ping(nowMs: number): void {
    count(this.#pings, nowMs, "too many PING frames");
  }

  emptyData(nowMs: number): void {
    count(this.#emptyData, nowMs, "too many empty DATA frames");
  }

  /** A frame without effect. */
  idleFrame(nowMs: number, message: string): void {
    count(this.#idleFrames, nowMs, message);
  }

  /** What we send gives the peer reason to speak of windows; more than that it does for nothing. */
  windowUpdate(nowMs: number, framesSent: number): void {
    if (framesSent !== this.#framesSentSeen) {
      const reasons = (framesSent - this.#framesSentSeen) * windowUpdatesPerFrame;
      this.#windowUpdatesDue = Math.min(this.#windowUpdatesDue + reasons, windowUpdatesDueMax);
      this.#framesSentSeen = framesSent;
    }
    if (this.#windowUpdatesDue > 0) this.#windowUpdatesDue--;
    else count(this.#idleFrames, nowMs, "too many WINDOW_UPDATE frames");
  }
}

/** @throws {ConnectionError} */
function count(meter: RateMeter, nowMs: number, message: string): void {
  if (!meter.allow(nowMs)) throw new ConnectionError(ErrorCode.enhanceYourCalm, message);
}

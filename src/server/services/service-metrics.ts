/** What the services measure themselves; plain numbers that /metrics reads when asked. */
import { exponentialBounds, Histogram } from "../../base/histogram.ts";
import type { Clock } from "../../platform/clock.ts";

/** Ranges measured one by one before sampling begins, so that a quiet member shows each. */
const exactRanges = 1_000;
/** Then one in so many, counted so many times: two looks at the clock would cost a small range about 1 %. */
const rangesPerSample = 32;

export class ServiceMetrics {
  /** Hashes of the whole database. */
  readonly hashSeconds = new Histogram(exponentialBounds(0.01, 2, 15));
  /** Hashes of the keys at a revision. */
  readonly hashRevisionSeconds = new Histogram(exponentialBounds(0.01, 2, 15));
  /** Evaluating ranges, without waiting for the read index. */
  readonly rangeSeconds = new Histogram(exponentialBounds(0.0001, 2, 20));
  readonly rangeFailureSeconds = new Histogram(exponentialBounds(0.0001, 2, 20));
  /** Requests of streams that could not be read: `watch` or `lease-keepalive` → count. */
  readonly streamFailures = new Map<string, number>();
  #ranges = 0;

  streamFailed(api: "watch" | "lease-keepalive"): void {
    this.streamFailures.set(api, (this.streamFailures.get(api) ?? 0) + 1);
  }

  /** @returns when the range began, on the monotonic clock; -1 when this one is not measured. */
  rangeBegins(clock: Clock): number {
    const isMeasured = this.#ranges < exactRanges || this.#ranges % rangesPerSample === 0;
    this.#ranges++;
    return isMeasured ? clock.monotonic() : -1;
  }

  /** @param startedMs - what {@link rangeBegins} returned. */
  rangeEnds(clock: Clock, startedMs: number, isOk: boolean): void {
    if (startedMs < 0) return;
    const weight = this.#ranges <= exactRanges ? 1 : rangesPerSample;
    const histogram = isOk ? this.rangeSeconds : this.rangeFailureSeconds;
    histogram.observe((clock.monotonic() - startedMs) / 1000, weight);
  }
}

/**
 * A distribution in buckets, cheap enough for the hot path: one array of counts, no labels, no allocation. The metrics
 * endpoint reads it when it is asked.
 */
export class Histogram {
  /** Upper bounds, ascending; values above the last one count only in `count` and `sum`. */
  readonly bounds: readonly number[];
  /** Values per bucket, not cumulative. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length);
  }

  /** @param weight - how many values this one stands for, when only some are measured. */
  observe(value: number, weight = 1): void {
    this.sum += value * weight;
    this.count += weight;
    const { bounds } = this;
    for (let index = 0; index < bounds.length; index++) {
      if (value <= bounds[index]) {
        this.counts[index] += weight;
        return;
      }
    }
  }
}

/** `count` bounds from `start`, each `factor` times the one before, as in the Prometheus client libraries. */
export function exponentialBounds(start: number, factor: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => start * factor ** index);
}

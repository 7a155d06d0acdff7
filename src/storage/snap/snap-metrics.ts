/** How long saving snapshots took, in seconds, with the buckets of etcd's metrics. */
import { exponentialBounds, Histogram } from "../../base/histogram.ts";

export class SnapMetrics {
  /** Making the bytes of a `.snap` file. */
  readonly encodeSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  /** Its sync. */
  readonly fsyncSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  /** All of saving it. */
  readonly totalSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
}

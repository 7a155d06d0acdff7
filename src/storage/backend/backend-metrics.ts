/** How long the backend's work took, in seconds, with the buckets of etcd's metrics. */
import { exponentialBounds, Histogram } from "../../base/histogram.ts";

export class BackendMetrics {
  /** Whole commits. */
  readonly commitSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  /** Of those, bringing the writes into the tree. */
  readonly mergeSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  /** Of those, writing pages and waiting for the disk. */
  readonly writeSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  readonly defragmentSeconds = new Histogram(exponentialBounds(0.1, 2, 13));
  /** Sending the database to a client; observed by who sends. */
  readonly snapshotSeconds = new Histogram(exponentialBounds(0.01, 2, 17));
}

/** What the WAL does, for the metrics endpoint. */
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import type { WalObserver } from "../storage/wal/wal.ts";

export class WalMetrics implements WalObserver {
  readonly fsyncSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  readonly writeSeconds = new Histogram(exponentialBounds(0.001, 2, 14));
  bytesWritten = 0;

  wrote(durationMs: number): void {
    this.writeSeconds.observe(durationMs / 1000);
  }

  synced(durationMs: number): void {
    this.fsyncSeconds.observe(durationMs / 1000);
  }

  written(bytes: number): void {
    this.bytesWritten += bytes;
  }
}

/**
 * Compaction without being asked. `periodic` keeps the history of the last so many hours, `revision` the last so many
 * revisions. Only the leader proposes; the others keep sampling so that they can take over.
 *
 * Periodic, with retention r: sample the revision every min(r, 1 h) / 10; once r has passed since the start, and then
 * every min(r, 1 h), compact at the sample taken r ago. A failed attempt is repeated at the next sample. "Already
 * compacted" counts as success. Revision: every 5 minutes compact at current - retention.
 * Source: etcd server/etcdserver/api/v3compactor.
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { EtcdError } from "../wire/errors.ts";
import type { AutoCompaction } from "./config.ts";

const HOUR_MS = 3_600_000;
const SAMPLES_PER_INTERVAL = 10;
const REVISION_CHECK_MS = 300_000;

export interface AutoCompactorOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly currentRevision: () => number;
  readonly isLeader: () => boolean;
  /** Proposes the compaction; calls back exactly once. */
  readonly compact: (revision: number, callback: (error: EtcdError | undefined) => void) => void;
}

/** Starts the configured mode; undefined when it is off. The owner cancels the timer. */
export function startAutoCompaction(mode: AutoCompaction, options: AutoCompactorOptions): Timer | undefined {
  if (mode.mode === "periodic") return startPeriodic(mode.retentionMs, options);
  return mode.mode === "revision" ? startRevision(mode.retentionRevisions, options) : undefined;
}

function startPeriodic(retentionMs: number, options: AutoCompactorOptions): Timer {
  const { clock, log } = options;
  const intervalMs = Math.min(retentionMs, HOUR_MS);
  const sampleMs = intervalMs / SAMPLES_PER_INTERVAL;
  const sampleCountMax = Math.floor(retentionMs / sampleMs) + 1;
  const samples = [options.currentRevision()];
  let lastSuccessMs = clock.monotonic();
  let waitMs = retentionMs;
  let lastRevision = 0;
  let isRunning = false;

  const run = (): void => {
    const revision = samples[0];
    const isDue = clock.monotonic() - lastSuccessMs >= waitMs && revision !== lastRevision;
    if (options.isLeader() && isDue && !isRunning) {
      waitMs = intervalMs;
      isRunning = true;
      const fields = { revision, "compact-period": `${retentionMs / 1000}s` };
      log.info("starting auto periodic compaction", fields);
      options.compact(revision, (error) => {
        isRunning = false;
        if (error !== undefined && error.reason !== "compacted") {
          log.warn("failed auto periodic compaction", { ...fields, "retry-interval": `${sampleMs / 1000}s`, error });
          return;
        }
        log.info("completed auto periodic compaction", fields);
        lastRevision = revision;
        lastSuccessMs = clock.monotonic();
      });
    }
    samples.push(options.currentRevision());
    if (samples.length > sampleCountMax) samples.shift();
  };
  return clock.setTicker(run, sampleMs);
}

function startRevision(retention: number, options: AutoCompactorOptions): Timer {
  const { clock, log } = options;
  let lastRevision = 0;
  const run = (): void => {
    const revision = options.currentRevision() - retention;
    if (!options.isLeader() || revision <= 0 || revision === lastRevision) return;
    const fields = { revision, "revision-compaction-retention": retention };
    log.info("starting auto revision compaction", fields);
    options.compact(revision, (error) => {
      if (error !== undefined && error.reason !== "compacted") {
        const retry = { "retry-interval": `${REVISION_CHECK_MS / 1000}s` };
        log.warn("failed auto revision compaction", { ...fields, ...retry, error });
        return;
      }
      log.info("completed auto revision compaction", fields);
      lastRevision = revision;
    });
  };
  return clock.setTicker(run, REVISION_CHECK_MS);
}

/** `quorate_backup_*`: only on a member with a backup schedule. */
import type { MetricsRegistry } from "./registry.ts";

/** Times are milliseconds since 1970; 0 = never. */
export interface BackupCounters {
  readonly isRunning: boolean;
  readonly nextAt: number;
  readonly lastSuccessAt: number;
  readonly lastDurationMs: number;
  /** Bytes of the newest file. */
  readonly lastSize: number;
  readonly successes: number;
  readonly failures: number;
  /** Due while another was still running. */
  readonly skipped: number;
  readonly drillLastSuccessAt: number;
}

export function registerBackupMetrics(registry: MetricsRegistry, backups: BackupCounters): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    registry.gauge(`quorate_backup_${name}`, help, read);
  };
  gauge("running", "1 while a scheduled backup is taken.", () => (backups.isRunning ? 1 : 0));
  gauge("next_timestamp_seconds", "When the next backup is due.", () => seconds(backups.nextAt));
  gauge("last_success_timestamp_seconds", "When the newest complete backup was made; 0: never.", () =>
    seconds(backups.lastSuccessAt),
  );
  gauge("last_duration_seconds", "How long the newest complete backup took.", () => seconds(backups.lastDurationMs));
  gauge("last_size_bytes", "Size of the newest complete backup.", () => backups.lastSize);
  gauge("drill_last_success_timestamp_seconds", "When a backup was last restored and found equal; 0: never.", () =>
    seconds(backups.drillLastSuccessAt),
  );
  registry.counter("quorate_backup_runs_total", "Scheduled backups, by how they ended.", () => [
    { labels: { result: "failure" }, value: backups.failures },
    { labels: { result: "skipped" }, value: backups.skipped },
    { labels: { result: "success" }, value: backups.successes },
  ]);
}

function seconds(ms: number): number {
  return ms / 1000;
}

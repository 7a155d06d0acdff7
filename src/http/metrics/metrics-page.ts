/** `/metrics`: everything there is to know in numbers. */
import { gzip } from "node:zlib";
import type { Page } from "../page.ts";
import { registerBackupMetrics, type BackupCounters } from "./backup-metrics.ts";
import { registerGrpcMetrics, type GrpcCounters } from "./grpc-metrics.ts";
import { registerMemberMetrics, type MemberMetricsSources } from "./member-metrics.ts";
import { registerNetworkMetrics } from "./network-metrics.ts";
import { registerOldMetrics } from "./old-metrics.ts";
import { contentType, MetricsRegistry } from "./registry.ts";
import { registerRuntimeMetrics } from "./runtime-metrics.ts";

/** Text like this shrinks to a tenth at any level. */
const gzipLevel = 1;

export interface MetricsSources extends MemberMetricsSources {
  readonly grpc: GrpcCounters;
  /** Undefined on a member without a backup schedule. */
  readonly backups: BackupCounters | undefined;
  /** Wall clock of the process' start, milliseconds. */
  readonly startedAt: number;
}

export function metricsPage(sources: MetricsSources): Page {
  const registry = new MetricsRegistry();
  registerMemberMetrics(registry, sources);
  registerNetworkMetrics(registry, sources);
  registerOldMetrics(registry);
  registerGrpcMetrics(registry, sources.grpc);
  if (sources.backups !== undefined) registerBackupMetrics(registry, sources.backups);
  registerRuntimeMetrics(registry, sources.member.platform.disk, sources.startedAt);
  let requests = 0;
  let inFlight = 0;
  registry.gauge("promhttp_metric_handler_requests_in_flight", "Readings of this page under way.", () => inFlight);
  registry.counter("promhttp_metric_handler_requests_total", "Readings of this page, by HTTP status.", () => [
    { labels: { code: "200" }, value: requests },
    { labels: { code: "500" }, value: 0 },
    { labels: { code: "503" }, value: 0 },
  ]);
  return (request, response) => {
    inFlight++;
    const text = registry.text();
    inFlight--;
    requests++;
    const headers = { "Content-Type": contentType };
    if (!acceptsGzip(request.headers["accept-encoding"])) {
      response.writeHead(200, headers);
      response.end(text);
      return;
    }
    // Compressed on another thread.
    gzip(text, { level: gzipLevel }, (error, compressed) => {
      if (error !== null) {
        response.destroy(error);
        return;
      }
      response.writeHead(200, { ...headers, "Content-Encoding": "gzip" });
      response.end(compressed);
    });
  };
}

/** Whether gzip is among what the client accepts, in the simple form that Prometheus and its Go client use. */
function acceptsGzip(header: string | undefined): boolean {
  return (header ?? "").split(",").some((part) => {
    const [name, ...parameters] = part.split(";").map((text) => text.trim());
    return name === "gzip" && !parameters.some((text) => /^q=0(\.0*)?$/.test(text));
  });
}

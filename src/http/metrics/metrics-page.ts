/** `/metrics`: everything there is to know in numbers. */
import type { Page } from "../responses.ts";
import { registerGrpcMetrics, type GrpcCounters } from "./grpc-metrics.ts";
import { registerMemberMetrics, type MemberMetricsSources } from "./member-metrics.ts";
import { MetricsRegistry } from "./registry.ts";
import { registerRuntimeMetrics } from "./runtime-metrics.ts";

export interface MetricsSources extends MemberMetricsSources {
  readonly grpc: GrpcCounters;
  /** Wall clock of the process' start, milliseconds. */
  readonly startedAt: number;
}

export function metricsPage(sources: MetricsSources): Page {
  const registry = new MetricsRegistry();
  registerMemberMetrics(registry, sources);
  registerGrpcMetrics(registry, sources.grpc);
  registerRuntimeMetrics(registry, sources.member.platform.disk, sources.startedAt);
  let requests = 0;
  let inFlight = 0;
  registry.gauge("promhttp_metric_handler_requests_in_flight", "Readings of this page under way.", () => inFlight);
  registry.counter("promhttp_metric_handler_requests_total", "Readings of this page, by HTTP status.", () => [
    { labels: { code: "200" }, value: requests },
    { labels: { code: "500" }, value: 0 },
    { labels: { code: "503" }, value: 0 },
  ]);
  return (_request, response) => {
    inFlight++;
    registry.text().then(
      (text) => {
        inFlight--;
        requests++;
        response.writeHead(200, { "Content-Type": registry.contentType });
        response.end(text);
      },
      (error: unknown) => {
        inFlight--;
        response.destroy(error instanceof Error ? error : undefined);
      },
    );
  };
}

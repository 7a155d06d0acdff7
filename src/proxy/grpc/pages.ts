/**
 * The proxy's pages: `/metrics` and `/health` of the members, `/proxy/metrics` and `/proxy/health` of the proxy.
 *
 * @see etcd server/proxy/grpcproxy/health.go, metrics.go
 */
import type { GrpcCounters } from "../../http/metrics/grpc-metrics.ts";
import { registerGrpcMetrics } from "../../http/metrics/grpc-metrics.ts";
import { contentType, MetricsRegistry } from "../../http/metrics/registry.ts";
import { registerRuntimeMetrics } from "../../http/metrics/runtime-metrics.ts";
import type { Page } from "../../http/page.ts";
import { onlyGet, sendError, sendText } from "../../http/responses.ts";
import type { Platform } from "../../platform/platform.ts";
import type { GrpcProxy } from "./grpc-proxy.ts";

export interface ProxyPagesOptions {
  readonly proxy: GrpcProxy;
  readonly platform: Platform;
  readonly grpc: GrpcCounters;
  /** Wall clock of the process' start, milliseconds. */
  readonly startedAt: number;
  /** The metrics of a member. Rejects when it does not answer. */
  readonly memberMetrics: () => Promise<Uint8Array>;
  /** What is wrong with the proxy as clients see it; undefined: nothing. */
  readonly ownProblem: () => Promise<string | undefined>;
}

export function proxyPages(options: ProxyPagesOptions): Map<string, Page> {
  const { proxy, memberMetrics, ownProblem, platform } = options;
  const log = platform.log.withCaller("proxy/grpc/pages.ts");
  const health = (path: string, problem: () => Promise<string | undefined>): Page => {
    return (request, response) => {
      if (!onlyGet(request, response)) return;
      void problem().then((reason = "") => {
        const body = JSON.stringify({ health: reason === "" ? "true" : "false", reason });
        if (reason === "") return sendText(response, body);
        log.warn(`${path} error`, { output: body, "status-code": 503 });
        sendError(response, 503, body);
      });
    };
  };
  return new Map<string, Page>([
    [
      "/metrics",
      (request, response) => {
        if (!onlyGet(request, response)) return;
        memberMetrics().then(
          (body) => {
            response.writeHead(200, { "Content-Type": contentType });
            response.end(body);
          },
          (error: unknown) => {
            log.warn("failed to read a member's metrics", { error: error as Error });
            sendError(response, 500, "Internal server error");
          },
        );
      },
    ],
    ["/health", health("/health", () => proxy.problem())],
    ["/proxy/metrics", ownMetrics(options)],
    ["/proxy/health", health("/proxy/health", ownProblem)],
  ]);
}

function ownMetrics({ proxy, platform, grpc, startedAt }: ProxyPagesOptions): Page {
  const registry = new MetricsRegistry();
  const { cache, watches } = proxy;
  const gauges: readonly (readonly [string, string, () => number])[] = [
    [
      "watchers_coalescing_total",
      "Watches that share another one's watch at a member.",
      () => watches.coalescedWatchers,
    ],
    ["cache_keys_total", "Answers to range requests in the cache.", () => cache.size],
    ["cache_hits_total", "Range requests answered from the cache.", () => cache.hits],
    ["cache_misses_total", "Range requests that the cache had no answer for.", () => cache.misses],
  ];
  for (const [name, help, read] of gauges) registry.gauge(`etcd_grpc_proxy_${name}`, help, read);
  registry.counter(
    "etcd_grpc_proxy_events_coalescing_total",
    "Events that were sent to several watches at the cost of one.",
    () => watches.coalescedEvents,
  );
  registerGrpcMetrics(registry, grpc);
  registerRuntimeMetrics(registry, platform.disk, startedAt);
  return (request, response) => {
    if (!onlyGet(request, response)) return;
    response.writeHead(200, { "Content-Type": contentType });
    response.end(registry.text());
  };
}

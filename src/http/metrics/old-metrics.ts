/**
 * What real members show and this one has nothing of: the store of etcd's version 2, the gRPC proxy (whose numbers the
 * server's binary shows as well). Dashboards ask for some of these names, so they are here, and say that nothing happened.
 */
import type { MetricsRegistry } from "./registry.ts";

export function registerOldMetrics(registry: MetricsRegistry): void {
  const never = (): number => 0;
  registry.counter("etcd_debugging_store_expires_total", "Keys of the version 2 store that expired: none.", never);
  registry.counter("etcd_debugging_store_watch_requests_total", "Watches of the version 2 store: none.", never);
  registry.gauge("etcd_debugging_store_watchers", "Watchers of the version 2 store: none.", never);
  registry.counter("etcd_debugging_store_reads_total", "Reads of the version 2 store: none.", () => [
    { labels: { action: "getRecursive" }, value: 0 },
  ]);
  registry.counter("etcd_debugging_store_writes_total", "Writes to the version 2 store: none.", () => [
    { labels: { action: "create" }, value: 0 },
    { labels: { action: "set" }, value: 0 },
  ]);
  registry.gauge("etcd_grpc_proxy_cache_hits_total", "Cache hits of a gRPC proxy: this is none.", never);
  registry.gauge("etcd_grpc_proxy_cache_keys_total", "Cached ranges of a gRPC proxy: this is none.", never);
  registry.gauge("etcd_grpc_proxy_cache_misses_total", "Cache misses of a gRPC proxy: this is none.", never);
  registry.counter("etcd_grpc_proxy_events_coalescing_total", "Events joined by a gRPC proxy: this is none.", never);
  registry.gauge("etcd_grpc_proxy_watchers_coalescing_total", "Watchers joined by a gRPC proxy: this is none.", never);
}

/** Metrics of the gRPC server, with the names of Go's grpc-prometheus: filled with zeros for every method and code. */
import type { MethodStats } from "../../grpc/calls.ts";
import { Code } from "../../wire/errors.ts";
import type { MetricsRegistry, Sample } from "./registry.ts";

const codeNames = Object.entries(Code);

export interface GrpcCounters {
  readonly methods: readonly MethodStats[];
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export function registerGrpcMetrics(registry: MetricsRegistry, server: GrpcCounters): void {
  // All methods are registered by now. Their labels are made once: they are most of the page.
  const labelled = server.methods.map((stats) => {
    const labels = methodLabels(stats);
    return {
      stats,
      labels,
      byCode: codeNames.map(([grpc_code, code]) => ({ code, labels: { grpc_code, ...labels } })),
    };
  });
  const perMethod = (read: (stats: MethodStats) => number) => (): Sample[] =>
    labelled.map(({ stats, labels }) => ({ labels, value: read(stats) }));
  registry.counter(
    "grpc_server_started_total",
    "Total number of RPCs started on the server.",
    perMethod((stats) => stats.started),
  );
  registry.counter("grpc_server_handled_total", "Total number of RPCs completed on the server, by status code.", () =>
    labelled.flatMap(({ stats, byCode }) => byCode.map(({ code, labels }) => ({ labels, value: stats.handled[code] }))),
  );
  const measured = labelled.flatMap(({ stats: { handlingSeconds }, labels }) =>
    handlingSeconds === undefined ? [] : [{ labels, histogram: handlingSeconds }],
  );
  if (measured.length > 0) {
    registry.histogram(
      "grpc_server_handling_seconds",
      "Time from a call's header to its answer, for --metrics=extensive.",
      () => measured,
    );
  }
  registry.counter(
    "grpc_server_msg_received_total",
    "Total number of messages received by the server.",
    perMethod((stats) => stats.messagesReceived),
  );
  registry.counter(
    "grpc_server_msg_sent_total",
    "Total number of messages sent by the server.",
    perMethod((stats) => stats.messagesSent),
  );
  registry.counter(
    "etcd_network_client_grpc_received_bytes_total",
    "Bytes of messages received from clients.",
    () => server.receivedBytes,
  );
  registry.counter(
    "etcd_network_client_grpc_sent_bytes_total",
    "Bytes of messages sent to clients.",
    () => server.sentBytes,
  );
}

function methodLabels(stats: MethodStats): Record<string, string> {
  return { grpc_method: stats.method, grpc_service: stats.service, grpc_type: stats.type };
}

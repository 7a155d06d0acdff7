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
  const perMethod = (read: (stats: MethodStats) => number) => (): Sample[] =>
    server.methods.map((stats) => ({ labels: methodLabels(stats), value: read(stats) }));
  registry.counter(
    "grpc_server_started_total",
    "Total number of RPCs started on the server.",
    perMethod((stats) => stats.started),
  );
  registry.counter("grpc_server_handled_total", "Total number of RPCs completed on the server, by status code.", () =>
    server.methods.flatMap((stats) =>
      codeNames.map(([name, code]) => ({
        labels: { grpc_code: name, ...methodLabels(stats) },
        value: stats.handled[code],
      })),
    ),
  );
  const measured = server.methods.flatMap(({ handlingSeconds, ...stats }) =>
    handlingSeconds === undefined ? [] : [{ labels: methodLabels(stats), histogram: handlingSeconds }],
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

function methodLabels(stats: Pick<MethodStats, "method" | "service" | "type">): Record<string, string> {
  return { grpc_method: stats.method, grpc_service: stats.service, grpc_type: stats.type };
}

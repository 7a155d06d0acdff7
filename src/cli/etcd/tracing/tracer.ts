/**
 * `--enable-distributed-tracing`: a span for each gRPC call that is sampled, by the caller if it takes part in a trace, and
 * else by `--distributed-tracing-sampling-rate`.
 *
 * @see etcd server/embed/config_tracing.go; names and attributes are those of OpenTelemetry's otelgrpc
 */
import type { HandledCall } from "../../../grpc/calls.ts";
import type { Platform } from "../../../platform/platform.ts";
import { Code } from "../../../wire/errors.ts";
import type { FlagValues } from "../flags.ts";
import { encodeSpan } from "./span-encoder.ts";
import { SpanExporter } from "./span-exporter.ts";
import { parseTraceParent, type TraceParent } from "./trace-context.ts";

const ratePerWhole = 1_000_000;
/** Longest `tracestate` that is passed on, as the standard asks for. */
const traceStateMax = 512;

/** Codes that say that the server failed, not the caller. */
const serverFaults: ReadonlySet<number> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

export class Tracer {
  readonly #platform: Platform;
  readonly #rate: number;
  readonly #exporter: SpanExporter;

  private constructor(platform: Platform, rate: number, exporter: SpanExporter) {
    this.#platform = platform;
    this.#rate = rate;
    this.#exporter = exporter;
  }

  /** Undefined when the flags do not ask for traces. */
  static start(values: FlagValues, platform: Platform): Tracer | undefined {
    if (!values["enable-distributed-tracing"]) return undefined;
    const instance = values["distributed-tracing-instance-id"];
    const exporter = new SpanExporter(platform, values["distributed-tracing-address"], {
      "service.name": values["distributed-tracing-service-name"],
      ...(instance === "" ? {} : { "service.instance.id": instance }),
    });
    platform.log.withCaller("cli/etcd/tracing/tracer.ts").info("distributed tracing setup enabled");
    return new Tracer(platform, values["distributed-tracing-sampling-rate"] / ratePerWhole, exporter);
  }

  /** For `GrpcServerOptions.onHandled`. */
  readonly onHandled = (call: HandledCall, code: number, tookMs: number): void => {
    const { random, clock } = this.#platform;
    const parent = parseTraceParent(call.metadata("traceparent"));
    const isSampled = parent === undefined ? random.float() < this.#rate : parent.isSampled;
    if (!isSampled) return;
    this.#record(call, { code, endedAt: clock.now(), tookMs, parent });
  };

  async stop(): Promise<void> {
    await this.#exporter.stop();
  }

  #record(
    call: HandledCall,
    {
      code,
      endedAt,
      tookMs,
      parent,
    }: { code: number; endedAt: number; tookMs: number; parent: TraceParent | undefined },
  ): void {
    const { random } = this.#platform;
    const { method, remote } = call;
    const traceState = parent === undefined ? "" : (call.metadata("tracestate") ?? "");
    const span = {
      traceId: parent?.traceId ?? random.bytes(16),
      spanId: random.bytes(8),
      parentSpanId: parent?.spanId,
      traceState: traceState.length > traceStateMax ? "" : traceState,
      name: method.path.slice(1),
      startedAt: endedAt - tookMs,
      endedAt,
      attributes: {
        "rpc.system": "grpc",
        "rpc.service": method.service,
        "rpc.method": method.method,
        ...("path" in remote ? {} : { "net.sock.peer.addr": remote.host, "net.sock.peer.port": remote.port }),
        "rpc.grpc.status_code": code,
      },
      isError: serverFaults.has(code),
    };
    this.#exporter.add(encodeSpan(span));
  }
}

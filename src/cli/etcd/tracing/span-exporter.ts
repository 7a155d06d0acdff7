/**
 * Sends spans to a collector, many at a time and in the background: whatever happens there, calls of clients wait for
 * nothing. The sizes and times are those of OpenTelemetry's batch processor.
 */
import { Channel } from "../../../client/channel.ts";
import { GrpcError } from "../../../grpc/status.ts";
import type { Timer } from "../../../platform/clock.ts";
import type { Logger } from "../../../platform/logger.ts";
import type { Platform } from "../../../platform/platform.ts";
import { Code } from "../../../wire/errors.ts";
import { encodeExport, type Attributes } from "./span-encoder.ts";

const exportPath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/** Spans that wait; more are dropped. */
const waitingMax = 2048;
const batchSize = 512;
const periodMs = 5000;
const exportTimeoutMs = 10_000;
const dialTimeoutMs = 5000;
/** For the last spans when the member stops. */
const farewellMs = 2000;

export class SpanExporter {
  readonly #platform: Platform;
  readonly #log: Logger;
  readonly #resource: Attributes;
  readonly #channel: Channel;
  readonly #ticker: Timer;
  #waiting: Uint8Array[] = [];
  #sending: Promise<void> | undefined;
  /** Told of since the last success. */
  #isFailing = false;
  #dropped = 0;

  /** @param address - `host:port`, reached in plain text as by etcd. */
  constructor(platform: Platform, address: string, resource: Attributes) {
    const { network, clock, random } = platform;
    this.#platform = platform;
    this.#log = platform.log.withCaller("cli/etcd/tracing/span-exporter.ts");
    this.#resource = resource;
    this.#channel = new Channel({
      network,
      clock,
      random,
      log: this.#log,
      endpoints: [`http://${address}`],
      dialTimeoutMs,
      keepaliveTimeMs: 0,
      keepaliveTimeoutMs: 0,
      maxSendBytes: 0,
      maxReceiveBytes: 0,
    });
    this.#ticker = clock.setTicker(() => this.#flush(exportTimeoutMs), periodMs);
  }

  /** @param span - encoded; owned from now on. */
  add(span: Uint8Array): void {
    if (this.#waiting.length >= waitingMax) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length === batchSize) this.#flush(exportTimeoutMs);
  }

  /** Sends what waits, for a short while. */
  async stop(): Promise<void> {
    this.#ticker.cancel();
    // Whatever is under way fails when the channel closes.
    const timer = this.#platform.clock.setTimer(() => this.#channel.close(), farewellMs);
    await this.#sending;
    this.#flush(farewellMs);
    await this.#sending;
    timer.cancel();
    this.#channel.close();
  }

  #flush(timeoutMs: number): void {
    if (this.#waiting.length === 0 || this.#sending !== undefined) return;
    this.#sending = this.#send(timeoutMs).finally(() => {
      this.#sending = undefined;
    });
  }

  async #send(timeoutMs: number): Promise<void> {
    const deadline = this.#platform.clock.monotonic() + timeoutMs;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, batchSize);
      try {
        const connection = await this.#channel.connection(deadline);
        const leftMs = Math.max(1, deadline - this.#platform.clock.monotonic());
        await connection.unary(exportPath, encodeExport(this.#resource, batch), { timeoutMs: leftMs });
        this.#waiting.splice(0, batch.length);
        this.#isFailing = false;
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
        // Nobody there may mean not yet; what a collector refuses it will refuse again.
        const isPassing = error.code === Code.Unavailable || error.code === Code.DeadlineExceeded;
        if (!isPassing) this.#waiting.splice(0, batch.length);
        this.#tell(error);
        return;
      }
    }
  }

  #tell(error: GrpcError): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#log.warn("traces cannot be exported", { error: error.toGoString(), "dropped-spans": this.#dropped });
  }
}

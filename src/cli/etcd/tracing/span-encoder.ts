/**
 * Spans as OpenTelemetry's collector takes them, the part of OTLP that is used:
 *
 *     ExportTraceServiceRequest  1 resource_spans*
 *     ResourceSpans              1 resource { 1 attributes* }  2 scope_spans*
 *     ScopeSpans                 1 scope { 1 name  2 version }  2 spans*
 *     Span      1 trace_id  2 span_id  3 trace_state  4 parent_span_id  5 name  6 kind  7 start_time_unix_nano (fixed64)
 *               8 end_time_unix_nano (fixed64)  9 attributes*  15 status { 3 code }  16 flags (fixed32)
 *     KeyValue  1 key  2 value { 1 string_value  3 int_value }
 *
 * @see github.com/open-telemetry/opentelemetry-proto
 */
import { BinaryWriter } from "@bufbuild/protobuf/wire";

export type Attributes = Readonly<Record<string, string | number>>;

export interface Span {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  /** Undefined: the trace begins here. */
  readonly parentSpanId: Uint8Array | undefined;
  readonly traceState: string;
  readonly name: string;
  /** Wall clock, milliseconds with fraction. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Attributes;
  readonly isError: boolean;
}

const serverKind = 2;
const errorStatus = 2;
const sampledFlag = 1;

export function encodeSpan(span: Span): Uint8Array {
  const writer = new BinaryWriter();
  writer.uint32(tag(1, bytes)).bytes(span.traceId).uint32(tag(2, bytes)).bytes(span.spanId);
  if (span.traceState !== "") writer.uint32(tag(3, bytes)).string(span.traceState);
  if (span.parentSpanId !== undefined) writer.uint32(tag(4, bytes)).bytes(span.parentSpanId);
  writer.uint32(tag(5, bytes)).string(span.name).uint32(tag(6, varint)).int32(serverKind);
  writer.uint32(tag(7, fixed64)).fixed64(nanoseconds(span.startedAt));
  writer.uint32(tag(8, fixed64)).fixed64(nanoseconds(span.endedAt));
  writeAttributes(writer, 9, span.attributes);
  writer.uint32(tag(15, bytes)).fork();
  if (span.isError) writer.uint32(tag(3, varint)).int32(errorStatus);
  writer.join();
  writer.uint32(tag(16, fixed32)).fixed32(sampledFlag);
  return writer.finish();
}

/** @param spans - encoded. */
export function encodeExport(resource: Attributes, spans: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  writer.uint32(tag(1, bytes)).fork();
  writer.uint32(tag(1, bytes)).fork();
  writeAttributes(writer, 1, resource);
  writer.join();
  writer.uint32(tag(2, bytes)).fork();
  writer.uint32(tag(1, bytes)).fork().uint32(tag(1, bytes)).string("quorate").join();
  for (const span of spans) writer.uint32(tag(2, bytes)).bytes(span);
  return writer.join().join().finish();
}

function writeAttributes(writer: BinaryWriter, field: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    writer.uint32(tag(field, bytes)).fork();
    writer.uint32(tag(1, bytes)).string(key).uint32(tag(2, bytes)).fork();
    if (typeof value === "string") writer.uint32(tag(1, bytes)).string(value);
    else writer.uint32(tag(3, varint)).int64(value);
    writer.join().join();
  }
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}

const varint = 0;
const fixed64 = 1;
const bytes = 2;
const fixed32 = 5;

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

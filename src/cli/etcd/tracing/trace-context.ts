/**
 * The trace that a caller takes part in, as its `traceparent` header tells (W3C Trace Context):
 *
 *     00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *     version, trace id, id of the caller's span, flags (bit 0: sampled)
 */
export interface TraceParent {
  /** 16 bytes, not all zero. */
  readonly traceId: Uint8Array;
  /** 8 bytes, not all zero. */
  readonly spanId: Uint8Array;
  readonly isSampled: boolean;
}

/** Undefined for a header that is none, which counts as absent. */
export function parseTraceParent(header: string | undefined): TraceParent | undefined {
  const match = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header ?? "");
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, more] = match;
  // Later versions may have more fields, this one has not.
  if (version === "00" && more !== undefined) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return {
    traceId: Buffer.from(traceId, "hex"),
    spanId: Buffer.from(spanId, "hex"),
    isSampled: (Number.parseInt(flags, 16) & 1) === 1,
  };
}

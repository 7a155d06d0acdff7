/** The traceparent header. */
import { expect, test } from "vitest";
import { parseTraceParent } from "./trace-context.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

test.each([
  [`00-${traceId}-${spanId}-01`, true],
  [`00-${traceId}-${spanId}-00`, false],
  [`00-${traceId}-${spanId}-03`, true],
  [`cc-${traceId}-${spanId}-01-more`, true],
])("%s is read", (header, isSampled) => {
  const parent = parseTraceParent(header);
  expect(parent).toMatchObject({ isSampled });
  expect(Buffer.from(parent!.traceId).toString("hex")).toBe(traceId);
  expect(Buffer.from(parent!.spanId).toString("hex")).toBe(spanId);
});

test.each([
  undefined,
  "",
  `ff-${traceId}-${spanId}-01`,
  `00-${"0".repeat(32)}-${spanId}-01`,
  `00-${traceId}-${"0".repeat(16)}-01`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${traceId}-${spanId}-01-more`,
  `00-${traceId}-${spanId}`,
])("%s counts as absent", (header) => {
  expect(parseTraceParent(header)).toBeUndefined();
});

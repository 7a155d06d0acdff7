import fc from "fast-check";
import { expect, test } from "vitest";
import { formatDuration, parseDuration } from "./duration.ts";

test.each([
  ["0", 0],
  ["5s", 5000],
  ["1h2m3s4ms", 3_723_004],
  ["1.5h", 5_400_000],
  ["-100ms", -100],
  ["+1us", 0.001],
  [".5s", 500],
])("parseDuration reads Go's %s", (text, ms) => {
  expect(parseDuration(text)).toBeCloseTo(ms, 6);
});

test.each([
  ["", 'time: invalid duration ""'],
  ["x", 'time: invalid duration "x"'],
  ["5", 'time: missing unit in duration "5"'],
  ["5parsecs", 'time: unknown unit "parsecs" in duration "5parsecs"'],
  ["5constructor", 'time: unknown unit "constructor" in duration "5constructor"'],
])("parseDuration refuses %j as Go does", (text, message) => {
  expect(() => parseDuration(text)).toThrow(message);
});

test.each([
  [0, "0s"],
  [0.5, "500\u00b5s"],
  [0.0015, "1.5\u00b5s"],
  [100, "100ms"],
  [1000, "1s"],
  [60_000, "1m0s"],
  [7_200_000, "2h0m0s"],
  [90_061_001, "25h1m1.001s"],
  [-1500, "-1.5s"],
])("formatDuration prints %d ms as Go does", (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test("what formatDuration prints, parseDuration reads back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000_000_000 }), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBeCloseTo(ms, 3);
    }),
  );
});

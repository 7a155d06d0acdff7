import { expect, test } from "vitest";
import { exponentialBounds, Histogram } from "./histogram.ts";

test("a value counts in the first bucket whose bound it does not exceed, and always in sum and count", () => {
  const histogram = new Histogram(exponentialBounds(1, 2, 3));
  for (const value of [0.5, 1, 1.5, 4, 9]) histogram.observe(value);
  expect([...histogram.counts]).toEqual([2, 1, 1]);
  expect([histogram.count, histogram.sum]).toEqual([5, 16]);
});

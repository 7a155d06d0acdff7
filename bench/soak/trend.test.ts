import { expect, test } from "vitest";
import { growsBeyond, trendOf } from "./trend.ts";

const minutes = Array.from({ length: 40 }, (_, minute) => minute);
const series = (value: (minute: number) => number) =>
  minutes.map((minute) => ({ hours: minute / 60, value: value(minute) }));
const limit = { perHour: 5, atLeast: 2 };

test("a straight line has its slope, and no error", () => {
  const trend = trendOf(series((minute) => 3 + minute / 6));
  expect(trend.slope).toBeCloseTo(10);
  expect(trend.error).toBeCloseTo(0);
  expect(trend.grown).toBeCloseTo(6.5);
  expect(growsBeyond(trend, limit)).toBe(true);
});

test("slow growth under noise is growth, noise alone is none", () => {
  const noise = (minute: number): number => ((minute * 7) % 11) - 5;
  expect(growsBeyond(trendOf(series((minute) => minute / 2 + noise(minute))), limit)).toBe(true);
  expect(growsBeyond(trendOf(series(noise)), limit)).toBe(false);
});

test("what grows fast but by little is not judged: a short run's caches", () => {
  const trend = trendOf(series((minute) => minute / 6).slice(0, 6));
  expect(growsBeyond(trend, limit)).toBe(false);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { keyInterval, type KeyInterval, KeyIntervals } from "./key-intervals.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const intervalOf = (key: string, rangeEnd: string): KeyInterval => {
  const interval = keyInterval(bytes(key), bytes(rangeEnd));
  if (interval === undefined) throw new Error(`no keys in [${key}, ${rangeEnd})`);
  return interval;
};
const granted = (...ranges: readonly (readonly [string, string])[]): KeyIntervals =>
  new KeyIntervals(ranges.map(([key, end]) => intervalOf(key, end)));

/** All keys of up to three letters out of two: enough for every way in which intervals can lie to each other. */
const letters = ["a", "b"];
const keys = [1, 2, 3].flatMap((length) => words(length)).sort();
function words(length: number): string[] {
  if (length === 0) return [""];
  return words(length - 1).flatMap((word) => letters.map((letter) => word + letter));
}
const key = fc.constantFrom(...keys);
const rangeEnd = fc.oneof(key, fc.constant(""), fc.constant("\0"));
const range = fc.tuple(key, rangeEnd).filter(([start, end]) => keyInterval(bytes(start), bytes(end)) !== undefined);

/** Keys of a range among those of the test and those between them, one by one. */
const universe = keys.flatMap((one) => [one, `${one}\0`, `${one}~`]);
const isIn = (one: string, [start, end]: readonly [string, string]): boolean => {
  if (end === "") return one === start;
  return one >= start && (end === "\0" || one < end);
};

test("a key is open when one of the permissions holds it", () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), fc.constantFrom(...universe), (ranges, one) => {
      expect(granted(...ranges).hasKey(bytes(one))).toBe(ranges.some((each) => isIn(one, each)));
    }),
  );
});

test("a range is open when each of its keys is, whichever permission it is by", () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), range, (ranges, [start, end]) => {
      fc.pre(end !== "");
      // A range to the end also holds keys behind all of the test's.
      const asked = [...universe, "zz"].filter((one) => isIn(one, [start, end]));
      const isOpen = asked.every((one) => ranges.some((each) => isIn(one, each)));
      expect(granted(...ranges).hasRange(bytes(start), bytes(end))).toBe(isOpen);
    }),
    { numRuns: 2000 },
  );
});

test("neighbours join, and a gap of a single key parts", () => {
  expect(granted(["a", "c"], ["c", "e"]).hasRange(bytes("a"), bytes("e"))).toBe(true);
  expect(granted(["a", ""], ["a\0", "b"]).hasRange(bytes("a"), bytes("b"))).toBe(true);
  expect(granted(["a", ""], ["a\0\0", "b"]).hasRange(bytes("a"), bytes("b"))).toBe(false);
});

test("a single key does not open what comes behind it", () => {
  const single = granted(["k", ""]);
  expect(single.hasKey(bytes("k"))).toBe(true);
  expect(single.hasRange(bytes("k"), bytes("\0"))).toBe(false);
  expect(single.hasRange(bytes("k"), bytes("l"))).toBe(false);
  expect(single.hasRange(bytes("k"), bytes("k\0"))).toBe(true);
});

test("to the end of the keys reaches only who was granted that", () => {
  expect(granted(["a", "\0"]).hasRange(bytes("b"), bytes("\0"))).toBe(true);
  expect(granted(["a", "\xff\xff\xff"]).hasRange(bytes("b"), bytes("\0"))).toBe(false);
});

test("a range without keys is open when its key is", () => {
  const intervals = granted(["a", "c"], ["d", "\0"]);
  expect(intervals.hasRange(bytes("b"), bytes("b"))).toBe(true);
  expect(intervals.hasRange(bytes("c"), bytes("c"))).toBe(false);
  expect(intervals.hasRange(bytes("e"), bytes("c"))).toBe(true);
});

test("without a key, or with an end that is not behind it, there is no interval", () => {
  expect(keyInterval(bytes(""), bytes("b"))).toBeUndefined();
  expect(keyInterval(bytes("b"), bytes("a"))).toBeUndefined();
  expect(keyInterval(bytes("b"), bytes("b"))).toBeUndefined();
});

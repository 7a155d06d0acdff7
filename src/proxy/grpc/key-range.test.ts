/** Ranges of keys against a slow twin that tries every key. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { compareBytes } from "../../base/bytes.ts";
import { isOpen, isPossible, overlap, type KeyRange } from "./key-range.ts";

/** All keys of up to three letters. */
const letters = ["a", "b", "c"];
const keys = letters
  .flatMap((one) => [one, ...letters.flatMap((two) => [one + two, ...letters.map((three) => one + two + three)])])
  .map((text) => Buffer.from(text));

const key = fc.constantFrom(...keys.filter(({ length }) => length < 3));
const range = fc.record({ key, rangeEnd: fc.oneof(key, fc.constant(Buffer.of(0)), fc.constant(Buffer.alloc(0))) });

function holds({ key: start, rangeEnd }: KeyRange, tried: Uint8Array): boolean {
  if (rangeEnd.length === 0) return compareBytes(tried, start) === 0;
  return compareBytes(tried, start) >= 0 && (isOpen(rangeEnd) || compareBytes(tried, rangeEnd) < 0);
}

test("two ranges overlap when a key is in both", () => {
  fc.assert(
    fc.property(range.filter(isPossible), range.filter(isPossible), (one, other) => {
      expect(overlap(one, other)).toBe(keys.some((tried) => holds(one, tried) && holds(other, tried)));
    }),
  );
});

test("a range is impossible when no key is in it", () => {
  fc.assert(
    fc.property(range, (one) => {
      expect(isPossible(one)).toBe(keys.some((tried) => holds(one, tried)));
    }),
  );
});

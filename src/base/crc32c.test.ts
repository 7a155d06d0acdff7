import fc from "fast-check";
import { expect, test } from "vitest";
import { updateCrc32c } from "./crc32c.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

test("known values: the check value of the catalogue and the vectors of RFC 3720 B.4", () => {
  expect(updateCrc32c(0, text("123456789"))).toBe(0xe306_9283);
  expect(updateCrc32c(0, new Uint8Array(32))).toBe(0x8a91_36aa);
  expect(updateCrc32c(0, new Uint8Array(32).fill(0xff))).toBe(0x62a8_ab43);
  expect(
    updateCrc32c(
      0,
      Uint8Array.from({ length: 32 }, (_, index) => index),
    ),
  ).toBe(0x46dd_794e);
  expect(updateCrc32c(0, new Uint8Array(0))).toBe(0);
});

test("any cut into pieces gives the same value as a bit by bit twin over the whole", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(200), (bytes, a, b) => {
      const first = Math.min(a, b, bytes.length);
      const second = Math.min(Math.max(a, b), bytes.length);
      const piecewise = updateCrc32c(
        updateCrc32c(updateCrc32c(0, bytes, 0, first), bytes, first, second),
        bytes.subarray(second),
      );
      expect(piecewise).toBe(bitwise(bytes));
    }),
  );
});

function bitwise(bytes: Uint8Array): number {
  let value = 0xffff_ffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ ((value & 1) === 1 ? 0x82f6_3b78 : 0);
  }
  return ~value >>> 0;
}

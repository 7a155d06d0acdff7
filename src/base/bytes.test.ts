import { expect, test } from "vitest";
import { prefixEnd, joinBytes } from "./bytes.ts";

test("prefixEnd gives the key behind all that start with the prefix, and leaves the prefix alone", () => {
  const prefix = Buffer.from("p/");
  expect(Buffer.from(prefixEnd(prefix)).toString()).toBe("p0");
  expect(prefix.toString()).toBe("p/");
  expect([...prefixEnd(Uint8Array.of(1, 0xff))]).toEqual([2]);
  expect([...prefixEnd(Uint8Array.of(0xff, 0xff))]).toEqual([0]);
});

test("joinBytes() gives plain bytes of its own", () => {
  const joined = joinBytes([Buffer.from("ab"), new Uint8Array(0), Buffer.from("c")], 3);
  expect(joined).toEqual(Uint8Array.of(0x61, 0x62, 0x63));
  expect(Buffer.isBuffer(joined)).toBe(false);
});

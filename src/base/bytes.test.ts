import { expect, test } from "vitest";
import { prefixEnd } from "./bytes.ts";

test("prefixEnd gives the key behind all that start with the prefix, and leaves the prefix alone", () => {
  const prefix = Buffer.from("p/");
  expect(Buffer.from(prefixEnd(prefix)).toString()).toBe("p0");
  expect(prefix.toString()).toBe("p/");
  expect([...prefixEnd(Uint8Array.of(1, 0xff))]).toEqual([2]);
  expect([...prefixEnd(Uint8Array.of(0xff, 0xff))]).toEqual([0]);
});

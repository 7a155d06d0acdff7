import { expect, test } from "vitest";
import { quoteBytes } from "./quote.ts";

// Each pair is what Go's fmt.Sprintf("%q", []byte(...)) gives.
test.each([
  ["", '""'],
  ["foo bar", '"foo bar"'],
  ['say "hi" \\', '"say \\"hi\\" \\\\"'],
  ["\x07\b\f\n\r\t\v\0\x7f", '"\\a\\b\\f\\n\\r\\t\\v\\x00\\x7f"'],
  ["grüße 世界 🚀", '"grüße 世界 🚀"'],
  ["\u00a0\u200b\u{e0001}", '"\\u00a0\\u200b\\U000e0001"'],
])("%j", (text, quoted) => {
  expect(quoteBytes(new TextEncoder().encode(text))).toBe(quoted);
});

test("bytes that are no UTF-8 are shown one by one", () => {
  // A stray byte, a sequence cut short, an overlong one, a surrogate.
  const bytes = new Uint8Array([0xff, 0x61, 0xe4, 0xb8, 0x61, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0xe4]);
  expect(quoteBytes(bytes)).toBe('"\\xffa\\xe4\\xb8a\\xc0\\x80\\xed\\xa0\\x80\\xe4"');
});

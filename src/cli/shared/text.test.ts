import fc from "fast-check";
import { expect, test } from "vitest";
import { bytesOf, textOf } from "./argument-bytes.ts";
import { goJson } from "./go-json.ts";
import { parseInt64, parseUint64 } from "./go-number.ts";
import { quoteBytes, unquotePrefix } from "./go-quote.ts";
import { humanSize } from "../../base/human-size.ts";
import { renderTable } from "./text-table.ts";

test("quoted bytes are read back as the same bytes, whatever they are", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const quoted = quoteBytes(bytes);
      const read = unquotePrefix(`${quoted} rest`);
      expect(read?.length).toBe(quoted.length);
      expect([...(read?.value ?? [])]).toEqual([...bytes]);
    }),
  );
});

test("quoting is Go's: escapes for controls, \\x for what is not UTF-8, printable text as it is", () => {
  expect(quoteBytes(Buffer.from('a"\\\n\tключ'))).toBe('"a\\"\\\\\\n\\tключ"');
  expect(quoteBytes(Uint8Array.of(0, 1, 0xff, 0x80))).toBe('"\\x00\\x01\\xff\\x80"');
  expect(quoteBytes(Buffer.from("\u00a0\u200b"))).toBe('"\\u00a0\\u200b"');
});

test("an argument keeps bytes that are not UTF-8", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => Buffer.compare(bytesOf(textOf(bytes)), bytes) === 0));
});

test("numbers are read to the limits of 64 bits and refused with strconv's words", () => {
  expect(parseInt64("9223372036854775807", 10)).toBe(2n ** 63n - 1n);
  expect(parseInt64("-1", 16)).toBe(-1n);
  expect(parseUint64("ffffffffffffffff", 16)).toBe(2n ** 64n - 1n);
  expect(() => parseInt64("9223372036854775808", 10)).toThrow(
    'strconv.ParseInt: parsing "9223372036854775808": value out of range',
  );
  expect(() => parseUint64("-1", 16)).toThrow('strconv.ParseUint: parsing "-1": invalid syntax');
});

test("sizes for people are decimal with one digit below ten", () => {
  expect([0, 9, 999, 1000, 20480, 2147483648].map((size) => humanSize(size))).toEqual([
    "0 B",
    "9 B",
    "999 B",
    "1.0 kB",
    "20 kB",
    "2.1 GB",
  ]);
});

test("JSON has Go's names, plain 64-bit numbers and base64, and leaves zeros out", () => {
  const shape = [
    { property: "id", name: "ID" },
    { property: "key", name: "key" },
    { property: "more", name: "more" },
    { property: "text", name: "text", keepZero: true },
  ];
  const message = { id: 2n ** 63n, key: Buffer.from("foo"), more: false, text: "<&>" };
  expect(goJson(message, shape)).toBe('{"ID":9223372036854775808,"key":"Zm9v","text":"\\u003c\\u0026\\u003e"}');
});

test("a table centres its header, aligns cells to the right and wraps long ones at blanks", () => {
  const text = renderTable(["id", "error"], [["1", "context deadline exceeded after a long time of waiting"]]);
  expect(text).toBe(
    [
      "+----+--------------------------------+",
      "| ID |             ERROR              |",
      "+----+--------------------------------+",
      "|  1 |      context deadline exceeded |",
      "|    |   after a long time of waiting |",
      "+----+--------------------------------+",
      "",
    ].join("\n"),
  );
});

import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { goSort } from "./go-sort.ts";

/** The value at place `index` of an input of the given kind; `random` is the generator's output there. */
function valueOf(kind: string, index: number, length: number, random: number): number {
  switch (kind) {
    case "random":
      return random;
    case "few":
      return random % 5;
    case "ascending":
      return Math.floor(index / 3);
    case "descending":
      return Math.floor((length - index) / 3);
    case "saw":
      return index % 17;
    case "organ":
      return index > Math.floor(length / 2) ? length - index : index;
    case "almost":
      return random % 20 === 0 ? random % (length + 1) : index;
    default:
      return 1;
  }
}

/**
 * testdata/go-sort.txt was printed by a Go program (Go 1.2x, sort.Sort and sort.Reverse): kind of input, length, whether
 * reversed, and the CRC-32 of the original places in sorted order, each followed by a comma.
 */
test("equal elements come out in the order of Go's sort.Sort, for every kind of input", () => {
  const lines = readFileSync(new URL("testdata/go-sort.txt", import.meta.url), "utf8")
    .trim()
    .split("\n");
  expect(lines.length).toBe(208);
  for (const line of lines) {
    const [kind, lengthText, reversed, sum] = line.split(" ");
    const length = Number(lengthText);
    let random = length * 7 + kind.length;
    const items = Array.from({ length }, (_, place) => {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      return { value: valueOf(kind, place, length, random >>> 8), place };
    });
    if (reversed === "true") goSort(items, (a, b) => b.value < a.value);
    else goSort(items, (a, b) => a.value < b.value);
    expect(crc32(items.map(({ place }) => `${place},`).join("")), line).toBe(Number(sum));
  }
});

/** docs/security.md names a test for every attack: here the names are looked up, so that the tables cannot rot. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const text = readFileSync(join(root, "docs", "security.md"), "utf8");

/** Rows of the tables below a heading, without their head. */
function rowsBelow(heading: string): string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  return section
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2);
}

const named = [...text.matchAll(/`([\w./-]+\.test\.ts) › ([^`]+)`/g)].map(([, file, title]) => [file, title] as const);

test("tests are named, a lot of them", () => {
  expect(named.length).toBeGreaterThan(50);
});

test.each(named)("%s › %s is there", (file, title) => {
  expect(readFileSync(join(root, file), "utf8")).toContain(title);
});

test.each(["Published advisories of etcd", "What was tried"])(
  "every row of “%s” names a test, or says why there is none",
  (heading) => {
    const rows = rowsBelow(heading);
    expect(rows.length).toBeGreaterThan(15);
    for (const row of rows) expect(row).toMatch(/\.test\.ts › |\| not to be attacked \|$/);
  },
);

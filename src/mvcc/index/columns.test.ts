import { expect, test } from "vitest";
import { Columns } from "./columns.ts";

test("create revisions and versions that do not fit four bytes are kept, and forgotten when smaller ones follow", () => {
  const columns = new Columns();
  const slot = columns.allocate();
  const main = 2 ** 50;
  columns.page(slot).main[columns.at(slot)] = main;
  for (const create of [main, main - 1, main - 0xffff_fffe, main - 0xffff_ffff, 2, main + 7, main - 5]) {
    columns.setCreate(slot, create);
    expect(columns.create(slot)).toBe(create);
  }
  for (const version of [1, 0xffff_fffe, 0xffff_ffff, 2 ** 52, 3, 0]) {
    columns.setVersion(slot, version);
    expect(columns.version(slot)).toBe(version);
    expect(columns.isLive(slot)).toBe(version !== 0);
  }
});

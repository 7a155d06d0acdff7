/** Where backups cannot be written to is noticed before the member starts. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { prepareBackups } from "./prepare-backups.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quorate-"));
  writeFileSync(join(folder, "file"), "");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const prepared = (directory: string) =>
  prepareBackups({
    schedule: { next: (after) => after + 1 },
    directory,
    retention: { count: 0, ageMs: 0 },
    recipientSources: [],
  });

test.each(["file", "file/below", "file/below/deep"])("%s is refused, with what is wrong", async (name) => {
  const directory = join(folder, name);
  await expect(prepared(directory)).rejects.toThrow(
    `--quorate-backup-dir=${directory}: ${join(folder, "file")} is no directory`,
  );
});

test.each([".", "missing", "missing/below"])("%s is taken", async (name) => {
  expect(await prepared(join(folder, name))).toBeTypeOf("function");
});

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { KeyValue } from "./gen/mvccpb/kv.ts";

const committed = fileURLToPath(new URL("gen", import.meta.url));
const generator = fileURLToPath(new URL("../../scripts/generate.mjs", import.meta.url));

function filesOf(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

test("the committed codecs are what the .proto files generate", (context) => {
  const fresh = mkdtempSync(join(tmpdir(), "quorate-gen-"));
  try {
    const run = spawnSync(process.execPath, [generator, fresh], { encoding: "utf8" });
    if (run.status !== 0 && /ENOENT|not found|Cannot find|EACCES|unsupported/i.test(run.stderr)) {
      context.skip(`buf or ts-proto cannot run here: ${run.stderr.slice(0, 300)}`);
    }
    expect(run.stderr).toBe("");
    expect(filesOf(fresh)).toEqual(filesOf(committed));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
});

test("JSON uses the field names of the .proto files and text for 64-bit numbers", () => {
  const pair = KeyValue.create({ key: new Uint8Array([1]), createRevision: 2n ** 62n });
  expect(KeyValue.toJSON(pair)).toEqual({ key: "AQ==", create_revision: "4611686018427387904" });
});

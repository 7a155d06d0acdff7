// node scripts/run-ts.mjs FILE.ts [ARGUMENTS]: bundles a TypeScript program that is no part of the product (fuzzers, tools of
// tests) and runs it. Node 20 cannot run TypeScript by itself.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { spawnSync } from "node:child_process";
import { buildSync } from "esbuild";
import { root } from "./setup.mjs";

const [file, ...args] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "quorate-run-"));
let status = 1;
try {
  const outfile = join(folder, "main.mjs");
  buildSync({
    entryPoints: [resolve(root, file)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    // Packages in CommonJS require what Node has built in.
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
    },
    logLevel: "warning",
  });
  status = spawnSync(process.execPath, ["--enable-source-maps", outfile, ...args], { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(status);

// npm run test:raft-traces -- [--rewrite] PATH...: runs raft trace files against the core. The runner is TypeScript and no
// part of the product, so it is bundled on the fly.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildSync } from "esbuild";
import { root } from "./setup.mjs";

const folder = mkdtempSync(join(tmpdir(), "quorate-raft-traces-"));
try {
  const outfile = join(folder, "main.mjs");
  buildSync({
    entryPoints: [join(root, "test", "raft-traces", "main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    logLevel: "warning",
  });
  await import(pathToFileURL(outfile).href);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

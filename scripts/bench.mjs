// npm run bench -- [OPTIONS]: builds, bundles the benchmark out of the tree and runs it (options: see bench/main.ts).
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { build, install, root, run } from "./setup.mjs";

install();
build();
const target = join(root, "node_modules", ".cache", "bench");
mkdirSync(target, { recursive: true });
for (const name of ["main", "load"]) {
  buildSync({
    entryPoints: [join(root, "bench", `${name}.ts`)],
    outfile: join(target, `${name}.mjs`),
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
  });
}
run(process.execPath, [join(target, "main.mjs"), "--root", root, ...process.argv.slice(2)]);

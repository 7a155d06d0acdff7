// npm run sim -- [OPTIONS]: bundles the simulator out of the tree and runs it (options: sim/cli/options.ts).
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { install, root, run } from "./setup.mjs";

install();
const target = join(root, "node_modules", ".cache", "sim", String(process.pid));
mkdirSync(target, { recursive: true });
const outfile = join(target, "main.mjs");
buildSync({
  entryPoints: [join(root, "sim", "main.ts")],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  logLevel: "warning",
  // Packages in CommonJS require what Node has built in.
  banner: {
    js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
  },
});
run(process.execPath, ["--enable-source-maps", outfile, ...process.argv.slice(2)]);

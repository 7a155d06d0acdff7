// npm run build: compiles src/ to dist/ and bundles the command lines that must start fast.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleTools } from "./bundle-tools.mjs";
import { root, run } from "./setup.mjs";

rmSync(join(root, "dist"), { recursive: true, force: true });
run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"]);
await bundleTools();
writeFileSync(join(root, "dist", ".built"), "");

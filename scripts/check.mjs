// npm run check: formatter, linter with type-aware rules, types, layers, unused code, package shape.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { build, install, root } from "./setup.mjs";

install();
build();
const bin = (name) => join(root, "node_modules", ".bin", name);
const checks = [
  ["format", bin("oxfmt"), ["--check"]],
  ["lint", bin("oxlint"), ["--type-aware", "--deny-warnings"]],
  ["types", bin("tsc"), ["--noEmit"]],
  ["layers", process.execPath, [join(root, "scripts", "check-layers.mjs")]],
  ["unused code", bin("knip"), []],
  ["package", bin("publint"), ["--strict"]],
];
let failed = 0;
for (const [name, command, args] of checks) {
  console.log(`== ${name}`);
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (result.status !== 0) failed++;
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

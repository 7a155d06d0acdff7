// npm test [-- VITEST ARGUMENTS]: installs, builds and runs every test that needs nothing but npm.
import { join } from "node:path";
import { build, install, root, run } from "./setup.mjs";

install();
build();
run(process.execPath, [join(root, "node_modules", "vitest", "vitest.mjs"), "run", ...process.argv.slice(2)]);

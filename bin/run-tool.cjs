// Runs a bundled command line in this process. V8's code cache, made by the build, saves most of the compile time;
// another Node version ignores it.
"use strict";
const { existsSync, readFileSync } = require("node:fs");
const { wrap } = require("node:module");
const { dirname, join } = require("node:path");
const { Script } = require("node:vm");

module.exports = function runTool(name) {
  const root = dirname(__dirname);
  const filename = join(root, "dist", "tools", `${name}.cjs`);
  const cache = join(root, "dist", "tools", `${name}.cache`);
  if (!existsSync(filename)) {
    process.stderr.write(`${name}: quorate is not built: run "npm ci && npm run build" in ${root}\n`);
    process.exit(1);
  }
  const source = wrap(readFileSync(filename, "utf8"));
  const cachedData = existsSync(cache) ? readFileSync(cache) : undefined;
  const script = new Script(source, { filename, cachedData });
  script.runInThisContext()(exports, require, module, filename, dirname(filename));
};

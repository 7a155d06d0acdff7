// Bundles etcdctl and etcdutl into one file each (dist/tools) with V8's code cache beside it: they are started
// thousands of times by scripts, and loading some hundred modules would take longer than their work.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { root } from "./setup.mjs";

/** A command line per tool that runs through most of its code without needing a server. */
const warmUps = {
  etcdctl: ["get", "warm", "--endpoints=127.0.0.1:0", "--command-timeout=50ms"],
  etcdutl: ["version"],
  etcd: ["--help"],
  quorate: ["--version"],
};

// Compiles the bundle, runs it, and writes what V8 has compiled by then.
const produceCache = `
const { readFileSync, writeFileSync } = require("node:fs");
const { wrap } = require("node:module");
const { Script } = require("node:vm");
const { dirname } = require("node:path");
const [filename, cache, ...args] = process.argv.slice(1);
const script = new Script(wrap(readFileSync(filename, "utf8")), { filename });
process.argv = [process.argv[0], filename, ...args];
process.on("exit", () => writeFileSync(cache, script.createCachedData()));
script.runInThisContext()({}, require, {}, filename, dirname(filename));
`;

export async function bundleTools() {
  const target = join(root, "dist", "tools");
  mkdirSync(target, { recursive: true });
  for (const [name, warmUp] of Object.entries(warmUps)) {
    const filename = join(target, `${name}.cjs`);
    await build({
      entryPoints: [join(root, "src", "cli", name, "main.ts")],
      outfile: filename,
      bundle: true,
      platform: "node",
      format: "cjs",
      target: "node20",
      // A script run from source has no loader for import(): what is imported late becomes a late require.
      supported: { "dynamic-import": false },
      // What asks where it lies (the thread that hashes passwords, for its library) is told of the bundle's file.
      define: { "import.meta.url": "bundleUrl" },
      banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
      legalComments: "none",
      // Without comments: V8 keeps the source, and one character outside Latin-1 makes it take two bytes for each. With them
      // `etcd` kept 5.6 MB of it.
      minifyWhitespace: true,
      lineLimit: 160,
      logLevel: "warning",
    });
    const cache = join(target, `${name}.cache`);
    spawnSync(process.execPath, ["-e", produceCache, filename, cache, ...warmUp], { stdio: "ignore", env: {} });
    if (!existsSync(cache)) throw new Error(`the code cache of ${name} could not be made`);
  }
}

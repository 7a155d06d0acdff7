// What `npm start` and `npm test` share: install when the lock file changed, build when a source changed.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command with inherited output and ends this process with its exit code when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function modifiedAt(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

function newestUnder(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) newest = Math.max(newest, modifiedAt(join(entry.parentPath ?? entry.path, entry.name)));
  }
  return newest;
}

/** Installs the locked dependencies unless node_modules is already newer than the lock file. */
export function install({ quiet = false } = {}) {
  const installed = modifiedAt(join(root, "node_modules", ".package-lock.json"));
  if (installed >= modifiedAt(join(root, "package-lock.json"))) return;
  run("npm", ["ci", "--no-audit", "--no-fund"], { stdio: quiet ? "ignore" : ["ignore", "ignore", "inherit"] });
}

/** Builds dist/ unless it is already newer than every source. */
export function build() {
  const built = modifiedAt(join(root, "dist", ".built"));
  const sources = Math.max(
    newestUnder(join(root, "src")),
    modifiedAt(join(root, "package.json")),
    modifiedAt(join(root, "scripts", "build.mjs")),
    modifiedAt(join(root, "tsconfig.build.json")),
  );
  if (built > sources) return;
  run(process.execPath, [join(root, "scripts", "build.mjs")]);
}

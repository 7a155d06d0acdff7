// Imports point downward only. Reads every source file and fails on an upward import, an import cycle
// between files, and on clocks, chance or I/O outside the platform layer.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { root } from "./setup.mjs";

const cores = ["base", "wire", "http2", "grpc", "raft", "storage", "mvcc", "lease", "auth", "alarm", "membership"];

/** Layer (longest folder prefix below src/) → the layers it may import besides itself. */
const allowed = {
  base: [],
  platform: ["base"],
  wire: ["base", "platform"],
  http2: ["base", "platform", "wire"],
  grpc: ["base", "platform", "wire", "http2"],
  raft: ["base", "wire"],
  "storage/bbolt": ["base", "platform"],
  "storage/wal": ["base", "platform", "wire"],
  "storage/snap": ["base", "platform", "wire"],
  "storage/backend": ["base", "platform", "wire", "storage/bbolt"],
  mvcc: ["base", "wire", "storage/backend"],
  lease: ["base", "wire", "storage/backend"],
  auth: ["base", "wire", "storage/backend"],
  alarm: ["base", "wire", "storage/backend"],
  membership: ["base", "wire", "storage/backend"],
  peer: ["base", "platform", "wire", "http2", "grpc", "raft", "storage/snap", "membership"],
  server: [
    "base",
    "platform",
    "wire",
    "http2",
    "grpc",
    "raft",
    "storage/bbolt",
    "storage/wal",
    "storage/snap",
    "storage/backend",
    "mvcc",
    "lease",
    "auth",
    "alarm",
    "membership",
    "peer",
  ],
  http: ["base", "platform", "wire", "http2", "grpc", "alarm", "membership", "server"],
  client: ["base", "platform", "wire", "http2", "grpc"],
  discovery: ["base", "platform", "wire", "membership", "peer", "client"],
  proxy: ["base", "platform", "wire", "http2", "grpc", "client", "discovery", "http"],
  cli: [
    "base",
    "platform",
    "wire",
    "http2",
    "grpc",
    "raft",
    "storage/bbolt",
    "storage/wal",
    "storage/snap",
    "storage/backend",
    "mvcc",
    "lease",
    "auth",
    "alarm",
    "membership",
    "peer",
    "server",
    "http",
    "client",
    "discovery",
    "proxy",
  ],
  testing: ["base", "platform", "wire", "client", "cli"],
};

const source = join(root, "src");
const files = readdirSync(source, { recursive: true })
  .map((name) => name.split("\\").join("/"))
  .filter((name) => name.endsWith(".ts"));
const problems = [];

function layerOf(file) {
  const parts = file.split("/");
  const two = parts.slice(0, 2).join("/");
  if (two in allowed) return two;
  return parts[0];
}

const imports = new Map();
for (const file of files) {
  const isTest = /\.(test|bench)\.ts$/.test(file);
  const text = readFileSync(join(source, file), "utf8");
  const layer = layerOf(file);
  if (!(layer in allowed)) problems.push(`${file}: no layer is declared for ${layer}`);
  const targets = [];
  for (const match of text.matchAll(
    /^\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm,
  )) {
    const name = match[1] ?? match[2] ?? match[3];
    const typeOnly = /^\s*(import|export)\s+type\s/.test(match[0]);
    if (name.startsWith(".")) {
      const target = relative(source, resolve(source, dirname(file), name))
        .split("\\")
        .join("/");
      const targetLayer = layerOf(target);
      if (!typeOnly) targets.push(target);
      if (isTest || targetLayer === layer) continue;
      if (!(allowed[layer] ?? []).includes(targetLayer))
        problems.push(`${file}: ${layer} may not import ${targetLayer} (${name})`);
    } else if (name.startsWith("node:") && !isTest) {
      const pure = ["node:buffer", "node:util", "node:path"];
      const edge = ["platform", "http", "cli", "client", "server"].includes(layer);
      if (!edge && !pure.includes(name)) problems.push(`${file}: ${layer} may not import ${name}`);
      if (
        ["server", "client", "http"].includes(layer) &&
        ["node:fs", "node:net", "node:dns", "node:timers"].includes(name)
      ) {
        problems.push(`${file}: ${name} belongs behind platform`);
      }
    }
  }
  if (!isTest) imports.set(file, targets);
  if (!isTest && [...cores, "server", "peer", "proxy"].includes(file.split("/")[0])) {
    for (const match of text.matchAll(
      /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|performance\.now|process\.hrtime)\s*\(/g,
    )) {
      const line = text.slice(0, match.index).split("\n").length;
      const before = text.slice(text.lastIndexOf("\n", match.index) + 1, match.index);
      if (/^\s*(\*|\/\/)/.test(before) || /[\w.]$/.test(before) || before.trimEnd().endsWith(".")) continue;
      problems.push(`${file}:${line}: ${match[1]} outside platform`);
    }
  }
}

// Cycles between files (type-only imports do not exist at run time and do not count).
const state = new Map();
function visit(file, path) {
  if (state.get(file) === "done" || !imports.has(file)) return;
  if (state.get(file) === "open") {
    problems.push(`import cycle: ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`);
    return;
  }
  state.set(file, "open");
  for (const target of imports.get(file)) visit(target, [...path, file]);
  state.set(file, "done");
}
for (const file of imports.keys()) visit(file, []);

for (const problem of problems) console.error(problem);
console.log(`${files.length} files, ${problems.length} layer problems`);
process.exit(problems.length === 0 ? 0 : 1);

// Writes src/wire/gen from src/wire/proto: `npm run generate`, or `node scripts/generate.mjs <folder>` to write elsewhere.
// buf compiles the .proto files and runs ts-proto; both come with the development dependencies and need no network.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { root } from "./setup.mjs";

const target = resolve(process.argv[2] ?? join(root, "src/wire/gen"));
const options = [
  "forceLong=bigint", // all 64 bits arrive
  "snakeToCamel=keys", // camelCase in TypeScript,
  "protoJsonFormat=false", // the names of the .proto files in JSON, as etcd prints it
  "importSuffix=.ts",
  "esModuleInterop=true",
  "outputServices=none", // the servers and clients have their own tables of methods
  "enumsAsLiterals=true", // no `enum`: erasable syntax only
];
const template = {
  version: "v2",
  plugins: [
    { local: [process.execPath, join(root, "node_modules/ts-proto/protoc-gen-ts_proto")], out: target, opt: options },
  ],
};

const work = mkdtempSync(join(tmpdir(), "quorate-generate-"));
try {
  const file = join(work, "buf.gen.json");
  writeFileSync(file, JSON.stringify(template));
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  const buf = join(root, "node_modules/@bufbuild/buf/bin/buf");
  const input = join(root, "src/wire/proto");
  execFileSync(process.execPath, [buf, "generate", input, "--template", file], {
    cwd: work,
    env: { ...process.env, BUF_CACHE_DIR: join(work, "cache") },
    stdio: "inherit",
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}

/**
 * `npm run test:raft-traces -- [--rewrite] PATH...`: runs the trace files (`*.txt`) in the given folders, at any depth, and
 * compares what the core prints. Exit status 1 if a file differs or there is none. `--rewrite` writes what was printed
 * into the files, for a look at the difference afterwards; only for traces of our own.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setVerify } from "../../src/base/assert.ts";
import { describeMismatch, rewriteTrace, runTrace } from "./runner.ts";

setVerify(true);

function traceFiles(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".txt"))
    .sort()
    .map((name) => join(path, name));
}

function main(args: readonly string[]): number {
  const rewrite = args.includes("--rewrite");
  const paths = args.filter((arg) => arg !== "--rewrite");
  if (paths.length === 0) {
    console.error("usage: npm run test:raft-traces -- [--rewrite] PATH...");
    return 2;
  }
  let passed = 0;
  let failed = 0;
  for (const file of paths.flatMap(traceFiles)) {
    if (rewrite) writeFileSync(file, rewriteTrace(readFileSync(file, "utf8")));
    const problem = checkFile(file);
    if (problem === undefined) {
      passed++;
      console.log(`ok    ${file}`);
    } else {
      failed++;
      console.log(`FAIL  ${file}\n${problem}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function checkFile(file: string): string | undefined {
  try {
    const mismatches = runTrace(readFileSync(file, "utf8"));
    return mismatches.length === 0 ? undefined : mismatches.map(describeMismatch).join("\n\n");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

process.exitCode = main(process.argv.slice(2));

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { setVerify } from "../../src/base/assert.ts";
import { describeMismatch, rewriteTrace, runTrace } from "./runner.ts";
import { parseScript } from "./script.ts";

const ours = fileURLToPath(new URL("testdata", import.meta.url));
/** The traces of etcd-io/raft v3.6.0, if a copy lies beside this repository. */
const upstream = fileURLToPath(new URL("../../../shared/raft-testdata", import.meta.url));

function traceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".txt"));
}

function problems(text: string): string {
  return runTrace(text).map(describeMismatch).join("\n\n");
}

beforeAll(() => setVerify(true));
afterAll(() => setVerify(false));

describe("traces of our own", () => {
  test.each(traceFiles(ours))("%s", (name) => {
    expect(problems(readFileSync(join(ours, name), "utf8"))).toBe("");
  });
});

describe.skipIf(!existsSync(upstream))("traces of etcd-io/raft (skipped: ../shared/raft-testdata is not there)", () => {
  test.each(existsSync(upstream) ? traceFiles(upstream) : [])("%s", (name) => {
    expect(problems(readFileSync(join(upstream, name), "utf8"))).toBe("");
  });
});

test("a wrong output is reported with its difference, and the rest of the file still runs", () => {
  const trace = "vote cfg=(1,2) votes=(y,n)\n----\nVoteWon\n\nvote cfg=(1) votes=(y)\n----\nVoteWon\n";
  expect(problems(trace)).toBe("line 1: vote cfg=1,2 votes=y,n\n    - VoteWon\n    + VoteLost");
});

test("rewriting puts the actual output in place and leaves the rest alone", () => {
  const trace = "# A comment.\nvote cfg=(1,2) votes=(y,n)\n----\nVoteWon\n\nvote cfg=(1) votes=(y)\n----\nok\n";
  const rewritten = rewriteTrace(trace);
  expect(rewritten).toBe(
    "# A comment.\nvote cfg=(1,2) votes=(y,n)\n----\nVoteLost\n\nvote cfg=(1) votes=(y)\n----\nVoteWon\n",
  );
  expect(problems(rewritten)).toBe("");
});

test("commands may be continued, values nested, input and output have blank lines", () => {
  const [step, next] = parseScript(
    "# comment\nfirst a \\\n  b= c=(1, (2, 3), 4)\nin\n\nput\n----\n----\nout\n\nput\n----\n----\n\nnext\n----\nok",
  );
  expect(step).toEqual({
    line: 2,
    command: "first",
    args: [
      { key: "a", values: [] },
      { key: "b", values: [""] },
      { key: "c", values: ["1", "(2, 3)", "4"] },
    ],
    input: "in\n\nput",
    expected: "out\n\nput",
  });
  expect(next).toMatchObject({ command: "next", expected: "ok" });
});

import { expect, test } from "vitest";
import { Compare_CompareResult, Compare_CompareTarget } from "../../wire/gen/etcdserverpb/rpc.ts";
import { parseComparison } from "./comparison.ts";
import { splitWords } from "./shell-words.ts";
import { splitWatchArguments } from "./watch-arguments.ts";

test("a comparison is read with Go's quoting and any blanks", () => {
  const compare = parseComparison('mod( "k\\x20y")   !=  "12" and the rest');
  expect(Buffer.from(compare.key).toString()).toBe("k y");
  expect(compare.target).toBe(Compare_CompareTarget.MOD);
  expect(compare.result).toBe(Compare_CompareResult.NOT_EQUAL);
  expect(compare.modRevision).toBe(12n);
});

test.each([
  ['value("k") = v', 'malformed comparison: value("k") = v; got value("k") = ""'],
  ['value(k) = "v"', 'malformed comparison: value(k) = "v"; got value("")  ""'],
  ['value("k")="v"', 'malformed comparison: value("k")="v"; got value("k")  ""'],
  ['bogus("k") = "1"', 'malformed comparison: bogus("k") = "1" (unknown target bogus)'],
  ['mod("k") > "abc"', 'invalid txn compare request: mod("k") > "abc"'],
  ["mod k", "malformed comparison: mod k"],
])("%s is refused with etcdctl's words", (line, message) => {
  expect(() => parseComparison(line)).toThrow(expect.objectContaining({ message, exitCode: 3 }));
});

test("a line is split at blanks outside of quotes", () => {
  expect(splitWords(`put "sp ace" 'new\\nline' x"y`)).toEqual(["put", "sp ace", "new\\nline", 'x"y']);
});

const noEnvironment = { key: "", rangeEnd: "" };

test("behind the separator of watch stands the command", () => {
  const words = {
    raw: ["a", "--rev=1", "b", "--", "echo", "hi"],
    parsed: ["a", "b", "echo", "hi"],
    isInteractive: false,
  };
  expect(splitWatchArguments(words, noEnvironment)).toEqual({ keys: ["a", "b"], command: ["echo", "hi"] });
});

test("the key of a watch comes from the arguments or the environment, not from both", () => {
  const environment = { key: "k", rangeEnd: "z" };
  const none = { raw: [], parsed: [], isInteractive: false };
  expect(splitWatchArguments(none, environment)).toEqual({ keys: ["k", "z"], command: [] });
  const both = { raw: ["a"], parsed: ["a"], isInteractive: false };
  expect(() => splitWatchArguments(both, environment)).toThrow("found conflicting environment key");
  expect(() => splitWatchArguments(none, noEnvironment)).toThrow("bad number of arguments");
});

import { expect, test } from "vitest";
import { FlagSet, type FlagSpec } from "./flags.ts";

const specs: readonly FlagSpec[] = [
  { name: "prefix", shorthand: "p", type: "bool", initial: false, usage: "" },
  { name: "write-out", shorthand: "w", type: "string", initial: "simple", usage: "" },
  { name: "rev", type: "integer", initial: 0n, usage: "" },
  { name: "timeout", type: "duration", initial: 5000, usage: "" },
  { name: "endpoints", type: "list", initial: ["a:1"], usage: "" },
];

function parse(...args: string[]): FlagSet {
  const flags = new FlagSet(specs);
  flags.parse(args);
  return flags;
}

test("a flag is read in every form that pflag knows, anywhere among the arguments", () => {
  for (const args of [
    ["-wjson"],
    ["-w", "json"],
    ["-w=json"],
    ["--write-out=json"],
    ["--write-out", "json"],
    ["-pwjson"],
  ]) {
    const flags = parse("key", ...args, "end");
    expect(flags.text("write-out"), args.join(" ")).toBe("json");
    expect(flags.arguments, args.join(" ")).toEqual(["key", "end"]);
  }
});

test("behind -- everything is an argument, and a lone - is one anywhere", () => {
  expect(parse("-", "--prefix", "--", "--rev", "-x").arguments).toEqual(["-", "--rev", "-x"]);
});

test("the last value of a flag counts; lists grow, and the first value given replaces the default", () => {
  expect(parse("--rev=1", "--rev=0x10").integer("rev")).toBe(16n);
  expect(parse("--endpoints=b:1,c:1", "--endpoints=d:1").list("endpoints")).toEqual(["b:1", "c:1", "d:1"]);
  expect(parse("--endpoints=").list("endpoints")).toEqual([]);
});

test.each([
  [["--bogus"], "unknown flag: --bogus"],
  [["-x"], "unknown shorthand flag: 'x' in -x"],
  [["-w"], "flag needs an argument: 'w' in -w"],
  [["--rev"], "flag needs an argument: --rev"],
  [["--rev=x"], 'invalid argument "x" for "--rev" flag: strconv.ParseInt: parsing "x": invalid syntax'],
  [
    ["--prefix=maybe"],
    'invalid argument "maybe" for "-p, --prefix" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
  ],
  [["--timeout=bad"], 'invalid argument "bad" for "--timeout" flag: time: invalid duration "bad"'],
  [["--=x"], "bad flag syntax: --=x"],
])("%j is refused as pflag refuses it", (args, message) => {
  expect(() => parse(...args)).toThrow(message);
});

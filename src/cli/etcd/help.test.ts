import { expect, test } from "vitest";
import { flagNames } from "./flags.ts";
import { help } from "./help.ts";

test("help names every flag once", () => {
  const names = [...help().matchAll(/^ {2}--([a-z0-9-]+)/gm)].map((match) => match[1]);
  expect(names.toSorted()).toEqual([...flagNames].sort());
});

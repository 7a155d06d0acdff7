import { expect, test } from "vitest";
import { parseRule, type RuleVariables } from "./rule.ts";

const mega = 1024 * 1024;
const member = (dbSize: number, dbSizeInUse: number, dbQuota = 2048 * mega): RuleVariables => ({
  dbSize,
  dbSizeInUse,
  dbSizeFree: dbSize - dbSizeInUse,
  dbQuota,
  dbQuotaUsage: dbSize / dbQuota,
});

test.each([
  ["dbSize > dbQuota*80/100 || dbSize - dbSizeInUse > 200*1024*1024", member(1000 * mega, 700 * mega), true],
  ["dbSize > dbQuota*80/100 && dbSize - dbSizeInUse > 200*1024*1024", member(1000 * mega, 700 * mega), false],
  ["dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024", member(1700 * mega, 1690 * mega), true],
  ["dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024", member(100 * mega, 90 * mega), false],
  ["dbSizeFree >= dbSize / 2", member(100, 50), true],
  ["!(dbSizeFree > 1) == true", member(100, 100), true],
  ["1 + 2 * 3 == 7 && 10 - 2 - 3 == 5 && 7 % 4 == 3 && -2 < 1", member(0, 0), true],
  ["7 / 2 == 3 && 7.0 / 2 == 3.5 && dbSize / 2 == 3.5", member(7, 7), true],
  ["true || dbSize / 0 > 1 && false", member(1, 1), true],
])("%s", (text, variables, expected) => {
  expect(parseRule(text)(variables)).toBe(expected);
});

test.each([
  ["dbSize", "is a number"],
  ["dbSzie > 1", 'unknown name "dbSzie"'],
  ["dbSize >", "ends too early"],
  ["(dbSize > 1", "closing parenthesis"],
  ["dbSize > 1 1", 'unexpected "1"'],
  ["dbSize > 1 || 2", "needs a boolean"],
  ["!dbSize", "needs a boolean"],
  ["dbSize > 1; true", 'cannot be read from "; true"'],
  ["(".repeat(200), "nested deeper"],
])("%s is refused", (text, reason) => {
  expect(() => parseRule(text)).toThrow(reason);
});

import { expect, test } from "vitest";
import { type FuzzOutcome, fuzzConnection } from "./http2-fuzzer.ts";

test("a few hundred fuzzed connections leave nothing behind, and reach both the living and the dead", async () => {
  const outcomes: FuzzOutcome[] = [];
  for (let seed = 1; seed <= 400; seed++) outcomes.push(await fuzzConnection(seed));
  expect(outcomes.filter(({ alive }) => alive).length).toBeGreaterThan(20);
  expect(outcomes.filter(({ alive }) => !alive).length).toBeGreaterThan(20);
  expect(outcomes.reduce((sum, { calls }) => sum + calls, 0)).toBeGreaterThan(100);
});

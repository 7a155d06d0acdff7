/** Every input that once failed, and a short run of each fuzzer from a fixed seed. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { failureOf, fuzz, FuzzFailure } from "./fuzz.ts";
import type { FuzzTarget } from "./target.ts";
import { fuzzTargets } from "./targets.ts";

const kept = join(import.meta.dirname, "../fixtures/fuzz");

test.each(fuzzTargets)("$name: what once failed does not fail any more", async (target) => {
  const folder = join(kept, target.name);
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const outcome = await failureOf(target, readFileSync(join(folder, name)));
    expect([undefined, "refused"], `${target.name}/${name}`).toContain(outcome);
  }
});

test.each(fuzzTargets.filter(({ name }) => name !== "http2"))(
  "$name: takes its corpus, and some of what is made of it",
  async (target) => {
    const corpus = await target.corpus();
    for (const input of corpus) expect(await failureOf(target, input)).toBeUndefined();
    const count = target.bytesMax === undefined ? 1_000 : 60;
    const { inputs, taken } = await fuzz(target, { seed: 1, isOver: (done) => done >= count });
    expect(inputs).toBe(count);
    expect(taken).toBeGreaterThan(corpus.length);
  },
);

test("a failure is found, made small, and named by its seed", async () => {
  const target: FuzzTarget = {
    name: "planted",
    corpus: () => [Buffer.from("a long input with a flaw: <!> somewhere in it, and more behind")],
    run(input) {
      if (Buffer.from(input).includes("<") && Buffer.from(input).includes("?")) throw new TypeError("planted");
      if (input.length % 2 === 0) throw new SyntaxError("refused");
    },
    refuses: (error) => error instanceof SyntaxError,
  };
  const run = fuzz(target, { seed: 7, isOver: (inputs) => inputs >= 200_000 });
  const failure = await run.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(FuzzFailure);
  const { input, message } = failure as FuzzFailure;
  expect(input.length).toBe(2);
  expect(message).toMatch(/^planted, seed \d+: TypeError: planted/);
});

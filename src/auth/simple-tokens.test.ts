import { beforeEach, expect, test } from "vitest";
import { SimpleTokens } from "./simple-tokens.ts";

let nowMs: number;
let bytes: number[];
let tokens: SimpleTokens;

beforeEach(() => {
  nowMs = 0;
  bytes = [];
  tokens = new SimpleTokens({
    ttlMs: 1000,
    now: () => nowMs,
    randomBytes: (length) => Uint8Array.from({ length }, () => bytes.shift() ?? 0),
  });
});

function assign(username: string, index: number): string {
  return tokens.assign({ username, revision: 1, prefix: "x", index, isProposer: false });
}

test("a prefix has sixteen letters, all of them equally likely", () => {
  // The first two bytes would favour the first letters and are not used.
  bytes = [255, 208, 0, 25, 26, 51, 207];
  expect(tokens.newPrefix()).toBe("azAZZaaaaaaaaaaa");
});

test("every use gives a token its whole time again", () => {
  const token = assign("u", 7);
  expect(token).toBe("x.7");
  nowMs = 999;
  expect(tokens.identify(token, 4)).toEqual({ username: "u", revision: 4 });
  nowMs = 1998;
  expect(tokens.identify(token, 5)).toEqual({ username: "u", revision: 5 });
  nowMs = 2998;
  expect(tokens.identify(token, 5)).toBeUndefined();
});

test("what has run out is forgotten, though nobody asks for it", () => {
  for (let index = 1; index <= 100; index++) assign("u", index);
  nowMs = 500;
  const used = assign("u", 101);
  nowMs = 1400;
  expect(tokens.identify(used, 1)).toBeDefined();
  expect(tokens.count).toBe(1);
});

test("a user's tokens are forgotten together, the others' are not", () => {
  const mine = assign("me", 1);
  const yours = assign("you", 2);
  tokens.forgetUser("me");
  expect(tokens.identify(mine, 1)).toBeUndefined();
  expect(tokens.identify(yours, 1)).toBeDefined();
  tokens.forgetAll();
  expect(tokens.identify(yours, 1)).toBeUndefined();
});

test("a token that is not known here names the entry to wait for", () => {
  expect(tokens.awaitedIndex(assign("u", 7))).toBe(0);
  expect(tokens.awaitedIndex("abc.12")).toBe(13);
  for (const none of ["", "abc", "abc.", "abc.x", "abc.1.2", "abc.-1", `abc.${"9".repeat(16)}`]) {
    expect(tokens.awaitedIndex(none)).toBe(0);
  }
});

import { expect, test } from "vitest";
import { type FailpointEffects, Failpoints, FailpointSyntaxError, failpointNames } from "./failpoints.ts";

class Died extends Error {}

function failpoints(chances: number[] = []) {
  const seen: string[] = [];
  const effects: FailpointEffects = {
    panic: (message) => {
      throw new Died(message);
    },
    stall: (ms) => void seen.push(`stall ${ms}`),
    delay: async (ms) => void seen.push(`delay ${ms}`),
    chance: () => chances.shift() ?? 0,
    print: (line) => void seen.push(line),
  };
  return { points: new Failpoints(effects), seen };
}

test("every point is off at first, and off again when it is cleared", () => {
  const { points } = failpoints();
  expect(Object.values(points.slots).every((point) => point === undefined)).toBe(true);
  points.set("walBeforeSync", "panic");
  expect(points.slots.walBeforeSync).toBeDefined();
  points.clear("walBeforeSync");
  expect(points.slots.walBeforeSync).toBeUndefined();
  expect(Object.keys(points.slots)).toEqual([...failpointNames]);
});

test("names are sorted and listed with their terms", () => {
  const { points } = failpoints();
  points.setAll('walAfterSync=sleep("1s");afterCommit=50%panic');
  expect([...failpointNames].toSorted()).toEqual([...failpointNames]);
  expect(points.list()).toContain('walAfterSync=sleep("1s")');
  expect(points.list()[0]).toBe("afterCommit=50%panic");
  expect(points.list()).toContain("walBeforeSync=");
});

test("panic names the point, or says what it was given", () => {
  const { points } = failpoints();
  points.set("beforeCommit", "panic");
  expect(() => points.slots.beforeCommit?.hit()).toThrow("failpoint panic: beforeCommit");
  points.set("beforeCommit", 'panic("now")');
  expect(() => points.slots.beforeCommit?.pass()).toThrow("failpoint panic: now");
});

test("sleep holds the member where code cannot wait, and the path where it can", async () => {
  const { points, seen } = failpoints();
  points.set("beforeCommit", "sleep(20)");
  expect(points.slots.beforeCommit?.hit()).toBeUndefined();
  points.set("beforeCommit", 'sleep("1.5s")');
  expect(await points.slots.beforeCommit?.pass()).toBeUndefined();
  expect(seen).toEqual(["stall 20", "delay 1500"]);
});

test("return gives text, numbers and nothing", async () => {
  const { points } = failpoints();
  for (const [terms, value] of [
    ['return("disk \\"gone\\"")', 'disk "gone"'],
    ["return(42)", "42"],
    ["return(true)", "true"],
    ["return()", ""],
    ["return", ""],
  ] as const) {
    points.set("defragdbFail", terms);
    expect(points.slots.defragdbFail?.hit()).toBe(value);
    expect(await points.slots.defragdbFail?.pass()).toBe(value);
  }
});

test("terms of a chain act in turn while their counts last", () => {
  const { points } = failpoints();
  points.set("defragdbFail", '2*return("a")->1*return("b")');
  const hits = [1, 2, 3, 4].map(() => points.slots.defragdbFail?.hit());
  expect(hits).toEqual(["a", "a", "b", undefined]);
  expect(points.slots.defragdbFail?.hits).toBe(3);
});

test("a share acts by chance, together with a count", () => {
  const { points, seen } = failpoints([0.6, 0.4, 0.1, 0.1]);
  points.set("defragdbFail", "50%2*print");
  for (let at = 0; at < 4; at++) points.slots.defragdbFail?.hit();
  expect(seen).toEqual(["failpoint print: defragdbFail", "failpoint print: defragdbFail"]);
});

test.each(["", "x", "panic-", "panic->", "5panic", 'sleep("soon")', "sleep", "sleep(-1)", 'return("a', "1*", "break"])(
  "refuses the terms %j and leaves the point as it was",
  (terms) => {
    const { points } = failpoints();
    points.set("defragdbFail", "off");
    expect(() => points.set("defragdbFail", terms)).toThrow(FailpointSyntaxError);
    expect(points.slots.defragdbFail?.terms).toBe("off");
  },
);

test("refuses unknown names and pairs that are none, changing nothing", () => {
  const { points } = failpoints();
  expect(() => points.setAll("afterCommit=off;nowhere=panic")).toThrow('"nowhere" does not exist');
  expect(() => points.setAll("afterCommit")).toThrow('bad failpoint "afterCommit"');
  expect(points.slots.afterCommit).toBeUndefined();
});

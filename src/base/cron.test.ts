import fc from "fast-check";
import { expect, test } from "vitest";
import { parseCron } from "./cron.ts";

function nextTimes(expression: string, after: string, count: number): string[] {
  const schedule = parseCron(expression);
  const times: string[] = [];
  let at = Date.parse(after);
  for (let index = 0; index < count; index++) {
    at = schedule.next(at) ?? Number.NaN;
    times.push(new Date(at).toISOString().slice(0, 16));
  }
  return times;
}

test("fields are lists, ranges, steps and names", () => {
  const after = "2026-11-25T03:17:30Z";
  expect(nextTimes("*/20 * * * *", after, 3)).toEqual(["2026-11-25T03:20", "2026-11-25T03:40", "2026-11-25T04:00"]);
  expect(nextTimes("5,50-52/2 4 * * *", after, 4)).toEqual([
    "2026-11-25T04:05",
    "2026-11-25T04:50",
    "2026-11-25T04:52",
    "2026-11-26T04:05",
  ]);
  expect(nextTimes("0 0/8 * * MON-fri", "2026-11-27T09:00:00Z", 2)).toEqual(["2026-11-27T16:00", "2026-11-30T00:00"]);
  expect(nextTimes("0 12 * * 7", after, 1)).toEqual(["2026-11-29T12:00"]);
  expect(nextTimes("0 0 29 FEB *", after, 1)).toEqual(["2028-02-29T00:00"]);
});

test("with both days restricted one of them is enough; else both count", () => {
  const after = "2026-11-25T00:00:00Z";
  expect(nextTimes("0 0 1 * sun", after, 3)).toEqual(["2026-11-29T00:00", "2026-12-01T00:00", "2026-12-06T00:00"]);
  expect(nextTimes("0 0 */10 * sun", after, 1)).toEqual(["2027-01-31T00:00"]);
});

test("names stand for expressions", () => {
  const after = "2026-11-25T03:00:00Z";
  expect(nextTimes("@hourly", after, 2)).toEqual(["2026-11-25T04:00", "2026-11-25T05:00"]);
  expect(nextTimes(" @Daily ", after, 1)).toEqual(["2026-11-26T00:00"]);
  expect(nextTimes("@weekly", after, 1)).toEqual(["2026-11-29T00:00"]);
  expect(nextTimes("@monthly", after, 1)).toEqual(["2026-12-01T00:00"]);
  expect(nextTimes("@yearly", after, 1)).toEqual(["2027-01-01T00:00"]);
});

test("a day that never comes gives no time", () => {
  expect(parseCron("0 0 30 2 *").next(0)).toBeUndefined();
});

test("mistakes are named", () => {
  const texts = [
    "",
    "* * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "@noon",
    "*/0 * * * *",
  ];
  const more = [
    "5-2 * * * *",
    "a * * * *",
    "1-2-3 * * * *",
    "1/2/3 * * * *",
    "1,, * * * *",
    "-1 * * * *",
    "*/ * * * *",
  ];
  for (const text of [...texts, ...more]) expect(() => parseCron(text), text).toThrow();
  expect(() => parseCron("* 24 * * *")).toThrow('"24" cannot be the hour: that is 0-23');
});

test("the next time is the first minute that matches", () => {
  const list = (max: number) =>
    fc.oneof(
      fc.constant("*"),
      fc.integer({ min: 2, max: 9 }).map((step) => `*/${step}`),
      fc.uniqueArray(fc.integer({ min: 0, max }), { minLength: 1, maxLength: 3 }).map((values) => values.join(",")),
    );
  const afters = fc.integer({ min: 0, max: 4_000_000_000_000 });
  fc.assert(
    fc.property(list(59), list(23), list(6), afters, (minute, hour, weekday, after) => {
      const next = parseCron(`${minute} ${hour} * * ${weekday}`).next(after) ?? 0;
      const matches = (field: string, value: number): boolean =>
        field === "*" ||
        (field.startsWith("*/") ? value % Number(field.slice(2)) === 0 : field.split(",").includes(String(value)));
      const isDue = (ms: number): boolean => {
        const at = new Date(ms);
        return (
          matches(minute, at.getUTCMinutes()) && matches(hour, at.getUTCHours()) && matches(weekday, at.getUTCDay())
        );
      };
      let at = Math.floor(after / 60_000) * 60_000 + 60_000;
      while (!isDue(at)) at += 60_000;
      expect(next).toBe(at);
    }),
  );
});

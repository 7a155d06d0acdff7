/** The cache of range answers. */
import { expect, test } from "vitest";
import type { KeyRange } from "./key-range.ts";
import { RangeCache, type PendingRead } from "./range-cache.ts";

const none = new Uint8Array(0);
const key = (text: string): Uint8Array => Buffer.from(text);
const point = (text: string): KeyRange => ({ key: key(text), rangeEnd: none });
const span = (from: string, to: string): KeyRange => ({ key: key(from), rangeEnd: key(to) });

class Clocked {
  now = 0;
  readonly cache = new RangeCache(() => this.now);

  read(id: string, range = point(id), revision = 0n): PendingRead {
    return this.cache.begin(id, range, revision);
  }

  keep(id: string, range = point(id), { shown = 1n, revision = 0n, size = 1 } = {}): void {
    this.cache.keep(this.read(id, range, revision), new Uint8Array(size).fill(id.charCodeAt(0)), shown);
  }

  has(id: string): boolean {
    return this.cache.find(id, 0n) !== undefined;
  }
}

test("an answer is given again until a write touches its range", () => {
  const all = new Clocked();
  all.keep("a");
  all.keep("b");
  all.keep("span", span("a", "c"));
  all.keep("old", span("a", "c"), { revision: 5n });
  all.cache.invalidate(point("b"));
  expect(["a", "b", "span", "old"].map((id) => all.has(id))).toEqual([true, false, false, true]);
  all.cache.invalidate(span("a", "b"));
  expect(["a", "old"].map((id) => all.has(id))).toEqual([false, true]);
  expect(all.cache.size).toBe(1);
});

test("a read that was under way when its range was written is not kept", () => {
  const all = new Clocked();
  const [touched, other] = [all.read("a"), all.read("b")];
  all.cache.invalidate(point("a"));
  all.cache.keep(touched, key("stale"), 1n);
  all.cache.keep(other, key("good"), 1n);
  expect([all.has("a"), all.has("b")]).toEqual([false, true]);
});

test("an answer is forgotten after five seconds", () => {
  const all = new Clocked();
  all.keep("a");
  all.now = 5000;
  expect(all.has("a")).toBe(true);
  all.now = 5001;
  expect(all.has("a")).toBe(false);
  expect(all.cache.size).toBe(0);
});

test("an answer that shows less than was asked for is not given", () => {
  const all = new Clocked();
  all.keep("a", point("a"), { shown: 7n });
  expect(all.cache.find("a", 8n)).toBeUndefined();
  expect(all.cache.find("a", 7n)).toBeDefined();
});

test("what is compacted is neither kept nor found", () => {
  const all = new Clocked();
  all.cache.compacted(10n);
  expect([9n, 10n, 0n].map((revision) => all.cache.isCompacted(revision))).toEqual([true, false, false]);
  all.keep("a", point("a"), { revision: 9n });
  expect(all.has("a")).toBe(false);
});

test("the cache is bounded in answers and bytes; those longest unused go first", () => {
  const all = new Clocked();
  for (let index = 0; index < 3000; index++) all.keep(`k${index}`);
  expect(all.cache.size).toBe(2048);
  expect([all.has("k0"), all.has("k2999")]).toEqual([false, true]);
  const large = new Clocked();
  for (let index = 0; index < 100; index++) {
    large.keep(`k${index}`, point(`k${index}`), { size: 1 << 20 });
    expect(large.has("k0")).toBe(true);
  }
  expect(large.cache.size).toBe(64);
  large.keep("huge", point("huge"), { size: (1 << 20) + 1 });
  expect(large.has("huge")).toBe(false);
});

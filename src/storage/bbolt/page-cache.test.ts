import { expect, test } from "vitest";
import { PageFlag, writePageHeader } from "./format.ts";
import { PageCache } from "./page-cache.ts";
import { Page } from "./page.ts";

function leaf(id: number, pages = 1): Page {
  const bytes = new Uint8Array(pages * 1024);
  writePageHeader(new Uint32Array(bytes.buffer), 0, id, PageFlag.leaf, 0, pages - 1);
  return new Page(id, bytes);
}

test("the limit holds, whatever is added, replaced and removed", () => {
  const cache = new PageCache(20_000);
  for (let id = 2; id < 500; id++) {
    cache.add(leaf(id % 60, 1 + (id % 3)));
    if (id % 7 === 0) cache.remove(id % 60);
    if (id % 5 === 0) cache.get((id * 3) % 60);
    expect(cache.bytes).toBeLessThanOrEqual(20_000);
  }
  expect(cache.bytes).toBeGreaterThan(10_000);
});

test("a page that is used stays while others pass through; a loop smaller than the cache is all hits", () => {
  const cache = new PageCache(20 * 1424);
  const hot = leaf(1000);
  cache.add(hot);
  for (let id = 2; id < 300; id++) {
    cache.add(leaf(id));
    expect(cache.get(1000)).toBe(hot);
  }
  let misses = 0;
  for (let round = 0; round < 10; round++) {
    for (let id = 2000; id < 2010; id++) {
      if (cache.get(id) !== undefined) continue;
      misses++;
      cache.add(leaf(id));
    }
  }
  expect(misses).toBe(10);
});

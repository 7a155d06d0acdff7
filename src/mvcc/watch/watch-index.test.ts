import fc from "fast-check";
import { expect, test } from "vitest";
import { WatchIndex } from "./watch-index.ts";
import { Watcher } from "./watcher.ts";
import type { WatchStream } from "./watch-stream.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const padded = (place: number): string => String(place).padStart(4, "0");

/** @param length - keys from `first` on; 0: that key alone; -1: all of them. */
function watcherOf(id: number, first: number, length: number): Watcher {
  const rangeEnd = length === 0 ? new Uint8Array(0) : length < 0 ? new Uint8Array(1) : bytes(padded(first + length));
  const options = {
    key: bytes(padded(first)),
    rangeEnd,
    startRevision: 0,
    prevKv: false,
    noPut: false,
    noDelete: false,
  };
  return new Watcher(BigInt(id), undefined as unknown as WatchStream, options, 1);
}

test("a key finds exactly the watchers whose range holds it, while hundreds of ranges come and go", () => {
  const range = fc.tuple(fc.nat(3000), fc.oneof(fc.nat(20), fc.nat(3000), fc.constant(-1)));
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ add: range }) },
    { weight: 1, arbitrary: fc.record({ remove: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ match: fc.nat(3100) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 1500, maxLength: 2500, size: "max" }), (steps) => {
      const index = new WatchIndex();
      const present: { watcher: Watcher; first: number; length: number }[] = [];
      let id = 0;
      const check = (place: number): void => {
        const found: bigint[] = [];
        index.match(bytes(padded(place)), (group) => found.push(...group.watchers.map((watcher) => watcher.id)));
        const expected = present
          .filter(({ first, length }) => first <= place && (length < 0 || place < first + Math.max(length, 1)))
          .map(({ watcher }) => watcher.id);
        expect(found.length).toBe(expected.length);
        expect(new Set(found)).toEqual(new Set(expected));
      };
      for (const each of steps) {
        if ("add" in each) {
          const [first, length] = each.add;
          const watcher = watcherOf(id++, first, length);
          index.add(watcher);
          present.push({ watcher, first, length });
        } else if ("remove" in each) {
          if (present.length === 0) continue;
          const [gone] = present.splice(each.remove % present.length, 1);
          index.remove(gone.watcher);
        } else {
          check(each.match);
        }
        expect(index.size).toBe(present.length);
      }
      for (let place = 0; place < 3100; place += 100) check(place);
      for (const { watcher } of present.splice(0)) index.remove(watcher);
      check(10);
      expect(index.watchers()).toEqual([]);
    }),
    { numRuns: 4 },
  );
});

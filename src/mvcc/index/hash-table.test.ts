import fc from "fast-check";
import { expect, test } from "vitest";
import { HashTable } from "./hash-table.ts";

/** Keys are numbers of four bytes; `hashOf` says how they hash. */
class Numbers {
  readonly keys: number[] = [];
  readonly #hashOf: (key: number) => number;
  readonly table = new HashTable(this);

  constructor(hashOf: (key: number) => number) {
    this.#hashOf = hashOf;
  }

  slotHasKey(slot: number, key: Uint8Array): boolean {
    return this.keys[slot] === new Uint32Array(key.slice().buffer)[0];
  }

  slotHash(slot: number): number {
    return this.#hashOf(this.keys[slot]);
  }

  add(key: number): void {
    this.table.add(this.#hashOf(key), this.keys.push(key) - 1);
  }

  remove(key: number): void {
    this.table.remove(this.#hashOf(key), this.find(key));
  }

  find(key: number): number {
    return this.table.find(new Uint8Array(new Uint32Array([key]).buffer), this.#hashOf(key));
  }
}

const mixed = (key: number): number => Math.imul(key ^ (key >>> 15), 0x85eb_ca6b) >>> 0;
const hashes: Record<string, (key: number) => number> = {
  "spread evenly": mixed,
  "mostly equal": (key) => mixed(key % 3),
  "equal in their upper bits": (key) => mixed(key) & 0xffff,
  "equal in their lower bits": (key) => (mixed(key) & 0xffff_0000) >>> 0,
};

test.each(Object.keys(hashes))("the table finds what is in it and nothing else, with hashes %s", (name) => {
  const key = fc.integer({ min: 1, max: 200 });
  fc.assert(
    fc.property(fc.boolean(), fc.array(fc.tuple(fc.boolean(), key), { maxLength: 400 }), (isLoaded, steps) => {
      const numbers = new Numbers(hashes[name]);
      const present = new Set<number>();
      if (isLoaded) numbers.table.beginLoad();
      for (const [isAdded, changed] of steps) {
        if (isAdded && !present.has(changed)) {
          numbers.add(changed);
          present.add(changed);
        } else if (!isAdded && !isLoaded && present.delete(changed)) {
          numbers.remove(changed);
        }
      }
      numbers.table.endLoad();
      for (let wanted = 1; wanted <= 200; wanted++) expect(numbers.find(wanted) >= 0).toBe(present.has(wanted));
    }),
  );
});

test.each([false, true])("a table grows through many segments, and shrinks (bulk load: %s)", (isLoaded) => {
  const numbers = new Numbers(mixed);
  if (isLoaded) numbers.table.beginLoad();
  for (let key = 0; key < 50_000; key++) numbers.add(key);
  if (isLoaded) numbers.table.endLoad();
  for (let key = 50_000; key < 60_000; key++) numbers.add(key);
  for (let key = 0; key < 60_000; key += 2) numbers.remove(key);
  let wrong = 0;
  for (let key = 0; key < 60_000; key++) if (numbers.find(key) !== (key % 2 === 0 ? -1 : key)) wrong++;
  expect(wrong).toBe(0);
  expect(numbers.table.allocatedBytes).toBeLessThan(60_000 * 10);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { SequenceTable } from "./sequence-table.ts";

test("whatever comes and goes, it holds what a map holds, and knows the oldest", () => {
  const steps = fc.array(fc.record({ skip: fc.nat({ max: 600 }), takes: fc.array(fc.nat(), { maxLength: 3 }) }), {
    maxLength: 1500,
    size: "max",
  });
  fc.assert(
    fc.property(fc.constantFrom(0, 2 ** 31 - 300, 2 ** 40), steps, (first, list) => {
      const table = new SequenceTable<string>();
      const model = new Map<number, string>();
      let next = first;
      for (const { skip, takes } of list) {
        // Mostly dense; now and then far apart, so that places collide.
        next += skip > 580 ? skip - 324 : 1;
        table.add(next, `v${next}`);
        model.set(next, `v${next}`);
        for (const take of takes) {
          const sequence = [...model.keys()][take % Math.max(1, model.size)] ?? next + 1;
          expect(table.has(sequence)).toBe(model.has(sequence));
          expect(table.take(sequence)).toBe(model.get(sequence));
          model.delete(sequence);
        }
        expect(table.size).toBe(model.size);
        expect(table.oldest()).toBe([...model.keys()][0] ?? -1);
      }
      for (const [sequence, value] of model) expect(table.get(sequence)).toBe(value);
    }),
    { numRuns: 30 },
  );
});

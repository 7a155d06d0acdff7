import fc from "fast-check";
import { expect, test } from "vitest";
import { Inflights } from "./inflights.ts";

test("the window agrees with a plain list, however it is filled and freed", () => {
  const commands = fc.array(
    fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 3 }), bytes: fc.nat({ max: 40 }) }),
      fc.record({ free: fc.nat({ max: 60 }) }),
      fc.constant("reset" as const),
      fc.constant("clone" as const),
    ),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(
      commands,
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(Infinity, 1, 50),
      (list, countMax, bytesMax) => {
        let window = new Inflights(countMax, bytesMax);
        let model: { index: number; bytes: number }[] = [];
        let index = 0;
        for (const command of list) {
          if (command === "reset") {
            window.reset();
            model = [];
          } else if (command === "clone") {
            window = window.clone();
          } else if ("free" in command) {
            window.freeTo(command.free);
            model = model.filter((message) => message.index > command.free);
          } else if (!window.full) {
            index += command.add;
            window.add(index, command.bytes);
            model.push({ index, bytes: command.bytes });
          }
          const bytes = model.reduce((sum, message) => sum + message.bytes, 0);
          expect(window.count).toBe(model.length);
          expect(window.bytes).toBe(bytes);
          expect(window.full).toBe(model.length === countMax || bytes >= bytesMax);
        }
      },
    ),
  );
});

test("a full window takes no more", () => {
  const window = new Inflights(1, Infinity);
  window.add(4, 10);
  expect(() => window.add(5, 10)).toThrow("full window");
});

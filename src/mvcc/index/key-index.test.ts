import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compareBytes } from "../../base/bytes.ts";
import { runAtOnce } from "../../base/steps.ts";
import { KeyIndex } from "./key-index.ts";
import { KeyRanges } from "./key-ranges.ts";
import { RevisionList } from "./revision-list.ts";

const empty = new Uint8Array(0);
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** One index driven by the commands of a script, each answered by lines of text. */
class Script {
  #index = new KeyIndex();
  #main = 1;
  #sub = 0;
  readonly #keys = new Set<string>();

  run(line: string): string {
    const [command, ...args] = line.split(" ");
    switch (command) {
      case "put":
      case "delete":
        this.#main++;
        this.#sub = 0;
        return this.#change(command, args[0]);
      case "also":
        this.#sub++;
        return this.#change(args[0], args[1]);
      case "compact": {
        const kept: string[] = [];
        for (let slot = 0; slot < this.#index.slotCount; slot++) {
          if (this.#index.compactSlot(slot, Number(args[0]))) kept.push(`${slot}`);
        }
        return this.#show();
      }
      case "get": {
        const slot = this.#index.find(bytes(args[0]));
        if (slot < 0 || !this.#index.findAt(slot, Number(args[1]))) return "none";
        return `${this.#index.foundMain}.${this.#index.foundSub}`;
      }
      case "living": {
        const slot = this.#index.find(bytes(args[0]));
        return `create ${this.#index.createRevision(slot)} version ${this.#index.version(slot)}`;
      }
      case "count":
        return `${new KeyRanges(this.#index).count(bytes("\0"), bytes("\0"), Number(args[0]))}`;
      default:
        throw new Error(`unknown command ${line}`);
    }
  }

  #change(command: string, key: string): string {
    this.#keys.add(key);
    const slot = this.#index.find(bytes(key));
    if (command === "put") this.#index.put(slot, bytes(key), this.#main, this.#sub, false);
    else this.#index.tombstone(slot, this.#main, this.#sub);
    return `${key}: ${this.#index.describe(bytes(key))}`;
  }

  #show(): string {
    const lines = [...this.#keys].sort().map((key) => `${key}: ${this.#index.describe(bytes(key)) || "gone"}`);
    return lines.join("\n");
  }
}

test("generations and compaction follow the script in testdata/generations.txt", () => {
  const path = new URL("testdata/generations.txt", import.meta.url);
  const text = readFileSync(path, "utf8");
  let script = new Script();
  const actual = text
    .split("\n\n")
    .map((block) => {
      const [input] = block.split("\n----");
      if (block.startsWith("#")) {
        if (block.includes("(new index)")) script = new Script();
        return block;
      }
      const output = input.split("\n").map((line) => script.run(line));
      return `${input}\n----\n${output.join("\n")}`;
    })
    .join("\n\n")
    .trimEnd();
  if (process.env["REWRITE"] !== undefined) writeFileSync(path, `${actual}\n`);
  expect(actual).toBe(text.trimEnd());
});

interface Entry {
  readonly main: number;
  readonly sub: number;
  readonly tombstone: boolean;
}

/** Sorted array of keys, each with its list of revisions: what the index must equal. */
class Model {
  readonly keys = new Map<string, Entry[]>();

  at(key: string, main: number): Entry | undefined {
    const found = this.keys.get(key)?.findLast((entry) => entry.main <= main);
    return found?.tombstone === true ? undefined : found;
  }

  range(start: string, end: string, main: number): [string, Entry][] {
    const result: [string, Entry][] = [];
    for (const key of [...this.keys.keys()].sort((a, b) => compareBytes(bytes(a), bytes(b)))) {
      if (key < start || (end !== "\0" && key >= end)) continue;
      const entry = this.at(key, main);
      if (entry !== undefined) result.push([key, entry]);
    }
    return result;
  }

  compact(main: number): void {
    for (const [key, entries] of this.keys) {
      const last = entries.findLastIndex((entry) => entry.main <= main);
      if (last < 0) continue;
      const isDropped = entries[last].tombstone && entries[last].main < main;
      entries.splice(0, isDropped ? last + 1 : last);
      if (entries.length === 0) this.keys.delete(key);
    }
  }
}

const shortKey = fc.string({ unit: fc.constantFrom("a", "b", "\0", "\xff"), minLength: 1, maxLength: 6 });
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put" as const), key: shortKey }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), key: shortKey }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const), back: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("range" as const),
      start: shortKey,
      end: fc.oneof(shortKey, fc.constant("\0")),
      back: fc.nat(15),
      limit: fc.nat(4),
    }),
  },
);

function reload(model: Model): KeyIndex {
  const rows: { key: string; entry: Entry; create: number; version: number }[] = [];
  for (const [key, entries] of model.keys) {
    let create = 0;
    let version = 0;
    for (const entry of entries) {
      if (version === 0) create = entry.main;
      version = entry.tombstone ? 0 : version + 1;
      rows.push({ key, entry, create, version });
    }
  }
  rows.sort((a, b) => a.entry.main - b.entry.main || a.entry.sub - b.entry.sub);
  const index = new KeyIndex();
  index.beginLoad();
  for (const { key, entry, create, version } of rows) {
    index.load(bytes(key), entry.main, entry.sub, entry.tombstone, create, version, false);
  }
  runAtOnce(index.endLoad());
  return index;
}

test("the index answers as a sorted array of histories does, through compactions and reloads", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 150 }), (commands) => {
      let index = new KeyIndex({ low: 1, high: 2 });
      const model = new Model();
      const list = new RevisionList();
      let main = 1;
      let compacted = 0;
      for (const step of commands) {
        if (step.kind === "put" || (step.kind === "delete" && model.at(step.key, main) !== undefined)) {
          main++;
          const slot = index.find(bytes(step.key));
          const tombstone = step.kind === "delete";
          if (tombstone) index.tombstone(slot, main, 0);
          else index.put(slot, bytes(step.key), main, 0, false);
          const entries = model.keys.get(step.key) ?? [];
          entries.push({ main, sub: 0, tombstone });
          model.keys.set(step.key, entries);
        } else if (step.kind === "compact") {
          compacted = Math.max(compacted, main - step.back);
          for (let slot = 0; slot < index.slotCount; slot++) index.compactSlot(slot, compacted);
          for (let slab = 0; slab < index.slabCount; slab++) index.evacuateSlab();
          model.compact(compacted);
        } else if (step.kind === "reload") {
          index = reload(model);
        } else if (step.kind === "range") {
          const at = Math.max(main - step.back, compacted);
          const expected = model.range(step.start, step.end, at);
          expect(new KeyRanges(index).count(bytes(step.start), bytes(step.end), at)).toBe(expected.length);
          list.clear();
          expect(new KeyRanges(index).collect(bytes(step.start), bytes(step.end), at, step.limit, list)).toBe(
            expected.length,
          );
          const shown = step.limit > 0 ? expected.slice(0, step.limit) : expected;
          const found = Array.from({ length: list.length }, (_, place) => [
            Buffer.from(index.key(list.slot[place])).toString("latin1"),
            list.main[place],
          ]);
          expect(found).toEqual(shown.map(([key, entry]) => [key, entry.main]));
        }
        expect(index.liveCount).toBe(model.range("", "\0", main).length);
      }
    }),
    { numRuns: 300 },
  );
});

test("thousands of keys split chunks and segments and stay in order; removed ones give their memory back", () => {
  const index = new KeyIndex({ low: 7, high: 9 });
  const count = 20_000;
  const name = (number: number): Uint8Array => bytes(`/registry/pods/${(number * 7919) % count}/${number}`);
  for (let number = 0; number < count; number++) {
    const key = name(number);
    index.put(index.find(key), key, number + 2, 0, false);
  }
  const list = new RevisionList();
  expect(new KeyRanges(index).collect(bytes("\0"), bytes("\0"), count + 2, 0, list)).toBe(count);
  for (let at = 1; at < count; at++) {
    expect(compareBytes(index.key(list.slot[at - 1]), index.key(list.slot[at]))).toBeLessThan(0);
  }
  expect(new KeyRanges(index).count(bytes("/registry/pods/1"), bytes("/registry/pods/2"), count + 2)).toBe(11_111);

  const full = index.allocatedBytes;
  let main = count + 2;
  for (let number = 0; number < count; number++)
    if (number % 10 > 0) index.tombstone(index.find(name(number)), main++, 0);
  for (let slot = 0; slot < index.slotCount; slot++) index.compactSlot(slot, main);
  for (let slab = index.slabCount; slab > 0; slab--) index.evacuateSlab();
  expect(new KeyRanges(index).count(bytes("\0"), bytes("\0"), main)).toBe(count / 10);
  for (let number = 0; number < count; number++) expect(index.find(name(number)) >= 0).toBe(number % 10 === 0);

  // As many other keys fit where the removed ones were (histories of the tombstones cost a little).
  for (let number = 0; number < count; number++) {
    if (number % 10 > 0) index.put(-1, bytes(`/registry/jobs/${(number * 7919) % count}/${number}`), main++, 0, false);
  }
  expect(index.allocatedBytes).toBeLessThan(full * 1.35);
});

test("a bulk load sorts keys that share long prefixes, are prefixes of each other, or end in zero bytes", () => {
  const keys = ["a", "a\0", "a\0\0", "a\0\0\0", "a\0\0\0\0b", "ab", "abc\0", "abcd", "abcde", `${"x".repeat(3000)}1`];
  for (let number = 0; number < 500; number++)
    keys.push(`prefix/${"y".repeat(number % 40)}/${number}`, "z".repeat(number + 1));
  const index = new KeyIndex();
  index.beginLoad();
  keys.forEach((key, at) => index.load(bytes(key), at + 2, 0, false, at + 2, 1, false));
  runAtOnce(index.endLoad());
  const list = new RevisionList();
  new KeyRanges(index).collect(bytes("\0"), bytes("\0"), keys.length + 2, 0, list);
  const sorted = Array.from({ length: list.length }, (_, at) =>
    Buffer.from(index.key(list.slot[at])).toString("latin1"),
  );
  expect(sorted).toEqual([...new Set(keys)].sort());
});

test("a bulk load of many keys sorts them as their bytes compare, in many steps", () => {
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const spaces = [
    "/registry/pods/kube-system/",
    "/registry/events/default/",
    "\0\0\0\0\0\0\0\0\0",
    "",
    "z".repeat(300),
  ];
  const keys = new Set<string>();
  while (keys.size < 30_000) {
    const tail = Array.from({ length: random(14) }, () => String.fromCharCode([0, 1, 97, 98, 255][random(5)])).join("");
    keys.add(spaces[random(spaces.length)] + (random(3) === 0 ? tail : `${random(1_000_000)}${tail}`));
  }
  keys.delete("");
  const index = new KeyIndex();
  index.beginLoad();
  [...keys].forEach((key, at) => index.load(bytes(key), at + 2, 0, false, at + 2, 1, false));
  let steps = 0;
  for (const _ of index.endLoad()) steps++;
  expect(steps).toBeGreaterThan(30);
  const list = new RevisionList();
  new KeyRanges(index).collect(bytes("\0"), bytes("\0"), keys.size + 2, 0, list);
  const sorted = Array.from({ length: list.length }, (_, at) =>
    Buffer.from(index.key(list.slot[at])).toString("latin1"),
  );
  expect(sorted).toEqual([...keys].sort());
});

test("histories of any length keep their order through growth and compaction", () => {
  const index = new KeyIndex();
  const key = bytes("hot");
  let slot = -1;
  for (let main = 2; main < 20_000; main++) slot = index.put(slot, key, main, 0, false);
  expect(index.findAt(slot, 7777)).toBe(true);
  expect(index.foundMain).toBe(7777);
  expect(index.version(slot)).toBe(19_998);
  index.compactSlot(slot, 15_000);
  expect(index.findAt(slot, 14_999)).toBe(false);
  expect(index.findAt(slot, 15_001)).toBe(true);
  expect(index.foundMain).toBe(15_001);
  index.compactSlot(slot, 19_999);
  expect(index.describe(key)).toBe("{19999}");
  expect(new KeyRanges(index).count(key, empty, 19_999)).toBe(1);
});

import { expect, test } from "vitest";
import type { Operation, RangeRequest, WatchEvent } from "../history/history.ts";
import { checkDurability } from "./durability.ts";
import { checkStaleReads } from "./stale-reads.ts";

const put = (key: string, modRevision: number, version: number): WatchEvent => ({
  type: "put",
  key,
  value: `v${modRevision}`,
  modRevision,
  createRevision: modRevision - version + 1,
  version,
});
const effects = new Map<number, WatchEvent[]>([
  [2, [put("a", 2, 1)]],
  [3, [put("a", 3, 2)]],
  [4, [{ type: "delete", key: "a", modRevision: 4 }]],
]);

function read(request: Partial<RangeRequest>, revision: number, modRevision?: number): Operation {
  const pairs =
    modRevision === undefined
      ? []
      : [{ key: "a", value: `v${modRevision}`, createRevision: 2, modRevision, version: modRevision - 1, lease: "0" }];
  return {
    client: 1,
    call: 0,
    return: 1,
    request: { kind: "range", key: "a", ...request },
    outcome: { kind: "ok", result: { kind: "range", revision, pairs, count: pairs.length } },
  };
}

const problems = (...reads: Operation[]): string[] =>
  checkStaleReads(reads, { effects, finalRevision: 4 }).map(({ message }) => message);

test("reads of old states that really were", () => {
  expect(problems(read({ revision: 2 }, 4, 2), read({ revision: 3 }, 4, 3), read({ isSerializable: true }, 4))).toEqual(
    [],
  );
  expect(problems(read({ isSerializable: true }, 2, 2))).toEqual([]);
});

test("a read at an old revision that shows another state, and one of a future that never came", () => {
  expect(problems(read({ revision: 2 }, 4, 3))[0]).toContain("at revision 2");
  expect(problems(read({ isSerializable: true }, 4, 3))[0]).toContain("at revision 4");
  expect(problems(read({ isSerializable: true }, 9, 3))[0]).toContain("never was");
});

test("history is refused only when it was compacted", () => {
  const compact: Operation = {
    client: 1,
    call: 0,
    return: 1,
    request: { kind: "compact", revision: 3 },
    outcome: { kind: "ok", result: { kind: "compact", revision: 0 } },
  };
  const refused = (revision: number): Operation => ({
    client: 1,
    call: 2,
    return: 3,
    request: { kind: "range", key: "a", revision },
    outcome: { kind: "failed", reason: "compacted", message: "" },
  });
  expect(problems(compact, refused(2))).toEqual([]);
  expect(problems(compact, refused(3))[0]).toContain("nobody compacted that far");
});

test("an acknowledged change beyond the end, and a revision given twice, are losses", () => {
  const write = (revision: number): Operation => ({
    client: 1,
    call: 0,
    return: 1,
    request: { kind: "put", key: "a", value: "x" },
    outcome: { kind: "ok", result: { kind: "put", revision } },
  });
  expect(checkDurability([write(2), write(3)], 3)).toEqual([]);
  expect(checkDurability([write(2), write(4)], 3)[0].message).toContain("is gone");
  expect(checkDurability([write(2), write(2)], 3)[0].message).toContain("given to two");
});

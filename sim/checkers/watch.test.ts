import { expect, test } from "vitest";
import type { WatchEvent, WatchMessage, WatchRecord } from "../history/history.ts";
import { checkWatches } from "./watch.ts";

const put = (key: string, modRevision: number): WatchEvent => ({
  type: "put",
  key,
  value: `v${modRevision}`,
  modRevision,
});
const events = (...list: WatchEvent[]): WatchMessage => ({ kind: "events", at: 0, revision: 9, events: list });
const created: WatchMessage = { kind: "created", at: 0, revision: 1 };
const bookmark = (revision: number): WatchMessage => ({ kind: "progress", at: 0, revision });

/** a@2, then a and b together at 3, b@4, a@5. */
const effects = new Map([
  [2, [put("a", 2)]],
  [3, [put("a", 3), put("b", 3)]],
  [4, [put("b", 4)]],
  [5, [put("a", 5)]],
]);

function problems(messages: WatchMessage[], changes: Partial<WatchRecord> = {}): string[] {
  const watch: WatchRecord = {
    client: 1,
    watcher: 1,
    key: "a",
    end: "z",
    startRevision: 0,
    call: 0,
    messages,
    ...changes,
  };
  return checkWatches([watch], { effects, finalRevision: 5 }).map(({ message }) => message);
}

test("a watch that gets everything, in one message or in several, with true bookmarks", () => {
  expect(
    problems([
      created,
      events(put("a", 2)),
      events(put("a", 3), put("b", 3), put("b", 4)),
      bookmark(4),
      events(put("a", 5)),
    ]),
  ).toEqual([]);
  expect(problems([created, bookmark(1), events(put("a", 2))])).toEqual([]);
  expect(problems([created, events(put("a", 2), put("a", 3), put("a", 5))], { end: undefined })).toEqual([]);
  expect(problems([created, events(put("b", 4), put("a", 5))], { startRevision: 4 })).toEqual([]);
});

test("a lost event", () => {
  expect(problems([created, events(put("a", 2)), events(put("b", 4))])[0]).toContain("at revision 3 did not come");
  expect(problems([created, events(put("a", 3), put("b", 3))], { startRevision: 2 })[0]).toContain(
    "at revision 2 did not come",
  );
});

test("an event that comes twice, or out of order", () => {
  expect(problems([created, events(put("a", 2)), events(put("a", 2))])[0]).toContain("twice");
  expect(problems([created, events(put("a", 2), put("a", 2))])[0]).toContain("twice");
  expect(problems([created, events(put("a", 2), put("b", 4), put("a", 3), put("b", 3))])[0]).toContain("did not come");
});

test("a revision that is split over two messages is not atomic, unless it comes in fragments", () => {
  const first = { ...events(put("a", 2), put("a", 3)), isFragment: true } as WatchMessage;
  expect(problems([created, events(put("a", 2), put("a", 3)), events(put("b", 3))])[0]).toContain("1 came together");
  expect(problems([created, first, events(put("b", 3), put("b", 4))])).toEqual([]);
});

test("a bookmark that runs ahead of the events", () => {
  expect(problems([created, events(put("a", 2)), bookmark(4)])[0]).toContain("bookmark at 4 is not true");
  expect(problems([created, bookmark(8)])[0]).toContain("which never was");
});

test("an event with a value that was never written, and a wrong previous value", () => {
  expect(problems([created, events({ ...put("a", 2), value: "x" })])[0]).toContain("value x instead of v2");
  const wrong = { ...put("a", 2), previous: { value: "y", modRevision: 1 } };
  expect(problems([created, events(wrong)], { withPrevious: true })[0]).toContain("not the previous one");
});

test("a watch is cancelled only when what it needs is compacted", () => {
  expect(problems([{ kind: "cancelled", at: 0, compactRevision: 4 }], { startRevision: 2 })).toEqual([]);
  expect(problems([created, events(put("a", 2)), { kind: "cancelled", at: 0, compactRevision: 2 }])[0]).toContain(
    "needs only",
  );
});

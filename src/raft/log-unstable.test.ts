import fc from "fast-check";
import { expect, test } from "vitest";
import type { Entry, Snapshot } from "../wire/raft/types.ts";
import { UnstableLog } from "./log-unstable.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function run(first: number, count: number, term: number): Entry[] {
  return Array.from({ length: count }, (_, i) => ({ type: 0, term, index: first + i, data: new Uint8Array() }));
}

function snapshotAt(index: number, term: number): Snapshot {
  const confState = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  return { data: new Uint8Array(), metadata: { confState, index, term } };
}

/** The obvious twin: a map from index to term and a set of what is being written. */
class Model {
  terms = new Map<number, number>();
  inProgress = new Set<number>();
  snapshot: Snapshot | undefined;
  snapshotInProgress = false;
  start: number;

  constructor(start: number) {
    this.start = start;
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0].index;
    for (const index of this.terms.keys()) if (index >= first) this.forget(index);
    if (first < this.start) this.start = first;
    for (const { index, term } of entries) this.terms.set(index, term);
  }

  accept(): void {
    for (const index of this.terms.keys()) this.inProgress.add(index);
    if (this.snapshot !== undefined) this.snapshotInProgress = true;
  }

  stableTo(index: number, term: number): void {
    if (this.terms.get(index) !== term) return;
    for (const other of this.terms.keys()) if (other <= index) this.forget(other);
    this.start = index + 1;
  }

  restore(snapshot: Snapshot): void {
    this.terms.clear();
    this.inProgress.clear();
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
    this.start = snapshot.metadata.index + 1;
  }

  forget(index: number): void {
    this.terms.delete(index);
    this.inProgress.delete(index);
  }
}

test("the unstable log agrees with an obvious model", () => {
  const commands = fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant("append" as const),
        back: fc.nat({ max: 6 }),
        count: fc.integer({ min: 1, max: 5 }),
      }),
      fc.record({
        kind: fc.constant("stable" as const),
        index: fc.nat({ max: 40 }),
        term: fc.integer({ min: 1, max: 9 }),
      }),
      fc.record({ kind: fc.constant("accept" as const) }),
      fc.record({ kind: fc.constant("restore" as const), ahead: fc.nat({ max: 5 }) }),
      fc.record({ kind: fc.constant("stableSnapshot" as const), same: fc.boolean() }),
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(commands, (list) => {
      const log = new UnstableLog(5, silent);
      const model = new Model(5);
      let term = 1;
      for (const command of list) {
        switch (command.kind) {
          case "append": {
            // Not below a snapshot: what it covers is committed.
            const lowest = (model.snapshot?.metadata.index ?? 0) + 1;
            const first = Math.max(lowest, log.end - command.back, 1);
            const entries = run(first, command.count, term++);
            log.truncateAndAppend(entries);
            model.append(entries);
            break;
          }
          case "stable":
            log.stableTo(command.index, command.term);
            model.stableTo(command.index, command.term);
            break;
          case "accept":
            log.acceptInProgress();
            model.accept();
            break;
          case "restore": {
            const snapshot = snapshotAt(log.end + command.ahead, term++);
            log.restore(snapshot);
            model.restore(snapshot);
            break;
          }
          case "stableSnapshot": {
            const index = (model.snapshot?.metadata.index ?? 7) + (command.same ? 0 : 1);
            log.stableSnapshotTo(index);
            if (model.snapshot?.metadata.index === index) {
              model.snapshot = undefined;
              model.snapshotInProgress = false;
            }
            break;
          }
        }
        expect(log.offset).toBe(model.start);
        expect(log.length).toBe(model.terms.size);
        for (const [index, expected] of model.terms) expect(log.term(index)).toBe(expected);
        expect(log.term(log.end)).toBeUndefined();
        expect(log.nextEntries().map((entry) => entry.index)).toEqual(
          [...model.terms.keys()].filter((index) => !model.inProgress.has(index)).sort((a, b) => a - b),
        );
        expect(log.nextSnapshot()).toBe(model.snapshotInProgress ? undefined : model.snapshot);
        expect(log.firstIndex()).toBe(model.snapshot && model.snapshot.metadata.index + 1);
      }
    }),
    { numRuns: 500 },
  );
});

test("a list that was handed out does not change when the log does", () => {
  const log = new UnstableLog(1, silent);
  log.truncateAndAppend(run(1, 3, 1));
  const handedOut = log.nextEntries();
  log.truncateAndAppend(run(2, 1, 2));
  expect(handedOut.map((entry) => entry.term)).toEqual([1, 1, 1]);
});

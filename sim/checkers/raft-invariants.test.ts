import { expect, test } from "vitest";
import { RaftInvariants, type SeenEntry, type SeenLog } from "./raft-invariants.ts";

const entry = (index: number, term: number, digest = index): SeenEntry => ({ index, term, digest });
const logOf = (...terms: number[]): SeenLog => ({
  firstIndex: 1,
  lastIndex: terms.length,
  term: (index) => terms[index - 1],
});

function messages(act: (invariants: RaftInvariants) => void): string[] {
  const invariants = new RaftInvariants();
  act(invariants);
  return invariants.violations.map(({ message }) => message);
}

test("an ordinary life has no violations", () => {
  expect(
    messages((raft) => {
      raft.voted(1n, 2, 1n);
      raft.voted(2n, 2, 1n);
      raft.elected(1n, 2, logOf());
      for (let node = 0; node < 3; node++) raft.appended([entry(1, 2), entry(2, 2)], undefined);
      raft.committed(1n, [entry(1, 2), entry(2, 2)], undefined);
      raft.committed(2n, [entry(1, 2)], undefined);
      raft.committed(2n, [entry(2, 2)], 1);
      raft.voted(2n, 3, 3n);
      raft.elected(3n, 3, logOf(2, 2));
    }),
  ).toEqual([]);
});

test("two leaders in a term", () => {
  expect(
    messages((raft) => {
      raft.elected(1n, 2, logOf());
      raft.elected(2n, 2, logOf());
    })[0],
  ).toContain("both lead in term 2");
});

test("a vote that was forgotten", () => {
  expect(
    messages((raft) => {
      raft.voted(1n, 2, 2n);
      raft.voted(1n, 2, 3n);
    })[0],
  ).toContain("votes for 2 and for 3");
});

test("entries that differ where they must not", () => {
  expect(messages((raft) => [1, 2].map((digest) => raft.appended([entry(1, 2, digest)], 0)))[0]).toContain("differ");
  expect(messages((raft) => [1, 2].map((before) => raft.appended([entry(5, 3)], before)))[0]).toContain(
    "follows entries",
  );
});

test("a leader that lacks a committed entry, or has another in its place", () => {
  const committed = (raft: RaftInvariants): void => raft.committed(1n, [entry(1, 2), entry(2, 2)], 0);
  expect(
    messages((raft) => {
      committed(raft);
      raft.elected(2n, 3, logOf(2));
    })[0],
  ).toContain("does not have it");
  expect(
    messages((raft) => {
      committed(raft);
      raft.elected(2n, 4, logOf(2, 3));
    })[0],
  ).toContain("has one of term 3");
});

test("another entry applied at an index, one left out, one applied twice", () => {
  expect(
    messages((raft) => {
      raft.committed(1n, [entry(1, 2)], 0);
      raft.committed(2n, [entry(1, 3)], 0);
    })[0],
  ).toContain("at index 1");
  expect(messages((raft) => raft.committed(1n, [entry(3, 2)], 1))[0]).toContain("entry 2 is next");
  expect(messages((raft) => raft.committed(1n, [entry(1, 2)], 1))[0]).toContain("entry 2 is next");
});

test("a leader that commits what is of an older term, or what no majority has", () => {
  const commit = { term: 3, index: 5, entryTerm: 3, matches: [5, 5, 1] };
  expect(messages((raft) => raft.counted(1n, commit))).toEqual([]);
  expect(messages((raft) => raft.counted(1n, { ...commit, entryTerm: 2 }))[0]).toContain("entry 5 of term 2");
  expect(messages((raft) => raft.counted(1n, { ...commit, matches: [5, 4, 5, 1] }))[0]).toContain("2 of 4 voters");
});

test("configurations that differ behind one entry", () => {
  const configurations = (second: string): string[] =>
    messages((raft) => {
      raft.configured(1n, 7, "voters 1 2");
      raft.configured(2n, 7, second);
    });
  expect(configurations("voters 1 2")).toEqual([]);
  expect(configurations("voters 1 2 3")[0]).toContain("behind entry 7");
});

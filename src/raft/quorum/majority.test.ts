import fc from "fast-check";
import { expect, test } from "vitest";
import { JointConfig } from "./joint.ts";
import { MajorityConfig } from "./majority.ts";

const idSets = fc.uniqueArray(fc.bigInt({ min: 1n, max: 12n }), { maxLength: 9 });
const ackLists = fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), fc.nat({ max: 9 }));

/** The slow way: try every index, and count who has it. */
function slowCommitted(ids: readonly bigint[], acked: ReadonlyMap<bigint, number>): number {
  if (ids.length === 0) return Infinity;
  let best = 0;
  for (const candidate of acked.values()) {
    const holders = ids.filter((id) => (acked.get(id) ?? -1) >= candidate).length;
    if (holders * 2 > ids.length) best = Math.max(best, candidate);
  }
  return best;
}

/** The slow way: does some completion of the missing votes win, or lose? */
function slowVote(ids: readonly bigint[], votes: ReadonlyMap<bigint, boolean>): string {
  const wins = (missing: boolean): boolean =>
    ids.length === 0 || ids.filter((id) => votes.get(id) ?? missing).length * 2 > ids.length;
  if (wins(false)) return "won";
  return wins(true) ? "pending" : "lost";
}

test("the committed index is that of the slow twin, for majorities and joint quorums", () => {
  fc.assert(
    fc.property(idSets, idSets, ackLists, (incoming, outgoing, acks) => {
      const acked = new Map(Object.entries(acks).map(([id, index]) => [BigInt(id), index]));
      const lookup = (id: bigint): number | undefined => acked.get(id);
      expect(MajorityConfig.of(incoming).committedIndex(lookup)).toBe(slowCommitted(incoming, acked));
      const joint = new JointConfig(MajorityConfig.of(incoming), MajorityConfig.of(outgoing));
      expect(joint.committedIndex(lookup)).toBe(
        Math.min(slowCommitted(incoming, acked), slowCommitted(outgoing, acked)),
      );
    }),
    { numRuns: 2000 },
  );
});

test("the vote result is that of the slow twin, and a joint quorum needs both halves", () => {
  const voteLists = fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), fc.boolean());
  fc.assert(
    fc.property(idSets, idSets, voteLists, (incoming, outgoing, given) => {
      const votes = new Map(Object.entries(given).map(([id, vote]) => [BigInt(id), vote]));
      const halves = [slowVote(incoming, votes), slowVote(outgoing, votes)];
      expect(MajorityConfig.of(incoming).voteResult(votes)).toBe(halves[0]);
      const both = halves.includes("lost") ? "lost" : halves.includes("pending") ? "pending" : "won";
      const joint = new JointConfig(MajorityConfig.of(incoming), MajorityConfig.of(outgoing));
      expect(joint.voteResult(votes)).toBe(both);
    }),
    { numRuns: 2000 },
  );
});

test("sets are in ascending order and without repetition", () => {
  expect(MajorityConfig.of([10n, 2n, 10n, 1n]).toString()).toBe("(1 2 10)");
  expect(MajorityConfig.of([1n, 3n]).with(2n).without(1n).toString()).toBe("(2 3)");
});

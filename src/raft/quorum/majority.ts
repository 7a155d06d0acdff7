/**
 * A set of voters that decides by majority: which log index a majority holds, and whether a majority granted a vote.
 * Mirrors etcd-io/raft quorum/majority.go.
 */
import type { VoteResult } from "./vote-result.ts";

/** What is known of a voter: the highest index it acknowledged, or `undefined` when it was never heard of. */
export type AckedIndex = (id: bigint) => number | undefined;

/**
 * Sorts `indexes` (one per voter, 0 when unknown) in place and returns the highest index that more than half of the
 * voters hold. `Infinity` without voters, so that an empty half of a joint quorum sets no limit.
 */
export function majorityIndex(indexes: number[]): number {
  const count = indexes.length;
  if (count === 0) return Infinity;
  if (count === 1) return indexes[0];
  // Insertion sort: groups are small, and a comparison callback would cost more than the sort.
  for (let i = 1; i < count; i++) {
    const value = indexes[i];
    let j = i - 1;
    for (; j >= 0 && indexes[j] > value; j--) indexes[j + 1] = indexes[j];
    indexes[j + 1] = value;
  }
  return indexes[count - (Math.floor(count / 2) + 1)];
}

/** An immutable set of ids, in ascending order. */
export class MajorityConfig {
  static readonly empty: MajorityConfig = new MajorityConfig([]);

  readonly ids: readonly bigint[];

  private constructor(ids: readonly bigint[]) {
    this.ids = ids;
  }

  static of(ids: Iterable<bigint>): MajorityConfig {
    return new MajorityConfig([...new Set(ids)].sort(compareIds));
  }

  get size(): number {
    return this.ids.length;
  }

  has(id: bigint): boolean {
    return this.ids.includes(id);
  }

  with(id: bigint): MajorityConfig {
    return this.has(id) ? this : MajorityConfig.of([...this.ids, id]);
  }

  without(id: bigint): MajorityConfig {
    return this.has(id) ? new MajorityConfig(this.ids.filter((other) => other !== id)) : this;
  }

  /** The highest index that a majority acknowledged; `Infinity` for the empty set. */
  committedIndex(acked: AckedIndex): number {
    return majorityIndex(this.ids.map((id) => acked(id) ?? 0));
  }

  /** `votes` maps voters to yes or no; who is missing has not answered. The empty set has won. */
  voteResult(votes: ReadonlyMap<bigint, boolean>): VoteResult {
    if (this.ids.length === 0) return "won";
    let granted = 0;
    let missing = 0;
    for (const id of this.ids) {
      const vote = votes.get(id);
      if (vote === undefined) missing++;
      else if (vote) granted++;
    }
    const quorum = Math.floor(this.ids.length / 2) + 1;
    if (granted >= quorum) return "won";
    return granted + missing >= quorum ? "pending" : "lost";
  }

  /** `(1 2 3)` */
  toString(): string {
    return `(${this.ids.join(" ")})`;
  }

  /**
   * A picture of who acknowledged what, for people: a line per voter whose bar is as long as there are voters behind
   * it; voters level with the one sorted just before them have no bar.
   */
  describe(acked: AckedIndex): string {
    const count = this.ids.length;
    if (count === 0) return "<empty majority quorum>";
    const rows = this.ids.map((id) => ({ id, index: acked(id) }));
    const ascending = [...rows].sort((a, b) => (a.index ?? 0) - (b.index ?? 0) || compareIds(a.id, b.id));
    const bars = new Map<bigint, number>();
    for (const [position, row] of ascending.entries()) {
      const leads = position > 0 && (ascending[position - 1].index ?? 0) < (row.index ?? 0);
      bars.set(row.id, leads ? position : 0);
    }
    let text = `${" ".repeat(count)}    idx\n`;
    for (const { id, index } of rows) {
      const bar = bars.get(id) ?? 0;
      const drawn = index === undefined ? `?${" ".repeat(count)}` : `${"x".repeat(bar)}>${" ".repeat(count - bar)}`;
      text += `${drawn} ${String(index ?? 0).padStart(5)}    (id=${id})\n`;
    }
    return text;
  }
}

/** For sorting ids in ascending order. */
export function compareIds(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

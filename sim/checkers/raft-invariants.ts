/**
 * What must hold of a raft group at every step, whatever happens (Ongaro's thesis, figure 3.2), told by what is seen of all
 * nodes together:
 *
 * ```text
 *   election safety       one leader in a term; one vote of a node in a term
 *   log matching          entries with one index and term are equal, and so are those before them
 *   leader completeness   a leader has every entry that was committed before its term
 *   state machine safety  nobody applies another entry at an index; no index is left out or applied twice
 *   commit rule           a leader takes for committed what a majority of the voters has, and of its own term
 *   one configuration     all have the same voters and learners behind the same entry
 * ```
 *
 * Only the newest `memory` indexes are kept.
 */
import type { Violation } from "../history/history.ts";

const memory = 50_000;

export interface SeenEntry {
  readonly index: number;
  readonly term: number;
  /** Of type and data. */
  readonly digest: number;
}

/** A node's log, as far as it goes back. */
export interface SeenLog {
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Undefined when it is not there. */
  term(index: number): number | undefined;
}

export interface SeenCommit {
  readonly term: number;
  readonly index: number;
  readonly entryTerm: number | undefined;
  readonly matches: readonly number[];
}

export class RaftInvariants {
  readonly violations: Violation[] = [];
  readonly #leaders = new Map<number, bigint>();
  readonly #votes = new Map<string, bigint>();
  readonly #entries = new Map<number, Map<number, { digest: number; previousTerm: number | undefined }>>();
  readonly #committed = new Map<number, { term: number; digest: number; by: bigint }>();
  readonly #configurations = new Map<number, { readonly text: string; readonly by: bigint }>();
  #newestCommitted = 0;

  elected(id: bigint, term: number, log: SeenLog): void {
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== id) {
      this.#report("election safety", `${hex(other)} and ${hex(id)} both lead in term ${term}`);
    }
    this.#leaders.set(term, id);
    for (
      let index = Math.max(log.firstIndex, this.#newestCommitted - memory);
      index <= this.#newestCommitted;
      index++
    ) {
      const committed = this.#committed.get(index);
      // One that was committed in this very term or later says nothing about this leader's election.
      if (committed === undefined || committed.term >= term) continue;
      const own = log.term(index);
      if (own === committed.term) continue;
      const has = own === undefined ? "does not have it" : `has one of term ${own} there`;
      this.#report(
        "leader completeness",
        `entry ${index} of term ${committed.term} is committed (${hex(committed.by)} said so), but ${hex(id)}, leader of term ${term}, ${has}`,
      );
      return;
    }
  }

  /** A granted vote leaves a node. */
  voted(from: bigint, term: number, to: bigint): void {
    const name = `${from} ${term}`;
    const other = this.#votes.get(name);
    if (other !== undefined && other !== to) {
      this.#report("election safety", `${hex(from)} votes for ${hex(other)} and for ${hex(to)} in term ${term}`);
    }
    this.#votes.set(name, to);
  }

  /** Entries come into a log behind one of `previousTerm` (undefined: not known). */
  appended(entries: readonly SeenEntry[], previousTerm: number | undefined): void {
    let before = previousTerm;
    for (const { index, term, digest } of entries) {
      let atIndex = this.#entries.get(index);
      if (atIndex === undefined) this.#entries.set(index, (atIndex = new Map()));
      const known = atIndex.get(term);
      if (known === undefined) {
        atIndex.set(term, { digest, previousTerm: before });
        this.#entries.delete(index - memory);
      } else if (known.digest !== digest) {
        this.#report("log matching", `two entries at index ${index} in term ${term} differ`);
      } else if (before !== undefined && known.previousTerm !== undefined && known.previousTerm !== before) {
        const terms = `${known.previousTerm} and ${before}`;
        this.#report("log matching", `entry ${index} of term ${term} follows entries of terms ${terms}`);
      }
      before = term;
    }
  }

  /**
   * A node takes entries as committed.
   *
   * @param after - the index before the first of them, as this node has it; undefined when it just began.
   */
  committed(id: bigint, entries: readonly SeenEntry[], after: number | undefined): void {
    let expected = after === undefined ? entries[0]?.index : after + 1;
    for (const { index, term, digest } of entries) {
      if (index !== expected) {
        this.#report("state machine safety", `${hex(id)} applies entry ${index}, but entry ${expected} is next`);
      }
      expected = index + 1;
      const known = this.#committed.get(index);
      if (known === undefined) {
        this.#committed.set(index, { term, digest, by: id });
        this.#committed.delete(index - memory);
        this.#newestCommitted = Math.max(this.#newestCommitted, index);
      } else if (known.term !== term || known.digest !== digest) {
        this.#report(
          "state machine safety",
          `at index ${index} ${hex(known.by)} applied an entry of term ${known.term}, ${hex(id)} one of term ${term}`,
        );
      }
    }
  }

  /**
   * A leader of `term` moves its commit index to an entry of `entryTerm`.
   *
   * @param matches - up to where each voter is known to have the leader's log.
   */
  counted(id: bigint, { term, index, entryTerm, matches }: SeenCommit): void {
    if (entryTerm !== term) {
      const own = `${hex(id)}, leader of term ${term},`;
      this.#report("commit rule", `${own} commits entry ${index} of term ${entryTerm ?? "nobody knows"} by counting`);
    }
    const holders = matches.filter((match) => match >= index).length;
    if (holders * 2 > matches.length) return;
    this.#report("commit rule", `${hex(id)} commits entry ${index}, which ${holders} of ${matches.length} voters have`);
  }

  /** Behind the entry at `index`, a change of the configuration, this is what a node goes by. */
  configured(id: bigint, index: number, text: string): void {
    const known = this.#configurations.get(index);
    if (known === undefined) this.#configurations.set(index, { text, by: id });
    else if (known.text !== text) {
      const both = `${hex(known.by)} has ${known.text}, ${hex(id)} has ${text}`;
      this.#report("one configuration", `behind entry ${index} ${both}`);
    }
  }

  #report(invariant: string, message: string): void {
    // One is enough to stop; what follows from it only hides it.
    if (this.violations.length < 10)
      this.violations.push({ checker: "raft", message: `${invariant}: ${message}`, story: [] });
  }
}

function hex(id: bigint): string {
  return id.toString(16);
}

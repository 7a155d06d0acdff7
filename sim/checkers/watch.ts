/**
 * What etcd promises of a watch, checked against the events that really happened (from the linearization):
 *
 * ```text
 *   ordered      revisions never fall                unique     no event comes twice
 *   complete     no event of the range is missing    atomic     all events of a revision come in one message (or its fragments)
 *   resumable    a watch that starts at an old revision gets everything from there
 *   bookmarks    a progress message at R comes behind everything up to R
 * ```
 */
import { describeMessage, describeRange } from "../history/describe.ts";
import { covers, type Violation, type WatchEvent, type WatchMessage, type WatchRecord } from "../history/history.ts";

export interface WatchContext {
  /** Events of every revision; see `Linearization.effects`. */
  readonly effects: ReadonlyMap<number, readonly WatchEvent[]>;
  readonly finalRevision: number;
}

/** @returns at most one violation for each watch. */
export function checkWatches(watches: readonly WatchRecord[], context: WatchContext): Violation[] {
  const violations: Violation[] = [];
  for (const watch of watches) {
    const problem = new WatchCheck(watch, context).problem();
    if (problem !== undefined) violations.push(problem);
  }
  return violations;
}

class WatchCheck {
  readonly #watch: WatchRecord;
  readonly #context: WatchContext;
  /** Everything below was delivered; undefined until it is known where the watch begins. */
  #next: number | undefined;
  /** Of the last message, when more of the same revision may follow. */
  #openFragment: number | undefined;

  constructor(watch: WatchRecord, context: WatchContext) {
    this.#watch = watch;
    this.#context = context;
    this.#next = watch.startRevision > 0 ? watch.startRevision : undefined;
  }

  problem(): Violation | undefined {
    const { messages } = this.#watch;
    for (const [index, message] of messages.entries()) {
      const problem = this.#take(message);
      if (problem === undefined) continue;
      const { client, startRevision, endpoint = "?" } = this.#watch;
      return {
        checker: "watch",
        message: problem,
        story: [
          `client ${client} at ${endpoint} watches ${describeRange(this.#watch)} from revision ${startRevision}`,
          ...messages.slice(Math.max(0, index - 4), index + 1).map((one) => `  ${describeMessage(one)}`),
        ],
      };
    }
    return undefined;
  }

  #take(message: WatchMessage): string | undefined {
    switch (message.kind) {
      case "created":
        this.#next ??= message.revision + 1;
        return undefined;
      case "events":
        return this.#takeEvents(message);
      case "progress":
        return this.#takeProgress(message.revision);
      case "cancelled":
        if (message.compactRevision > 0 && this.#next !== undefined && message.compactRevision <= this.#next - 1) {
          return `cancelled for a compaction at ${message.compactRevision}, but it needs only what comes from ${this.#next}`;
        }
        return undefined;
    }
  }

  #takeEvents({ events, revision, isFragment = false }: WatchMessage & { kind: "events" }): string | undefined {
    if (this.#next === undefined) return "events before the watch was created";
    const runs = runsOfRevision(events);
    for (const [index, run] of runs.entries()) {
      const { modRevision } = run[0];
      if (modRevision > revision) return `an event of revision ${modRevision} in a message of revision ${revision}`;
      const continues = index === 0 && this.#openFragment === modRevision;
      if (!continues && modRevision < this.#next) return this.#tooOld(modRevision);
      const missed = continues ? undefined : this.#missing(this.#next, modRevision);
      if (missed !== undefined) return missed;
      const staysOpen = isFragment && index === runs.length - 1;
      const problem = this.#compare(run, modRevision, continues || staysOpen);
      if (problem !== undefined) return problem;
      this.#next = modRevision + 1;
      this.#openFragment = staysOpen ? modRevision : undefined;
    }
    return undefined;
  }

  #takeProgress(revision: number): string | undefined {
    if (this.#next === undefined) return "a progress message before the watch was created";
    if (revision > this.#context.finalRevision) return `a bookmark at revision ${revision}, which never was`;
    const missed = this.#missing(this.#next, revision + 1);
    if (missed !== undefined) return `bookmark at ${revision} is not true: ${missed}`;
    this.#next = Math.max(this.#next, revision + 1);
    return undefined;
  }

  #tooOld(revision: number): string {
    return `an event of revision ${revision} came when everything below ${this.#next} was delivered: twice, out of order, or split`;
  }

  /** @returns what should have come in `[from, to)`. */
  #missing(from: number, to: number): string | undefined {
    for (let revision = from; revision < to; revision++) {
      const event = this.#expected(revision)[0];
      if (event !== undefined) return `the ${event.type} of ${event.key} at revision ${revision} did not come`;
    }
    return undefined;
  }

  #expected(revision: number): readonly WatchEvent[] {
    return (this.#context.effects.get(revision) ?? []).filter(({ key }) => covers(this.#watch, key));
  }

  #compare(run: readonly WatchEvent[], revision: number, isPart: boolean): string | undefined {
    const expected = this.#expected(revision);
    for (const event of run) {
      const truth = expected.find(({ key, type }) => key === event.key && type === event.type);
      if (truth === undefined) return `${event.type} of ${event.key} at revision ${revision} never happened`;
      const difference = differenceOf(event, truth, this.#watch.withPrevious === true);
      if (difference !== undefined) return `${event.type} of ${event.key} at revision ${revision}: ${difference}`;
    }
    if (new Set(run.map(({ key }) => key)).size < run.length) return `an event of revision ${revision} comes twice`;
    if (isPart || run.length === expected.length) return undefined;
    return `revision ${revision} has ${expected.length} events in the range, but ${run.length} came together`;
  }
}

function differenceOf(event: WatchEvent, truth: WatchEvent, withPrevious: boolean): string | undefined {
  if (event.type === "put") {
    if (event.value !== truth.value) return `value ${event.value} instead of ${truth.value}`;
    for (const field of ["createRevision", "version"] as const) {
      if (event[field] !== undefined && event[field] !== truth[field]) {
        return `${field} ${event[field]} instead of ${truth[field]}`;
      }
    }
  }
  if (!withPrevious) return undefined;
  // It may be gone by compaction; when there is one it must be right.
  const { previous } = event;
  if (previous === undefined) return undefined;
  if (truth.previous?.modRevision === previous.modRevision && truth.previous.value === previous.value) return undefined;
  return `previous value ${previous.value}@${previous.modRevision}, which was not the previous one`;
}

function runsOfRevision(events: readonly WatchEvent[]): WatchEvent[][] {
  const runs: WatchEvent[][] = [];
  for (const event of events) {
    const last = runs[runs.length - 1];
    if (last?.[0].modRevision === event.modRevision) last.push(event);
    else runs.push([event]);
  }
  return runs;
}

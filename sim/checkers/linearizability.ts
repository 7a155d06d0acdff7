/**
 * Is there an order of all operations, each between its call and its return, that a single etcd could have answered so?
 *
 * The search is Wing and Gong's with Lowe's memory of what was tried: take any operation that could be next (its call is
 * before every return still to come), let the model answer it, go on; when the answer differs, try another; when none
 * is left, take back the last. A set of operations taken, with the state it led to, is searched once.
 *
 * What makes it fast here is that etcd numbers its changes. An answered write can only be next when the model's
 * revision is one below its own, so it never has a rival; a read that fits may always be taken at once. Real choices
 * remain for operations with unknown outcome, and for them {@link Seen} helps: what watchers and readers saw at a
 * revision. An unknown operation fits there only if it does all of that.
 *
 * Leases expire by themselves: for each lease there is a revocation that may happen at any time after the grant.
 * Reads at an old revision and serializable reads do not belong to the order; `stale-reads.ts` compares them with its result.
 */
import {
  covers,
  type KeyRange,
  type Operation,
  type Request,
  type Violation,
  type WatchEvent,
  type WatchRecord,
} from "../history/history.ts";
import { describeOperation } from "../history/describe.ts";
import { EtcdModel, sameResult, type Step } from "./etcd-model.ts";
import { changedRevision } from "./durability.ts";
import { type Hash, mix, toggle } from "./hash.ts";

/** The client of the revocations that the cluster makes itself when a lease expires. */
export const expiryClient = -1;
/** Steps of the search before it gives up undecided. */
export const searchStepsMax = 1_000_000;
/** Remembered dead ends: about 100 bytes each. */
const memorySize = 2_000_000;

export interface OrderedOperation {
  readonly operation: Operation;
  /** Of the store after it. */
  readonly revision: number;
  readonly events: readonly WatchEvent[];
}

export interface Linearization {
  /** An order that explains all answers, with what was done by nobody: see {@link expiryClient}. */
  readonly order: readonly OrderedOperation[];
  /** The events of every revision from 2 on. */
  readonly effects: ReadonlyMap<number, readonly WatchEvent[]>;
  readonly finalRevision: number;
}

export type LinearizabilityResult =
  | { readonly kind: "linearizable"; readonly linearization: Linearization }
  | { readonly kind: "violated"; readonly violation: Violation }
  /** The search gave up; `story` is where it came furthest. */
  | { readonly kind: "undecided"; readonly story: readonly string[] };

/** What watchers and readers saw. */
export interface Seen {
  /** What is known of a revision, by key; it may have more. */
  readonly events: ReadonlyMap<number, ReadonlyMap<string, SeenEvent>>;
  /** Revisions `[from, to)` in which a watcher was told of everything in a range that it saw, if watchers can be trusted. */
  readonly silences: readonly (KeyRange & { readonly from: number; readonly to: number })[];
  /** By key and modification revision: up to which revision (exclusive) readers still saw that. */
  readonly unchanged: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /** By key and revision of its creation: up to which revision (exclusive) it was not deleted. */
  readonly alive: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

interface SeenEvent {
  readonly type: "put" | "delete";
  readonly value?: string;
  readonly createRevision?: number | undefined;
  readonly version?: number | undefined;
}

export const nothingSeen: Seen = { events: new Map(), silences: [], unchanged: new Map(), alive: new Map() };

/** An operation as the search sees it. */
interface Candidate {
  readonly operation: Operation;
  readonly call: number;
  /** Infinity when the outcome is unknown. */
  readonly end: number;
  readonly isKnown: boolean;
  readonly hash: Hash;
  isTaken: boolean;
}

interface Frame {
  readonly candidates: readonly Candidate[];
  next: number;
  taken: Candidate | undefined;
  step: Step | undefined;
}

const nothing: Step = {
  result: { kind: "compact", revision: 0 },
  events: [],
  undo: () => undefined,
};

export function checkLinearizability(
  operations: readonly Operation[],
  seen: Seen = nothingSeen,
  stepsMax = searchStepsMax,
): LinearizabilityResult {
  return new Search(operations, seen).run(stepsMax);
}

/** Collects what watchers and readers saw of each revision. */
export function collectSeen(operations: readonly Operation[], watches: readonly WatchRecord[]): Seen {
  const events = new Map<number, Map<string, SeenEvent>>();
  const add = (revision: number, key: string, what: SeenEvent): void => {
    const known = events.get(revision);
    if (known === undefined) events.set(revision, new Map([[key, what]]));
    else known.set(key, what);
  };
  const unchanged = new Map<string, Map<number, number>>();
  const alive = new Map<string, Map<number, number>>();
  for (const { messages } of watches) {
    for (const message of messages) {
      if (message.kind !== "events") continue;
      for (const { type, key, value, modRevision, createRevision, version } of message.events) {
        add(modRevision, key, type === "put" ? { type, value: value ?? "", createRevision, version } : { type });
        if (type === "put" && createRevision !== undefined) extend(alive, key, createRevision, modRevision);
      }
    }
  }
  for (const { request, outcome } of operations) {
    if (outcome.kind !== "ok" || outcome.result.kind !== "range" || request.kind !== "range") continue;
    const { pairs, revision } = outcome.result;
    const end = (request.revision ? request.revision : revision) + 1;
    for (const { key, value, modRevision, createRevision, version } of pairs) {
      add(modRevision, key, { type: "put", value, createRevision, version });
      extend(unchanged, key, modRevision, end);
      extend(alive, key, createRevision, end);
    }
  }
  return { events, silences: watches.flatMap(silenceOf), unchanged, alive };
}

/** Remembers that what began at `from` lasted to `end` at least. */
function extend(known: Map<string, Map<number, number>>, key: string, from: number, end: number): void {
  let ends = known.get(key);
  if (ends === undefined) known.set(key, (ends = new Map()));
  ends.set(from, Math.max(end, ends.get(from) ?? 0));
}

function lasted(known: ReadonlyMap<string, ReadonlyMap<number, number>>, key: string, revision: number): boolean {
  for (const [from, end] of known.get(key) ?? []) if (from < revision && revision < end) return true;
  return false;
}

function isSamePut(event: WatchEvent, { value, createRevision, version }: SeenEvent): boolean {
  return (
    event.value === value &&
    (createRevision === undefined || event.createRevision === createRevision) &&
    (version === undefined || event.version === version)
  );
}

function silenceOf({ key, end, startRevision, messages }: WatchRecord): Seen["silences"] {
  let from = startRevision > 0 ? startRevision : undefined;
  let to = 0;
  for (const message of messages) {
    if (message.kind === "created") from ??= message.revision + 1;
    else if (message.kind === "progress") to = Math.max(to, message.revision + 1);
    else if (message.kind === "events") to = Math.max(to, (message.events.at(-1)?.modRevision ?? 0) + 1);
  }
  return from === undefined || to <= from ? [] : [{ key, end, from, to }];
}

/** Whether an operation takes part in the one order that all agree on. */
function isOrdered({ request, outcome }: Operation): boolean {
  if (request.kind === "leaseKeepAlive") return false;
  if (request.kind === "range") {
    // A read whose answer never came says nothing.
    return outcome.kind === "ok" && request.isSerializable !== true && (request.revision ?? 0) === 0;
  }
  return !(outcome.kind === "failed" && outcome.reason === "other");
}

class Search {
  readonly #model = new EtcdModel();
  readonly #seen: Seen;
  /** By call. */
  readonly #known: readonly Candidate[];
  readonly #unknown: readonly Candidate[];
  readonly #total: number;
  /** Revisions that answered writes made. */
  readonly #madeRevisions: ReadonlySet<number>;
  /** Known answers by the revision they name, those that are not taken: the store cannot go past it before. */
  readonly #answersAt = new Map<number, number>();
  readonly #frames: Frame[] = [];
  readonly #takenHash: Hash = { high: 0, low: 0 };
  readonly #memory = new Set<string>();
  #firstOpen = 0;
  #knownTaken = 0;
  #deepest = -1;
  #deepestStory: string[] = [];

  constructor(operations: readonly Operation[], seen: Seen) {
    this.#seen = seen;
    const all = [...operations.filter(isOrdered), ...expirations(operations)].map(toCandidate);
    const byCall = (a: Candidate, b: Candidate): number => a.call - b.call;
    this.#known = all.filter(({ isKnown }) => isKnown).sort(byCall);
    this.#unknown = all.filter(({ isKnown }) => !isKnown).sort(byCall);
    this.#total = this.#known.length;
    for (const candidate of this.#known) this.#countAnswer(candidate, 1);
    this.#madeRevisions = new Set(this.#known.flatMap(({ operation }) => changedRevision(operation) ?? []));
  }

  run(stepsMax: number): LinearizabilityResult {
    if (this.#total === 0) return { kind: "linearizable", linearization: this.#linearization() };
    this.#frames.push(this.#frame());
    for (let steps = 0; steps < stepsMax; steps++) {
      const frame = this.#frames[this.#frames.length - 1];
      if (frame === undefined) return { kind: "violated", violation: this.#violation() };
      if (frame.taken !== undefined) this.#takeBack(frame);
      const candidate = frame.candidates[frame.next++];
      if (candidate === undefined) {
        this.#frames.pop();
        continue;
      }
      const step = this.#fits(candidate);
      if (step === undefined) continue;
      this.#take(frame, candidate, step);
      if (this.#knownTaken === this.#total) return { kind: "linearizable", linearization: this.#linearization() };
      if (this.#isNew()) this.#frames.push(this.#frame());
    }
    return { kind: "undecided", story: this.#violation().story };
  }

  /** The operations that may be next: known ones first, a certain one alone. */
  #frame(): Frame {
    while (this.#known[this.#firstOpen]?.isTaken) this.#firstOpen++;
    let firstEnd = Infinity;
    const candidates: Candidate[] = [];
    for (let index = this.#firstOpen; index < this.#known.length; index++) {
      const candidate = this.#known[index];
      if (candidate.isTaken) continue;
      if (candidate.call > firstEnd) break;
      firstEnd = Math.min(firstEnd, candidate.end);
      candidates.push(candidate);
    }
    const open = candidates.filter(({ call }) => call <= firstEnd);
    const certain = this.#certain(open);
    if (certain !== undefined) return { candidates: [certain], next: 0, taken: undefined, step: undefined };
    const mightHaveHappened: Candidate[] = [];
    for (const candidate of this.#unknown) {
      if (candidate.call > firstEnd) break;
      if (candidate.isTaken) continue;
      if (this.#matters(candidate, open)) mightHaveHappened.push(candidate);
    }
    return { candidates: [...open, ...mightHaveHappened], next: 0, taken: undefined, step: undefined };
  }

  /**
   * Whether it makes a difference that an operation of unknown outcome happens now. One that changes no key can as well
   * happen later, unless it is what an open operation was refused for.
   */
  #matters(candidate: Candidate, open: readonly Candidate[]): boolean {
    const step = this.#fits(candidate);
    if (step === undefined) return false;
    step.undo();
    if (step.events.length > 0) return true;
    const { request } = candidate.operation;
    if (request.kind === "leaseGrant") return this.#needsLease(request.lease, open);
    return open.some(({ operation: { outcome, request: refused } }) => {
      if (outcome.kind !== "failed") return false;
      if (request.kind === "compact") return outcome.reason === "compacted";
      if (request.kind !== "leaseRevoke" || outcome.reason !== "leaseNotFound") return false;
      return refersTo(refused, request.lease);
    });
  }

  /** Whether an operation could use this lease now: one that did, or one of unknown outcome. */
  #needsLease(lease: string, open: readonly Candidate[]): boolean {
    const uses = ({ operation: { request, client } }: Candidate): boolean =>
      request.kind !== "leaseGrant" && client !== expiryClient && refersTo(request, lease);
    return (
      open.some((candidate) => candidate.operation.outcome.kind === "ok" && uses(candidate)) ||
      this.#unknown.some((candidate) => !candidate.isTaken && uses(candidate))
    );
  }

  /**
   * One that need not be tried against others: what has no effect and fits now can be taken now; and when nothing of that
   * kind is left, a write whose answer has the next revision is the only one that can make it.
   */
  #certain(open: readonly Candidate[]): Candidate | undefined {
    let write: Candidate | undefined;
    for (const candidate of open) {
      const { request } = candidate.operation;
      const step = this.#fits(candidate);
      if (step === undefined) continue;
      step.undo();
      if (step === nothing) return candidate;
      if (!isKv(request)) continue;
      if (step.events.length === 0) return candidate;
      write ??= candidate;
    }
    // Not while somebody who saw this revision has not been taken: he may stand behind an operation that says nothing of it.
    return (this.#answersAt.get(this.#model.revision) ?? 0) === 0 ? write : undefined;
  }

  /** Lets the model answer. @returns the step if the answer is the one seen; nothing has happened otherwise. */
  #fits({ operation }: Candidate): Step | undefined {
    const { request, outcome } = operation;
    if (outcome.kind === "ok" && cannotFitAt(outcome.result.revision, request, this.#model.revision)) return undefined;
    const step = this.#model.step(request);
    if ("refused" in step) {
      return outcome.kind === "failed" && outcome.reason === step.refused ? nothing : undefined;
    }
    const fits =
      outcome.kind === "unknown"
        ? step.events.length === 0 || this.#mayHaveMade(this.#model.revision, step.events)
        : outcome.kind === "ok" && sameResult(step.result, outcome.result);
    if (fits) return step;
    step.undo();
    return undefined;
  }

  /** Whether an operation of unknown outcome can be what made a revision: nobody else did, and all who saw the one before are taken. */
  #mayHaveMade(revision: number, events: readonly WatchEvent[]): boolean {
    if (this.#madeRevisions.has(revision) || (this.#answersAt.get(revision - 1) ?? 0) > 0) return false;
    return this.#agreesWithSeen(events);
  }

  #countAnswer({ operation: { request, outcome } }: Candidate, by: number): void {
    if (outcome.kind !== "ok" || !isKv(request)) return;
    const { revision } = outcome.result;
    this.#answersAt.set(revision, (this.#answersAt.get(revision) ?? 0) + by);
  }

  #agreesWithSeen(events: readonly WatchEvent[]): boolean {
    const { revision } = this.#model;
    const seen = this.#seen.events.get(revision);
    for (const [key, what] of seen ?? []) {
      const event = events.find((one) => one.key === key);
      if (event === undefined || event.type !== what.type) return false;
      if (what.type === "put" && !isSamePut(event, what)) return false;
    }
    for (const { type, key } of events) {
      if (type === "delete" && lasted(this.#seen.alive, key, revision)) return false;
    }
    return events.every(({ key }) => seen?.has(key) === true || !this.#sawNothing(revision, key));
  }

  /** Whether somebody would have seen a change of this key. */
  #sawNothing(revision: number, key: string): boolean {
    if (lasted(this.#seen.unchanged, key, revision)) return true;
    return this.#seen.silences.some(
      (silence) => revision >= silence.from && revision < silence.to && covers(silence, key),
    );
  }

  #take(frame: Frame, candidate: Candidate, step: Step): void {
    frame.taken = candidate;
    frame.step = step;
    candidate.isTaken = true;
    toggle(this.#takenHash, candidate.hash);
    if (candidate.isKnown) {
      this.#knownTaken += 1;
      this.#countAnswer(candidate, -1);
    }
    if (this.#knownTaken > this.#deepest) {
      this.#deepest = this.#knownTaken;
      this.#deepestStory = [];
    }
  }

  #takeBack(frame: Frame): void {
    const candidate = frame.taken!;
    if (this.#knownTaken === this.#deepest && this.#deepestStory.length === 0) this.#deepestStory = this.#tellStory();
    frame.step?.undo();
    frame.taken = undefined;
    candidate.isTaken = false;
    toggle(this.#takenHash, candidate.hash);
    if (candidate.isKnown) {
      this.#knownTaken -= 1;
      this.#countAnswer(candidate, 1);
      const index = this.#known.indexOf(candidate, Math.max(0, this.#firstOpen - 64));
      this.#firstOpen = Math.min(this.#firstOpen, index < 0 ? 0 : index);
      while (this.#firstOpen > 0 && !this.#known[this.#firstOpen - 1].isTaken) this.#firstOpen--;
    }
  }

  #isNew(): boolean {
    const name = `${this.#takenHash.high}.${this.#takenHash.low}.${this.#model.fingerprint}`;
    if (this.#memory.has(name)) return false;
    if (this.#memory.size < memorySize) this.#memory.add(name);
    return true;
  }

  #linearization(): Linearization {
    const effects = new Map<number, readonly WatchEvent[]>();
    const order: OrderedOperation[] = [];
    let revision = 1;
    for (const { taken, step } of this.#frames) {
      if (taken === undefined || step === undefined) continue;
      const { events } = step;
      if (events.length > 0) {
        revision += 1;
        effects.set(revision, events);
      }
      order.push({ operation: taken.operation, revision, events });
    }
    return { order, effects, finalRevision: this.#model.revision };
  }

  /** The last operations that fit, the state they lead to, and what could be next and does not fit. */
  #tellStory(): string[] {
    const story: string[] = [];
    const order = this.#frames.flatMap(({ taken }) => (taken === undefined ? [] : [taken.operation]));
    story.push(`${order.length} operations can be ordered; the last of them:`);
    for (const operation of order.slice(-6)) story.push(`  ${describeOperation(operation)}`);
    story.push(`then the revision is ${this.#model.revision}, and none of these fits:`);
    const open = this.#frame().candidates.slice(0, 12);
    const late = this.#known.filter(
      (candidate) => !candidate.isTaken && !open.includes(candidate) && names(candidate, this.#model.revision),
    );
    for (const { operation } of [...open, ...late.slice(0, 4)]) {
      story.push(`  ${describeOperation(operation)}`);
      const { request } = operation;
      if (request.kind === "range") {
        const { pairs } = this.#model.range(request);
        const expected = pairs.map(({ key, value, modRevision }) => `${key}=${value}@${modRevision}`).join(", ");
        story.push(`    expected {${expected}} (revision ${this.#model.revision})`);
      }
    }
    return story;
  }

  #violation(): Violation {
    const story = this.#deepestStory.length > 0 ? this.#deepestStory : this.#tellStory();
    return { checker: "linearizability", message: "no order of the operations explains their answers", story };
  }
}

function names({ operation: { outcome } }: Candidate, revision: number): boolean {
  return outcome.kind === "ok" && outcome.result.revision === revision;
}

function isKv({ kind }: Request): boolean {
  return kind === "range" || kind === "put" || kind === "delete" || kind === "txn";
}

function refersTo(request: Request, lease: string): boolean {
  if (request.kind === "txn") return [...request.success, ...request.failure].some((inner) => refersTo(inner, lease));
  return "lease" in request && request.lease === lease;
}

/** Whether an answer names a revision that this state, or the next one, does not have. */
function cannotFitAt(seenRevision: number, request: Request, revision: number): boolean {
  if (!isKv(request)) return false;
  return seenRevision < revision || seenRevision > revision + 1;
}

function toCandidate(operation: Operation, index: number): Candidate {
  const isKnown = operation.outcome.kind !== "unknown";
  return {
    operation,
    call: operation.call,
    end: isKnown && operation.return !== null ? operation.return : Infinity,
    isKnown,
    hash: { high: mix(index * 2 + 1), low: mix(-index * 7 - 3) },
    isTaken: false,
  };
}

/** The leader may revoke a lease at any time after it may have been granted. Whether it was too early is not asked here. */
function expirations(operations: readonly Operation[]): Operation[] {
  const expirations: Operation[] = [];
  for (const { request, outcome, call } of operations) {
    if (request.kind !== "leaseGrant" || outcome.kind === "failed") continue;
    expirations.push({
      client: expiryClient,
      request: { kind: "leaseRevoke", lease: request.lease },
      call,
      return: null,
      outcome: { kind: "unknown", message: "expiry" },
    });
  }
  return expirations;
}

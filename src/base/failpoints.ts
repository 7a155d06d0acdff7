/**
 * Failpoints: places in the code where a test may make the member die, wait or fail, by the names that test builds of etcd
 * have, controlled in the same words (gofail's).
 *
 *     terms = term ( "->" term )*            the first term whose conditions all hold acts
 *     term  = ( COUNT "*" | PERCENT "%" )* action [ "(" value ")" ]
 *
 *     panic            end at once, nothing flushed
 *     sleep(250)       wait: milliseconds, or a Go duration as in sleep("10s")
 *     return("text")   the text for the code around, which takes it for an error
 *     print, off       say that it was here; nothing
 *
 * Example: `2*off->1*sleep("1s")->50%panic` lets two go by, holds the third for a second, then dies half of the times.
 *
 * Each member has points of its own: a {@link FailpointSlots} object in its platform, whose properties are undefined while
 * a point is off, so that a place costs one look at a property. What the actions do is given ({@link FailpointEffects}):
 * the process binds them to itself, a simulator to virtual time.
 *
 * Source: gofail's runtime (terms.go), and the names of etcd 3.6.
 */
import { formatDuration, parseDuration } from "./duration.ts";

/** In the order of the alphabet, as `GET /` lists them. The missing "t" of one is etcd's. */
export const failpointNames = [
  "afterCommit",
  "afterIsMemberExist",
  "afterStartDBTxn",
  "afterWritebackBuf",
  "applyAfterOpenSnapshot",
  "applyBeforeOpenSnapshot",
  "beforeApplyOneConfChange",
  "beforeApplyOneEntryNormal",
  "beforeCheckpointInLeaseRenew",
  "beforeCommit",
  "beforeLookupWhenForwardLeaseTimeToLive",
  "beforeLookupWhenLeaseTimeToLive",
  "beforePublishing",
  "beforeSendWatchResponse",
  "beforeStartDBTxn",
  "beforeWritebackBuf",
  "commitAfterPreCommitHook",
  "commitBeforePreCommitHook",
  "compactAfterCommitBatch",
  "compactAfterCommitScheduledCompact",
  "compactAfterSetFinishedCompact",
  "compactBeforeCommitBatch",
  "compactBeforeCommitScheduledCompact",
  "compactBeforeSetFinishedCompact",
  "defragBeforeCopy",
  "defragBeforeRename",
  "defragOpenFileError",
  "defragdbFail",
  "raftAfterApplySnap",
  "raftAfterSave",
  "raftAfterSaveSnap",
  "raftAfterWALRelease",
  "raftBeforeAdvance",
  "raftBeforeApplySnap",
  "raftBeforeFollowerSend",
  "raftBeforeLeaderSend",
  "raftBeforeSave",
  "raftBeforeSaveSnap",
  "raftBeforeWALSaveSnaphot",
  "walAfterSync",
  "walBeforeSync",
] as const;

export type FailpointName = (typeof failpointNames)[number];

/** The points of one member. A property is undefined while its point is off. */
export type FailpointSlots = { readonly [Name in FailpointName]?: Failpoint | undefined };

/** For a member without failpoints. */
export const failpointsOff: FailpointSlots = Object.freeze({});

/** What the actions do. */
export interface FailpointEffects {
  /** Ends the process (or what stands for it). Nothing of the member runs afterwards. */
  panic(message: string): never;
  /** Holds everything for so long: a place that cannot wait by itself. */
  stall(ms: number): void;
  /** Holds one path of the code for so long while the rest goes on. */
  delay(ms: number): Promise<void>;
  /** A number in [0, 1). */
  chance(): number;
  print(line: string): void;
}

export class FailpointSyntaxError extends Error {
  override readonly name = "FailpointSyntaxError";
}

/** A point that is on. */
export class Failpoint {
  readonly name: FailpointName;
  /** As given. */
  readonly terms: string;
  readonly #chain: Term[];
  readonly #effects: FailpointEffects;
  #hits = 0;

  /** @throws {FailpointSyntaxError} */
  constructor(name: FailpointName, terms: string, effects: FailpointEffects) {
    this.name = name;
    this.terms = terms;
    this.#chain = parseTerms(terms);
    this.#effects = effects;
  }

  /** How often a term has acted. */
  get hits(): number {
    return this.#hits;
  }

  /** Passes in code that cannot wait: a sleep holds the whole member. @returns what `return` gives, if it acts. */
  hit(): string | undefined {
    const term = this.#act();
    if (term?.action === "sleep") this.#effects.stall(term.sleepMs);
    return term?.action === "return" ? term.value : undefined;
  }

  /** Passes in code that can wait. @returns as {@link hit}. */
  pass(): Promise<string | undefined> {
    const term = this.#act();
    if (term?.action === "sleep") return this.#effects.delay(term.sleepMs).then(() => undefined);
    return Promise.resolve(term?.action === "return" ? term.value : undefined);
  }

  #act(): Term | undefined {
    const term = this.#chain.find((candidate) => this.#holds(candidate));
    if (term === undefined) return undefined;
    this.#hits++;
    if (term.action === "panic") {
      const text = term.value === "" ? this.name : term.value;
      this.#effects.panic(`failpoint panic: ${text}`);
    }
    if (term.action === "print") this.#effects.print(`failpoint print: ${this.name}`);
    return term;
  }

  #holds(term: Term): boolean {
    for (const condition of term.conditions) {
      if (condition.kind === "chance" && this.#effects.chance() >= condition.share) return false;
      if (condition.kind === "count" && condition.left-- <= 0) return false;
    }
    return true;
  }
}

/** Switches the points of one member. */
export class Failpoints {
  /** What the code of the member looks at. */
  readonly slots: FailpointSlots;
  readonly #slots: { [Name in FailpointName]?: Failpoint | undefined };
  readonly #effects: FailpointEffects;

  constructor(effects: FailpointEffects) {
    // All properties from the beginning: the shape stays, whatever is switched.
    this.#slots = Object.fromEntries(failpointNames.map((name) => [name, undefined]));
    this.slots = this.#slots;
    this.#effects = effects;
  }

  /** @throws {FailpointSyntaxError} nothing is changed. */
  set(name: FailpointName, terms: string): void {
    this.#slots[name] = new Failpoint(name, terms, this.#effects);
  }

  clear(name: FailpointName): void {
    this.#slots[name] = undefined;
  }

  /** `name=terms;name=terms`. @throws {FailpointSyntaxError} nothing is changed; unknown names are mistakes too. */
  setAll(text: string): void {
    const points: Failpoint[] = [];
    for (const part of text.split(";")) {
      if (part === "") continue;
      const [name, terms, ...more] = part.split("=");
      if (terms === undefined || more.length > 0)
        throw new FailpointSyntaxError(`bad failpoint ${JSON.stringify(part)}`);
      if (!isFailpointName(name)) throw new FailpointSyntaxError(`failpoint ${JSON.stringify(name)} does not exist`);
      points.push(new Failpoint(name, terms, this.#effects));
    }
    for (const point of points) this.#slots[point.name] = point;
  }

  /** `name=terms` of every point, sorted; without terms while it is off. */
  list(): string[] {
    return failpointNames.map((name) => `${name}=${this.#slots[name]?.terms ?? ""}`);
  }
}

export function isFailpointName(name: string): name is FailpointName {
  return (failpointNames as readonly string[]).includes(name);
}

type Condition = { readonly kind: "chance"; readonly share: number } | { readonly kind: "count"; left: number };

interface Term {
  readonly conditions: readonly Condition[];
  readonly action: "panic" | "sleep" | "return" | "print" | "off";
  readonly value: string;
  readonly sleepMs: number;
}

const conditionPattern = /^(?:(\d+(?:\.\d*)?)%|(\d+)\*)/;
const actionPattern = /^(panic|sleep|return|print|off)(?:\((?:("(?:[^"\\]|\\.)*")|(-?\d+|true|false)?)\))?/;

function parseTerms(text: string): Term[] {
  const chain: Term[] = [];
  for (let rest = text.trim(); ;) {
    const { term, length } = parseTerm(rest, text);
    chain.push(term);
    rest = rest.slice(length);
    if (rest === "") return chain;
    if (!rest.startsWith("->")) throw badTerms(text, rest);
    rest = rest.slice(2);
  }
}

function parseTerm(start: string, all: string): { term: Term; length: number } {
  const conditions: Condition[] = [];
  let rest = start;
  for (let match = conditionPattern.exec(rest); match !== null; match = conditionPattern.exec(rest)) {
    if (match[1] === undefined) conditions.push({ kind: "count", left: Number(match[2]) });
    else conditions.push({ kind: "chance", share: Number(match[1]) / 100 });
    rest = rest.slice(match[0].length);
  }
  const match = actionPattern.exec(rest);
  if (match === null) throw badTerms(all, rest);
  const [whole, name, quoted, bare] = match;
  const action = name as Term["action"];
  const value = quoted === undefined ? (bare ?? "") : unquote(quoted, all);
  const sleepMs = action === "sleep" ? sleepOf(value, quoted !== undefined, all) : 0;
  return { term: { conditions, action, value, sleepMs }, length: start.length - rest.length + whole.length };
}

function sleepOf(value: string, isQuoted: boolean, all: string): number {
  try {
    const ms = isQuoted ? parseDuration(value) : Number.parseInt(value, 10);
    if (ms >= 0) return ms;
  } catch {
    // The error below says it with the terms around.
  }
  throw new FailpointSyntaxError(
    `could not parse ${JSON.stringify(all)}: sleep takes milliseconds or a duration like "${formatDuration(10_000)}"`,
  );
}

function unquote(text: string, all: string): string {
  try {
    return JSON.parse(text) as string;
  } catch (cause) {
    throw new FailpointSyntaxError(`could not parse ${JSON.stringify(all)}: bad text ${text}`, { cause });
  }
}

function badTerms(all: string, rest: string): FailpointSyntaxError {
  return new FailpointSyntaxError(`could not parse ${JSON.stringify(all)} from ${JSON.stringify(rest)} on`);
}

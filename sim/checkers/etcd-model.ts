/**
 * What etcd is, as a sequential machine: one request after the other, with its revisions. Slow, small and obviously
 * right, it is the yardstick for the real store. Every step can be taken back, so that a search may try orders.
 */
import {
  type Compare,
  covers,
  type FailureReason,
  type KvRequest,
  type KvResult,
  type Pair,
  type RangeRequest,
  type RangeResult,
  type Request,
  type Result,
  type TxnRequest,
  type WatchEvent,
} from "../history/history.ts";
import { type Hash, hashText, toggle } from "./hash.ts";

/** A step that was taken. */
export interface Step {
  readonly result: Result;
  /** What watchers see of it, in order; empty when the revision did not move. */
  readonly events: readonly WatchEvent[];
  undo(): void;
}

export type StepOrRefusal = Step | { readonly refused: FailureReason };

export class EtcdModel {
  revision = 1;
  compactRevision = 0;
  readonly pairs = new Map<string, Pair>();
  readonly leases = new Set<string>();
  /** Of all that is above but the revisions. */
  readonly #hash: Hash = { high: 0, low: 0 };

  /** Equal for equal states. */
  get fingerprint(): string {
    return `${this.#hash.high}.${this.#hash.low}.${this.revision}.${this.compactRevision}`;
  }

  step(request: Request): StepOrRefusal {
    switch (request.kind) {
      case "range":
      case "put":
      case "delete":
      case "txn":
        return this.#kv(request);
      case "compact":
        return this.#compact(request.revision);
      case "leaseGrant":
        return this.#setLease(request.lease, true);
      case "leaseRevoke":
        return this.#revoke(request.lease);
      case "leaseKeepAlive": {
        const isThere = this.leases.has(request.lease);
        const result: Result = { kind: "leaseKeepAlive", revision: this.revision, ttlSeconds: isThere ? 1 : 0 };
        return { result, events: [], undo: () => undefined };
      }
    }
  }

  /** The pairs of a range as they are now. */
  range(request: Pick<RangeRequest, "key" | "end" | "limit">): Pick<RangeResult, "pairs" | "count"> {
    return rangeOf(this.pairs, request);
  }

  #kv(request: KvRequest): StepOrRefusal {
    const refused = this.#refusal(request);
    if (refused !== undefined) return { refused };
    const changes = new Changes(this);
    const result = this.#execute(request, changes);
    if (changes.events.length > 0) this.revision += 1;
    return {
      result: { ...result, revision: this.revision },
      events: changes.events,
      undo: () => {
        if (changes.events.length > 0) this.revision -= 1;
        changes.undo();
      },
    };
  }

  #refusal(request: KvRequest): FailureReason | undefined {
    if (request.kind === "range") {
      const { revision = 0 } = request;
      if (revision > this.revision) return "futureRevision";
      return revision > 0 && revision < this.compactRevision ? "compacted" : undefined;
    }
    if (request.kind === "put") {
      const { lease } = request;
      return lease === undefined || lease === "0" || this.leases.has(lease) ? undefined : "leaseNotFound";
    }
    if (request.kind === "txn") {
      const branch = this.#holds(request) ? request.success : request.failure;
      for (const inner of branch) {
        const refused = this.#refusal(inner);
        if (refused !== undefined) return refused;
      }
    }
    return undefined;
  }

  #holds({ compare }: TxnRequest): boolean {
    return compare.every((one) => holds(one, this.pairs.get(one.key)));
  }

  #execute(request: KvRequest, changes: Changes): KvResult {
    switch (request.kind) {
      case "range":
        return { kind: "range", revision: 0, ...this.range(request) };
      case "put":
        return { kind: "put", revision: 0, previous: changes.put(request.key, request.value, request.lease ?? "0") };
      case "delete": {
        const doomed = rangeOf(this.pairs, request).pairs;
        for (const { key } of doomed) changes.delete(key);
        return { kind: "delete", revision: 0, deleted: doomed.length };
      }
      case "txn": {
        const succeeded = this.#holds(request);
        const responses = (succeeded ? request.success : request.failure).map((inner) => this.#execute(inner, changes));
        return { kind: "txn", revision: 0, succeeded, responses };
      }
    }
  }

  #compact(revision: number): StepOrRefusal {
    if (revision <= this.compactRevision) return { refused: "compacted" };
    if (revision > this.revision) return { refused: "futureRevision" };
    const before = this.compactRevision;
    this.compactRevision = revision;
    return {
      result: { kind: "compact", revision: this.revision },
      events: [],
      undo: () => (this.compactRevision = before),
    };
  }

  #setLease(lease: string, isGranted: boolean): StepOrRefusal {
    if (this.leases.has(lease) === isGranted) return { refused: isGranted ? "leaseExists" : "leaseNotFound" };
    this.#toggleLease(lease);
    return {
      result: { kind: "leaseGrant", revision: this.revision },
      events: [],
      undo: () => this.#toggleLease(lease),
    };
  }

  #revoke(lease: string): StepOrRefusal {
    if (!this.leases.has(lease)) return { refused: "leaseNotFound" };
    const changes = new Changes(this);
    const doomed = [...this.pairs.values()].filter((pair) => pair.lease === lease).map(({ key }) => key);
    // Sorted, as etcd does it, so that all members delete in one order.
    for (const key of doomed.sort()) changes.delete(key);
    if (doomed.length > 0) this.revision += 1;
    this.#toggleLease(lease);
    return {
      result: { kind: "leaseRevoke", revision: this.revision },
      events: changes.events,
      undo: () => {
        this.#toggleLease(lease);
        if (doomed.length > 0) this.revision -= 1;
        changes.undo();
      },
    };
  }

  #toggleLease(lease: string): void {
    if (!this.leases.delete(lease)) this.leases.add(lease);
    toggle(this.#hash, hashText(`lease ${lease}`));
  }

  /** Sets or removes a pair; for {@link Changes} only. */
  replace(key: string, pair: Pair | undefined): void {
    const before = this.pairs.get(key);
    if (before !== undefined) toggle(this.#hash, hashPair(before));
    if (pair === undefined) this.pairs.delete(key);
    else {
      this.pairs.set(key, pair);
      toggle(this.#hash, hashPair(pair));
    }
  }
}

/** The changes of one revision, which can be taken back. */
class Changes {
  readonly events: WatchEvent[] = [];
  readonly #model: EtcdModel;
  readonly #before: { readonly key: string; readonly pair: Pair | undefined }[] = [];

  constructor(model: EtcdModel) {
    this.#model = model;
  }

  put(key: string, value: string, lease: string): Pair | null {
    const before = this.#model.pairs.get(key);
    const modRevision = this.#model.revision + 1;
    const createRevision = before?.createRevision ?? modRevision;
    const version = (before?.version ?? 0) + 1;
    this.#set(key, { key, value, createRevision, modRevision, version, lease });
    this.events.push({ type: "put", key, value, modRevision, createRevision, version, ...previousOf(before) });
    return before ?? null;
  }

  delete(key: string): void {
    const before = this.#model.pairs.get(key);
    this.#set(key, undefined);
    this.events.push({ type: "delete", key, modRevision: this.#model.revision + 1, ...previousOf(before) });
  }

  undo(): void {
    for (const { key, pair } of this.#before.reverse()) this.#model.replace(key, pair);
  }

  #set(key: string, pair: Pair | undefined): void {
    this.#before.push({ key, pair: this.#model.pairs.get(key) });
    this.#model.replace(key, pair);
  }
}

function previousOf(before: Pair | undefined): Pick<WatchEvent, "previous"> {
  return before === undefined ? {} : { previous: { value: before.value, modRevision: before.modRevision } };
}

function hashPair({ key, value, createRevision, modRevision, version, lease }: Pair): Hash {
  return hashText(`${key}\0${value}\0${createRevision} ${modRevision} ${version} ${lease}`);
}

function rangeOf(
  pairs: ReadonlyMap<string, Pair>,
  request: Pick<RangeRequest, "key" | "end" | "limit">,
): Pick<RangeResult, "pairs" | "count"> {
  if (request.end === undefined || request.end === "") {
    const pair = pairs.get(request.key);
    return pair === undefined ? { pairs: [], count: 0 } : { pairs: [pair], count: 1 };
  }
  const found = [...pairs.values()].filter(({ key }) => covers(request, key)).sort(byKey);
  const { limit = 0 } = request;
  return { pairs: limit > 0 ? found.slice(0, limit) : found, count: found.length };
}

function byKey(a: Pair, b: Pair): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

function holds({ target, is, to }: Compare, pair: Pair | undefined): boolean {
  if (target === "value" && pair === undefined) return false;
  const found = target === "value" ? pair?.value : (pair?.[target] ?? 0);
  if (found === undefined) return false;
  switch (is) {
    case "=":
      return found === to;
    case "!=":
      return found !== to;
    case "<":
      return found < to;
    case ">":
      return found > to;
  }
}

/** Whether an answer is the one that the model gives. `previous` and lease times count only when they were answered. */
export function sameResult(model: Result, seen: Result, { ignoresRevision = false } = {}): boolean {
  if (model.kind !== seen.kind) {
    // Answers without content have one shape in the model.
    return seen.kind === "compact" || seen.kind === "leaseGrant" || seen.kind === "leaseRevoke";
  }
  if (!ignoresRevision && model.revision !== seen.revision && !isVague(seen)) return false;
  switch (seen.kind) {
    case "range":
      return model.kind === "range" && model.count === seen.count && samePairs(model.pairs, seen.pairs);
    case "put":
      if (seen.previous === undefined) return true;
      return model.kind === "put" && samePair(model.previous ?? null, seen.previous);
    case "delete":
      return model.kind === "delete" && model.deleted === seen.deleted;
    case "txn":
      return (
        model.kind === "txn" &&
        model.succeeded === seen.succeeded &&
        model.responses.length === seen.responses.length &&
        model.responses.every((inner, index) => sameResult(inner, seen.responses[index], { ignoresRevision: true }))
      );
    case "leaseKeepAlive":
      return model.kind === "leaseKeepAlive" && (model.ttlSeconds ?? 0) > 0 === (seen.ttlSeconds ?? 0) > 0;
    case "compact":
    case "leaseGrant":
    case "leaseRevoke":
      return true;
  }
}

/** The header of these answers is made when they are sent, not when they happen. */
function isVague({ kind }: Result): boolean {
  return kind === "compact" || kind === "leaseGrant" || kind === "leaseRevoke" || kind === "leaseKeepAlive";
}

function samePairs(a: readonly Pair[], b: readonly Pair[]): boolean {
  return a.length === b.length && a.every((pair, index) => samePair(pair, b[index]));
}

function samePair(a: Pair | null, b: Pair | null): boolean {
  if (a === null || b === null) return a === b;
  return (
    a.key === b.key &&
    a.value === b.value &&
    a.createRevision === b.createRevision &&
    a.modRevision === b.modRevision &&
    a.version === b.version &&
    a.lease === b.lease
  );
}

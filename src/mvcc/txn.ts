/**
 * Requests from the log, executed on the store: put, delete and transactions.
 *
 * A transaction runs in three passes: all compares (nested ones too) on the state before it, giving the path of branches
 * taken; checks of everything on that path, where an error still leaves the store as it was; then execution in one
 * write transaction. Source: etcd server/etcdserver/txn/txn.go, release 3.6.
 */
import { unreachable } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";
import { EtcdError } from "../wire/errors.ts";
import {
  CompareResult,
  CompareTarget,
  type Compare,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RequestOp,
  type ResponseOp,
  type TxnRequest,
  type TxnResponse,
} from "../wire/hot/types.ts";
import { requireRow, type Core } from "./core.ts";
import { executeRange } from "./range.ts";
import type { WriteTxn } from "./write-txn.ts";

const noPairs: readonly Uint8Array[] = [];

/** The revision for the header, and the answer. */
export interface Answer<Response> {
  readonly revision: number;
  readonly response: Response;
}

/** The row of the living key at `main`, or undefined. */
export function currentRow(core: Core, key: Uint8Array, main: number): Uint8Array | undefined {
  const { index, rows } = core;
  const slot = index.find(key);
  if (slot < 0 || !index.findAt(slot, main)) return undefined;
  return requireRow(rows, index.foundMain, index.foundSub);
}

/** @throws {EtcdError} `leaseNotFound`, `keyNotFound`; nothing is written. */
export function applyPut(core: Core, write: WriteTxn, request: PutRequest): Answer<PutResponse> {
  if (request.lease !== 0n && !core.leases.has(request.lease)) throw new EtcdError("leaseNotFound");
  if (request.ignoreValue || request.ignoreLease) requireKey(core, request.key);
  write.begin();
  const response = executePut(core, write, request) ?? noPrevious;
  return { revision: write.end(), response };
}

export function applyDeleteRange(
  core: Core,
  write: WriteTxn,
  request: DeleteRangeRequest,
): Answer<DeleteRangeResponse> {
  write.begin();
  const response = executeDeleteRange(core, write, request);
  return { revision: write.end(), response };
}

/** See `Store.applyTxn`. */
export function applyTxn(core: Core, write: WriteTxn, request: TxnRequest, isProposer: boolean): Answer<TxnResponse> {
  const run = checkedRun(core, write, request, isProposer ? "remember" : "skip");
  write.begin();
  const response = execute(core, run, request, true);
  const revision = write.end();
  if (run.error !== undefined) throw run.error;
  return { revision, response };
}

/** The checks of a transaction against the state of now, top-level ranges included. @throws {EtcdError} */
export function checkTxn(core: Core, write: WriteTxn, request: TxnRequest): void {
  checkedRun(core, write, request, "throw");
}

/** A transaction of top-level ranges only. */
export function readTxn(core: Core, write: WriteTxn, request: TxnRequest): Answer<TxnResponse> {
  const run = checkedRun(core, write, request, "throw");
  // Without changes a write transaction is a read transaction.
  write.begin();
  const response = execute(core, run, request, true);
  return { revision: write.end(), response };
}

/** What a range among the top-level operations does when it cannot be answered. */
type TopRanges =
  /** Not looked at: no client waits here, and etcd drops them on such members. */
  | "skip"
  /** Fails the answer, and the other checks go on: it must not decide whether the writes happen. */
  | "remember"
  | "throw";

/** One pass over the transactions on the path: `path[at]` is the result of the next one to enter. */
interface Run {
  /** Results of the compares, depth first: the transaction's own, then those nested in the branch it takes. */
  readonly path: boolean[];
  at: number;
  readonly write: WriteTxn;
  readonly topRanges: TopRanges;
  /** What the client gets instead of the answer, once everything is executed. */
  error: EtcdError | undefined;
}

/**
 * Chooses the path and checks the operations on it: first all puts, then all ranges. That is etcd 3.5's order; 3.6 goes
 * operation by operation, which shows only in the choice between two errors.
 */
function checkedRun(core: Core, write: WriteTxn, request: TxnRequest, topRanges: TopRanges): Run {
  const run: Run = { path: [], at: 0, write, topRanges, error: undefined };
  comparePath(core, request, run.path);
  checkPuts(core, run, request);
  run.at = 0;
  checkRanges(core, run, request, true);
  run.at = 0;
  return run;
}

function enter(run: Run, txn: TxnRequest): readonly RequestOp[] {
  return run.path[run.at++] ? txn.success : txn.failure;
}

function comparePath(core: Core, txn: TxnRequest, path: boolean[]): void {
  let succeeded = true;
  for (let at = 0; succeeded && at < txn.compare.length; at++) succeeded = holds(core, txn.compare[at]);
  path.push(succeeded);
  for (const op of succeeded ? txn.success : txn.failure) if (op.kind === "txn") comparePath(core, op.txn, path);
}

/** A compare holds when it does for every key of its range; without any key it compares with zeros, and a value never fits. */
function holds(core: Core, compare: Compare): boolean {
  const { ranges, list } = core;
  core.counters.ranges++;
  list.clear();
  const count = ranges.collect(compare.key, compare.rangeEnd, core.currentRevision, 0, list);
  if (count === 0) return compare.target !== CompareTarget.Value && isResult(compare, order(core, compare, -1, 0, 0));
  for (let at = 0; at < count; at++) {
    if (!isResult(compare, order(core, compare, list.slot[at], list.main[at], list.sub[at]))) return false;
  }
  return true;
}

/** Sign of (what the key has) - (what the compare asks for); the row is read only where the index does not know. */
function order(core: Core, compare: Compare, slot: number, main: number, sub: number): number {
  const { index } = core;
  switch (compare.target) {
    case CompareTarget.Version:
      return (slot < 0 ? 0 : index.version(slot)) - compare.version;
    case CompareTarget.Create:
      return (slot < 0 ? 0 : index.createRevision(slot)) - compare.createRevision;
    case CompareTarget.Mod:
      return main - compare.modRevision;
    case CompareTarget.Value:
      return compareBytes(core.pair.read(requireRow(core.rows, main, sub)).value, compare.value);
    case CompareTarget.Lease: {
      const isLeased = slot >= 0 && index.isLeased(slot);
      const lease = isLeased ? core.pair.read(requireRow(core.rows, main, sub)).lease : 0n;
      if (lease === compare.lease) return 0;
      return lease < compare.lease ? -1 : 1;
    }
    default:
      return 0;
  }
}

function isResult(compare: Compare, sign: number): boolean {
  switch (compare.result) {
    case CompareResult.Equal:
      return sign === 0;
    case CompareResult.NotEqual:
      return sign !== 0;
    case CompareResult.Greater:
      return sign > 0;
    case CompareResult.Less:
      return sign < 0;
    default:
      return true;
  }
}

function checkPuts(core: Core, run: Run, txn: TxnRequest): void {
  for (const op of enter(run, txn)) {
    if (op.kind === "put") checkPut(core, op.put);
    else if (op.kind === "txn") checkPuts(core, run, op.txn);
  }
}

function checkRanges(core: Core, run: Run, txn: TxnRequest, isTop: boolean): void {
  for (const op of enter(run, txn)) {
    if (op.kind === "txn") checkRanges(core, run, op.txn, false);
    if (op.kind !== "range" || (isTop && run.topRanges === "skip")) continue;
    const error = rangeError(core, op.range);
    if (error === undefined) continue;
    // Nothing will be written after a throw, so the client gets the first error in order.
    if (!isTop || run.topRanges === "throw") throw run.error ?? error;
    run.error ??= error;
  }
}

function checkPut(core: Core, request: PutRequest): void {
  if (request.ignoreValue || request.ignoreLease) requireKey(core, request.key);
  if (request.lease !== 0n && !core.leases.has(request.lease)) throw new EtcdError("leaseNotFound");
}

function requireKey(core: Core, key: Uint8Array): void {
  const slot = core.index.find(key);
  if (slot < 0 || !core.index.isLive(slot)) throw new EtcdError("keyNotFound");
}

/** Unlike a range of its own, one in a transaction may not ask for a negative revision once something is compacted. */
function rangeError(core: Core, request: RangeRequest): EtcdError | undefined {
  if (request.revision === 0) return undefined;
  if (request.revision > core.currentRevision) return new EtcdError("futureRevision");
  if (request.revision < core.compactRevision) return new EtcdError("compacted");
  return undefined;
}

function execute(core: Core, run: Run, txn: TxnRequest, isTop: boolean): TxnResponse {
  const succeeded = run.path[run.at];
  // With an error to give, the answers of ranges are of no use (and one of them cannot be had).
  const skipRanges = isTop && (run.topRanges === "skip" || run.error !== undefined);
  const responses: ResponseOp[] = [];
  for (const op of enter(run, txn)) {
    if (skipRanges && op.kind === "range") continue;
    const response = executeOp(core, run, op);
    if (response !== undefined) responses.push(response);
  }
  return { succeeded, responses };
}

function executeOp(core: Core, run: Run, op: RequestOp): ResponseOp | undefined {
  const { write } = run;
  switch (op.kind) {
    case "range": {
      const revision = write.readRevision;
      const range = executeRange(core, op.range, revision, Infinity);
      return { kind: "range", revision, range: range! };
    }
    case "put": {
      const put = executePut(core, write, op.put);
      // The API's duplicate check lets a delete of "all from here on" and a put with ignore_value of one of its keys
      // pass, and etcd's members then crash for ever on that entry. Here such a put does nothing.
      if (put === undefined) run.error ??= new EtcdError("keyNotFound");
      return { kind: "put", revision: write.readRevision, put: put ?? noPrevious };
    }
    case "deleteRange": {
      const deleteRange = executeDeleteRange(core, write, op.deleteRange);
      return { kind: "deleteRange", revision: write.readRevision, deleteRange };
    }
    case "txn":
      return { kind: "txn", txn: execute(core, run, op.txn, false) };
    case "none":
      // The API refuses an empty operation; an older member's entry may hold one, and etcd does nothing then.
      return undefined;
    default:
      return unreachable(op);
  }
}

/** Returns undefined, and does nothing, when ignore_value or ignore_lease meets no key. */
function executePut(core: Core, write: WriteTxn, request: PutRequest): PutResponse | undefined {
  let { value, lease } = request;
  if (!request.ignoreValue && !request.ignoreLease && !request.prevKv) {
    write.put(request.key, value, lease);
    return noPrevious;
  }
  core.counters.ranges++;
  const previous = currentRow(core, request.key, write.readRevision);
  if (request.ignoreValue || request.ignoreLease) {
    if (previous === undefined) return undefined;
    core.pair.read(previous);
    if (request.ignoreValue) ({ value } = core.pair);
    if (request.ignoreLease) ({ lease } = core.pair);
  }
  write.put(request.key, value, lease);
  return request.prevKv ? { prevKv: previous } : noPrevious;
}

const noPrevious: PutResponse = { prevKv: undefined };

function executeDeleteRange(core: Core, write: WriteTxn, request: DeleteRangeRequest): DeleteRangeResponse {
  const { key, rangeEnd } = request;
  const prevKvs = request.prevKv ? rowsOf(core, key, rangeEnd, write.readRevision) : noPairs;
  return { deleted: write.deleteRange(key, rangeEnd), prevKvs };
}

function rowsOf(core: Core, key: Uint8Array, rangeEnd: Uint8Array, main: number): Uint8Array[] {
  const { ranges, rows, list } = core;
  core.counters.ranges++;
  list.clear();
  const count = ranges.collect(key, rangeEnd, main, 0, list);
  const kvs: Uint8Array[] = [];
  for (let at = 0; at < count; at++) kvs.push(requireRow(rows, list.main[at], list.sub[at]));
  return kvs;
}

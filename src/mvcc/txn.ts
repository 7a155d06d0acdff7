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
  const path = comparePath(core, request);
  const rangeError = checkPath(core, request, path, isProposer ? "remember" : "skip");
  write.begin();
  const run: Run = { path, at: 0, write, skipTopRanges: !isProposer || rangeError !== undefined, error: rangeError };
  const response = execute(core, run, request, true);
  const revision = write.end();
  if (run.error !== undefined) throw run.error;
  return { revision, response };
}

/** The checks of a transaction against the state of now, top-level ranges included. @throws {EtcdError} */
export function checkTxn(core: Core, request: TxnRequest): void {
  checkPath(core, request, comparePath(core, request), "throw");
}

/** A transaction of top-level ranges only. */
export function readTxn(core: Core, write: WriteTxn, request: TxnRequest): Answer<TxnResponse> {
  const path = comparePath(core, request);
  checkPath(core, request, path, "throw");
  // Without changes a write transaction is a read transaction.
  write.begin();
  const run: Run = { path, at: 0, write, skipTopRanges: false, error: undefined };
  const response = execute(core, run, request, true);
  return { revision: write.end(), response };
}

/** Results of the compares, depth first: the transaction's own, then those nested in the branch it takes. */
function comparePath(core: Core, request: TxnRequest): boolean[] {
  const path: boolean[] = [];
  const visit = (txn: TxnRequest): void => {
    const succeeded = txn.compare.every((compare) => holds(core, compare));
    path.push(succeeded);
    for (const op of succeeded ? txn.success : txn.failure) if (op.kind === "txn") visit(op.txn);
  };
  visit(request);
  return path;
}

/** A compare holds when it does for every key of its range; without any key it compares with zeros, and a value never fits. */
function holds(core: Core, compare: Compare): boolean {
  const { index, list } = core;
  list.clear();
  const count = index.collect(compare.key, compare.rangeEnd, core.currentRevision, 0, list);
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

/** What a failing range among the top-level operations does. */
type TopRanges =
  /** Not looked at: no client waits here, and etcd drops them on such members. */
  | "skip"
  /** Returned, and the other checks go on: it must not decide whether the writes happen. */
  | "remember"
  | "throw";

/**
 * Checks the operations on the path: first all puts, then all ranges. That is etcd 3.5's order; 3.6 goes operation by
 * operation, which shows only in the choice between two errors.
 */
function checkPath(
  core: Core,
  request: TxnRequest,
  path: readonly boolean[],
  topRanges: TopRanges,
): EtcdError | undefined {
  visitPath(request, path, (op) => {
    if (op.kind === "put") checkPut(core, op.put);
  });
  let remembered: EtcdError | undefined;
  visitPath(request, path, (op, isTop) => {
    if (op.kind !== "range" || (isTop && topRanges === "skip")) return;
    const error = rangeError(core, op.range);
    if (error === undefined) return;
    // Nothing will be written after a throw, so the client gets the first error in order.
    if (!isTop || topRanges === "throw") throw remembered ?? error;
    remembered ??= error;
  });
  return remembered;
}

/** Visits the operations of the branches taken, nested ones in their place. */
function visitPath(
  request: TxnRequest,
  path: readonly boolean[],
  visit: (op: RequestOp, isTop: boolean) => void,
): void {
  let at = 0;
  const enter = (txn: TxnRequest, isTop: boolean): void => {
    for (const op of path[at++] ? txn.success : txn.failure) {
      if (op.kind === "txn") enter(op.txn, false);
      else visit(op, isTop);
    }
  };
  enter(request, true);
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

/** Where an execution stands: `path[at]` is the result of the next transaction to enter. */
interface Run {
  readonly path: readonly boolean[];
  at: number;
  readonly write: WriteTxn;
  readonly skipTopRanges: boolean;
  /** What the client gets instead of the answer, once everything is executed. */
  error: EtcdError | undefined;
}

function execute(core: Core, run: Run, request: TxnRequest, isTop: boolean): TxnResponse {
  const succeeded = run.path[run.at++];
  const responses: ResponseOp[] = [];
  for (const op of succeeded ? request.success : request.failure) {
    if (isTop && run.skipTopRanges && op.kind === "range") continue;
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
  const { index, rows, list } = core;
  list.clear();
  const count = index.collect(key, rangeEnd, main, 0, list);
  const kvs: Uint8Array[] = [];
  for (let at = 0; at < count; at++) kvs.push(requireRow(rows, list.main[at], list.sub[at]));
  return kvs;
}

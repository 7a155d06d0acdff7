/**
 * What etcd checks of a key-value request before it goes anywhere.
 *
 * @see etcd server/etcdserver/api/v3rpc/key.go; compat: keys put twice or deleted and put in one list are refused.
 */
import { asBuffer, compareBytes } from "../../base/bytes.ts";
import { EtcdError } from "../../wire/errors.ts";
import {
  SortOrder,
  SortTarget,
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
} from "../../wire/hot/types.ts";

/** @throws {EtcdError} */
export function checkRange(request: RangeRequest): void {
  if (request.key.length === 0) throw new EtcdError("emptyKey");
  const { sortOrder, sortTarget } = request;
  if (sortOrder < SortOrder.None || sortOrder > SortOrder.Descend) throw new EtcdError("invalidSortOption");
  if (sortTarget < SortTarget.Key || sortTarget > SortTarget.Value) throw new EtcdError("invalidSortOption");
}

/** @throws {EtcdError} */
export function checkPut(request: PutRequest): void {
  if (request.key.length === 0) throw new EtcdError("emptyKey");
  if (request.ignoreValue && request.value.length > 0) throw new EtcdError("valueProvided");
  if (request.ignoreLease && request.lease !== 0n) throw new EtcdError("leaseProvided");
}

/** @throws {EtcdError} */
export function checkDeleteRange(request: DeleteRangeRequest): void {
  if (request.key.length === 0) throw new EtcdError("emptyKey");
}

/**
 * @param opsMax - `--max-txn-ops`, less what the transactions around this one took.
 * @throws {EtcdError}
 */
export function checkTxn(request: TxnRequest, opsMax: number): void {
  checkShape(request, opsMax);
  if (canOverlap(request.success)) checkOverlaps(request.success);
  if (canOverlap(request.failure)) checkOverlaps(request.failure);
}

/** One plain operation, the usual case, has nothing to overlap with. */
function canOverlap(ops: readonly RequestOp[]): boolean {
  return ops.length > 1 || ops[0]?.kind === "txn";
}

function checkShape(request: TxnRequest, opsMax: number): void {
  const { compare, success, failure } = request;
  const ops = Math.max(compare.length, success.length, failure.length);
  if (ops > opsMax) throw new EtcdError("tooManyOps");
  for (const one of compare) if (one.key.length === 0) throw new EtcdError("emptyKey");
  for (const op of success) checkOp(op, opsMax - ops);
  for (const op of failure) checkOp(op, opsMax - ops);
}

function checkOp(op: RequestOp, opsLeft: number): void {
  switch (op.kind) {
    case "range":
      return checkRange(op.range);
    case "put":
      return checkPut(op.put);
    case "deleteRange":
      return checkDeleteRange(op.deleteRange);
    case "txn":
      return checkShape(op.txn, opsLeft);
    default:
      throw new EtcdError("keyNotFound");
  }
}

interface Overlaps {
  readonly puts: Map<string, Uint8Array>;
  readonly deletes: DeleteRangeRequest[];
}

/** Puts and deletes of one list and everything nested in it; etcd's rule, asymmetries included (compat: api.md 4.4). */
function checkOverlaps(ops: readonly RequestOp[]): Overlaps {
  const deletes: DeleteRangeRequest[] = [];
  for (const op of ops) if (op.kind === "deleteRange") deletes.push(op.deleteRange);
  const nestedPuts = new Map<string, Uint8Array>();
  for (const op of ops) {
    if (op.kind !== "txn") continue;
    const branches = [checkOverlaps(op.txn.success), checkOverlaps(op.txn.failure)];
    // Both branches are compared with what stood before, so the same key may be put in either.
    for (const { puts } of branches) {
      for (const [text, key] of puts) {
        if (nestedPuts.has(text) || deletes.some((range) => covers(range, key))) throw new EtcdError("duplicateKey");
      }
    }
    for (const { puts, deletes: nested } of branches) {
      for (const [text, key] of puts) nestedPuts.set(text, key);
      deletes.push(...nested);
    }
  }
  for (const op of ops) {
    if (op.kind !== "put") continue;
    const { key } = op.put;
    const text = asBuffer(key).toString("latin1");
    if (nestedPuts.has(text) || deletes.some((range) => covers(range, key))) throw new EtcdError("duplicateKey");
    nestedPuts.set(text, key);
  }
  return { puts: nestedPuts, deletes };
}

/** A range to the end (`\0`) covers nothing here: etcd's interval of it is empty. */
function covers({ key: start, rangeEnd }: DeleteRangeRequest, key: Uint8Array): boolean {
  if (rangeEnd.length === 0) return compareBytes(start, key) === 0;
  return compareBytes(start, key) <= 0 && compareBytes(key, rangeEnd) < 0;
}

/** Only ranges on the top level: served without the log. */
export function isReadOnly({ success, failure }: TxnRequest): boolean {
  return success.every((op) => op.kind === "range") && failure.every((op) => op.kind === "range");
}

/** Every range may be answered by this member alone. */
export function isSerializable({ success, failure }: TxnRequest): boolean {
  const serializable = (op: RequestOp): boolean => op.kind === "range" && op.range.serializable;
  return success.every(serializable) && failure.every(serializable);
}

/** There is a range on the top level. */
export function hasRange({ success, failure }: TxnRequest): boolean {
  const isRange = (op: RequestOp): boolean => op.kind === "range";
  return success.some(isRange) || failure.some(isRange);
}

/** A range on the top level that names a revision may fail: see `Store.checkTxn`. */
export function hasRevisionRange({ success, failure }: TxnRequest): boolean {
  const names = (op: RequestOp): boolean => op.kind === "range" && op.range.revision !== 0;
  return success.some(names) || failure.some(names);
}

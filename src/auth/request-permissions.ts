/**
 * What a request needs to be permitted: the same when its entry is applied, before it is proposed, and when it is served
 * past the log. Order matters, the first refusal is the answer. Source: etcd server/etcdserver/apply/apply_auth.go.
 */
import { unreachable } from "../base/assert.ts";
import { emptyBytes } from "../base/bytes.ts";
import type { DeleteRangeRequest, PutRequest, RequestOp, TxnRequest } from "../wire/hot/types.ts";
import type { AuthStore } from "./auth-store.ts";
import type { Caller } from "./caller.ts";

/** The keys attached to a lease; none when there is no such lease. */
export interface LeasedKeys {
  keysOf(leaseId: bigint): readonly Uint8Array[];
}

/** @throws {EtcdError} as `AuthStore.requireRead`. */
export function requirePut(auth: AuthStore, leases: LeasedKeys, caller: Caller, request: PutRequest): void {
  auth.requireWrite(caller, request.key, emptyBytes);
  // Who attaches a key to a lease can have the lease's other keys deleted by letting it run out.
  if (request.lease !== 0n) requireLeaseWrite(auth, leases, caller, request.lease);
  if (request.prevKv) auth.requireRead(caller, request.key, emptyBytes);
}

export function requireDeleteRange(auth: AuthStore, caller: Caller, request: DeleteRangeRequest): void {
  auth.requireWrite(caller, request.key, request.rangeEnd);
  if (request.prevKv) auth.requireRead(caller, request.key, request.rangeEnd);
}

/** All compares and both branches, to any depth: which branch is taken is itself information. */
export function requireTxn(auth: AuthStore, leases: LeasedKeys, caller: Caller, request: TxnRequest): void {
  for (const { key, rangeEnd } of request.compare) auth.requireRead(caller, key, rangeEnd);
  for (const op of request.success) requireOp(auth, leases, caller, op);
  for (const op of request.failure) requireOp(auth, leases, caller, op);
}

/** The ranges at the top of a transaction, which etcd's members do not all look at. */
export function requireTopRanges(auth: AuthStore, caller: Caller, request: TxnRequest): void {
  for (const op of request.success) requireTopRange(auth, caller, op);
  for (const op of request.failure) requireTopRange(auth, caller, op);
}

/** Write permission on every key of a lease: it may be revoked then, or kept alive, or given another key. */
export function requireLeaseWrite(auth: AuthStore, leases: LeasedKeys, caller: Caller, leaseId: bigint): void {
  if (auth.isAdmin(caller)) return;
  for (const key of leases.keysOf(leaseId)) auth.requireWrite(caller, key, emptyBytes);
}

/** Read permission on every key of a lease: they may be listed then. */
export function requireLeaseRead(auth: AuthStore, leases: LeasedKeys, caller: Caller, leaseId: bigint): void {
  if (auth.isAdmin(caller)) return;
  for (const key of leases.keysOf(leaseId)) auth.requireRead(caller, key, emptyBytes);
}

function requireTopRange(auth: AuthStore, caller: Caller, op: RequestOp): void {
  if (op.kind === "range") auth.requireRead(caller, op.range.key, op.range.rangeEnd);
}

function requireOp(auth: AuthStore, leases: LeasedKeys, caller: Caller, op: RequestOp): void {
  switch (op.kind) {
    case "range":
      return auth.requireRead(caller, op.range.key, op.range.rangeEnd);
    case "put":
      return requirePut(auth, leases, caller, op.put);
    case "deleteRange":
      // The other way round than on its own: the client sees which of two refusals comes first.
      if (op.deleteRange.prevKv) auth.requireRead(caller, op.deleteRange.key, op.deleteRange.rangeEnd);
      return auth.requireWrite(caller, op.deleteRange.key, op.deleteRange.rangeEnd);
    case "txn":
      return requireTxn(auth, leases, caller, op.txn);
    case "none":
      return;
    default:
      return unreachable(op);
  }
}

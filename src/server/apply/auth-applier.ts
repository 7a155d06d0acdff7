/**
 * The link of the applier's chain that knows callers: what the caller of an entry may do, decided on the state as of that
 * entry and so alike on every member; and the requests about users and roles themselves.
 *
 * Of a transaction this member did not propose, etcd drops the ranges at the top before it looks at permissions (it has no
 * answer to give). So such a range may not decide here either whether the transaction is carried out: on the proposer,
 * one that is not permitted takes the answer away, not the writes. Source: etcd server/etcdserver/apply/apply_auth.go.
 */
import type { AuthStore } from "../../auth/auth-store.ts";
import type { Caller } from "../../auth/caller.ts";
import {
  type LeasedKeys,
  requireDeleteRange,
  requireLeaseWrite,
  requirePut,
  requireTopRanges,
  requireTxn,
} from "../../auth/request-permissions.ts";
import { EtcdError } from "../../wire/errors.ts";
import * as rpc from "../../wire/gen/etcdserverpb/rpc.ts";
import { InternalAuthenticateRequest } from "../../wire/gen/etcdserverpb/raft_internal.ts";
import type { RaftRequest } from "../../wire/hot/raft-request.ts";
import type { RequestOp, TxnRequest } from "../../wire/hot/types.ts";
import type { AuthOutcome } from "./result.ts";

/** A request about users and roles. */
export type AuthRequest = Extract<RaftRequest, { readonly payload: Uint8Array }>;

export interface AuthApplierParts {
  readonly auth: AuthStore;
  readonly leases: LeasedKeys;
}

export class AuthApplier {
  readonly #auth: AuthStore;
  readonly #leases: LeasedKeys;

  constructor({ auth, leases }: AuthApplierParts) {
    this.#auth = auth;
    this.#leases = leases;
  }

  /**
   * Whether the caller of an entry may do what it asks for. Nothing to do while authentication is off.
   *
   * @throws {EtcdError} the refusal, the same on every member.
   */
  requirePermission(request: RaftRequest): void {
    if (!this.#auth.isEnabled) return;
    const caller = callerOf(request);
    switch (request.kind) {
      case "put":
        return requirePut(this.#auth, this.#leases, caller, request.put);
      case "deleteRange":
        return requireDeleteRange(this.#auth, caller, request.deleteRange);
      case "txn":
        return requireTxn(this.#auth, this.#leases, caller, withoutTopRanges(request.txn));
      case "leaseRevoke":
        return requireLeaseWrite(this.#auth, this.#leases, caller, request.leaseRevoke.ID);
      case "authEnable":
      case "authDisable":
      case "authStatus":
      case "authUserAdd":
      case "authUserDelete":
      case "authUserChangePassword":
      case "authUserGrantRole":
      case "authUserRevokeRole":
      case "authUserList":
      case "authRoleAdd":
      case "authRoleDelete":
      case "authRoleGrantPermission":
      case "authRoleRevokePermission":
      case "authRoleList":
        return this.#auth.requireAdmin(caller);
      default:
    }
  }

  /** Why the proposer of a permitted transaction gets no answer; undefined when it gets one. */
  topRangeRefusal(request: RaftRequest, txn: TxnRequest): EtcdError | undefined {
    if (!this.#auth.isEnabled) return undefined;
    try {
      requireTopRanges(this.#auth, callerOf(request), txn);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      return error;
    }
    return undefined;
  }

  /**
   * @param tokenIndex - what a token assigned by this entry names.
   * @returns undefined for what only reads, where nobody waits for it. @throws {EtcdError} the outcome for the proposer.
   */
  apply(request: AuthRequest, tokenIndex: number, isProposer: boolean): AuthOutcome | undefined {
    const auth = this.#auth;
    const { payload } = request;
    switch (request.kind) {
      case "authEnable":
        auth.enable();
        return done;
      case "authDisable":
        auth.disable();
        return done;
      case "authenticate": {
        const { name, simpleToken } = InternalAuthenticateRequest.decode(payload);
        const token = auth.authenticate(name, { prefix: simpleToken, index: tokenIndex, isProposer });
        return { kind: "authenticate", token };
      }
      case "authUserAdd":
        auth.addUser(rpc.AuthUserAddRequest.decode(payload));
        return done;
      case "authUserDelete":
        auth.deleteUser(rpc.AuthUserDeleteRequest.decode(payload).name);
        return done;
      case "authUserChangePassword":
        auth.changePassword(rpc.AuthUserChangePasswordRequest.decode(payload));
        return done;
      case "authUserGrantRole":
        auth.grantRole(rpc.AuthUserGrantRoleRequest.decode(payload));
        return done;
      case "authUserRevokeRole":
        auth.revokeRole(rpc.AuthUserRevokeRoleRequest.decode(payload));
        return done;
      case "authRoleAdd":
        auth.addRole(rpc.AuthRoleAddRequest.decode(payload).name);
        return done;
      case "authRoleDelete":
        auth.deleteRole(rpc.AuthRoleDeleteRequest.decode(payload).role);
        return done;
      case "authRoleGrantPermission":
        auth.grantPermission(rpc.AuthRoleGrantPermissionRequest.decode(payload));
        return done;
      case "authRoleRevokePermission":
        auth.revokePermission(rpc.AuthRoleRevokePermissionRequest.decode(payload));
        return done;
      default:
        return isProposer ? this.#read(request) : undefined;
    }
  }

  #read(request: AuthRequest): AuthOutcome {
    const auth = this.#auth;
    const caller = callerOf(request);
    switch (request.kind) {
      case "authStatus":
        return { kind: "authStatus", enabled: auth.isEnabled, authRevision: auth.revision };
      case "authUserList":
        return { kind: "authNames", names: auth.userNames() };
      case "authRoleList":
        return { kind: "authNames", names: auth.roleNames() };
      case "authUserGet": {
        const { name } = rpc.AuthUserGetRequest.decode(request.payload);
        if (name !== caller.username) auth.requireAdmin(caller);
        return { kind: "authNames", names: auth.rolesOf(name) };
      }
      default: {
        const { role } = rpc.AuthRoleGetRequest.decode(request.payload);
        if (!auth.hasRole(caller.username, role)) auth.requireAdmin(caller);
        return { kind: "authPermissions", permissions: auth.permissionsOf(role) };
      }
    }
  }
}

const done: AuthOutcome = { kind: "authChange" };

function callerOf({ username, authRevision }: RaftRequest): Caller {
  return { username, revision: Number(authRevision) };
}

function withoutTopRanges(txn: TxnRequest): TxnRequest {
  const keeps = (op: RequestOp): boolean => op.kind !== "range";
  return { compare: txn.compare, success: txn.success.filter(keeps), failure: txn.failure.filter(keeps) };
}

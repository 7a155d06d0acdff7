/**
 * What applying an entry gives to the one who proposed it. `revision` is the value for the response header. Bytes are
 * views of what the store keeps, to be used before the loop turns.
 */
import type { AlarmMember } from "../../alarm/alarm-store.ts";
import type { Permission } from "../../wire/gen/authpb/auth.ts";
import type { DeleteRangeResponse, PutResponse, TxnResponse } from "../../wire/hot/types.ts";

export type ApplyResult =
  | PutResult
  | DeleteRangeResult
  | TxnResult
  | CompactionResult
  | LeaseGrantResult
  | LeaseResult
  | AlarmResult
  | AuthResult
  | MembershipResult;

export interface PutResult {
  readonly kind: "put";
  readonly revision: number;
  readonly response: PutResponse;
}

export interface DeleteRangeResult {
  readonly kind: "deleteRange";
  readonly revision: number;
  readonly response: DeleteRangeResponse;
}

export interface TxnResult {
  readonly kind: "txn";
  readonly revision: number;
  readonly response: TxnResponse;
}

export interface CompactionResult {
  readonly kind: "compaction";
  readonly revision: number;
  /** Calls back once the rows are gone from the backend and that is durable; `physical` requests answer then. */
  whenPhysicallyDone(callback: () => void): void;
}

export interface LeaseGrantResult {
  readonly kind: "leaseGrant";
  readonly revision: number;
  readonly leaseId: bigint;
  /** As stored: raised to the minimum. */
  readonly ttlSeconds: number;
}

export interface LeaseResult {
  readonly kind: "leaseRevoke" | "leaseCheckpoint";
  readonly revision: number;
}

export interface AlarmResult {
  readonly kind: "alarm";
  /** The alarms asked for, or the one that was raised or taken back. */
  readonly alarms: readonly AlarmMember[];
}

/** Of requests about users and roles. */
export type AuthResult = AuthOutcome & { readonly revision: number };

export type AuthOutcome =
  | { readonly kind: "authChange" }
  /** The token is empty where nobody waits for it. */
  | { readonly kind: "authenticate"; readonly token: string }
  | { readonly kind: "authStatus"; readonly enabled: boolean; readonly authRevision: number }
  /** Users, roles, or the roles of a user. */
  | { readonly kind: "authNames"; readonly names: readonly string[] }
  | { readonly kind: "authPermissions"; readonly permissions: readonly Permission[] };

export interface MembershipResult {
  readonly kind:
    | "clusterVersionSet"
    | "clusterMemberAttrSet"
    | "downgradeInfoSet"
    | "downgradeVersionTest"
    | "confChange";
}

/**
 * What applying an entry gives to the one who proposed it. `revision` is the value for the response header.
 */
import type { AlarmMember } from "../../alarm/alarm-store.ts";
import type { Member as ClusterMember } from "../../membership/member.ts";
import type { RangeResponse, TxnResponse } from "../../wire/hot/types.ts";

export type ApplyResult =
  | PutResult
  | DeleteRangeResult
  | TxnResult
  | RangeResult
  | CompactionResult
  | LeaseGrantResult
  | LeaseRevokeResult
  | LeaseCheckpointResult
  | AlarmResult
  | MembershipResult
  | ConfChangeResult;

export interface PutResult {
  readonly kind: "put";
  readonly revision: number;
  /** Stored KeyValue bytes, valid until the loop turns; undefined when not asked for or absent. */
  readonly prevKv: Uint8Array | undefined;
}

export interface DeleteRangeResult {
  readonly kind: "deleteRange";
  readonly revision: number;
  readonly deleted: number;
  /** Stored KeyValue bytes, valid until the loop turns; empty unless asked for. */
  readonly prevKvs: readonly Uint8Array[];
}

export interface TxnResult {
  readonly kind: "txn";
  readonly revision: number;
  /** Its views are valid until the loop turns. */
  readonly response: TxnResponse;
}

export interface RangeResult {
  readonly kind: "range";
  readonly revision: number;
  readonly response: RangeResponse;
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

export interface LeaseRevokeResult {
  readonly kind: "leaseRevoke";
  readonly revision: number;
}

export interface LeaseCheckpointResult {
  readonly kind: "leaseCheckpoint";
  readonly revision: number;
}

export interface AlarmResult {
  readonly kind: "alarm";
  readonly alarms: readonly AlarmMember[];
}

export interface MembershipResult {
  readonly kind: "membership";
}

export interface ConfChangeResult {
  readonly kind: "confChange";
  readonly members: readonly ClusterMember[];
}

/**
 * Shapes of the messages on the hot path: what the store, the apply loop and the watch hub work with.
 *
 * They follow etcd's rpc.proto field by field, with these conventions:
 * - Absent and zero are the same. Absent bytes are the shared `emptyBytes`; an absent `rangeEnd` is empty.
 * - An int64 that counts something (revision, limit, version) is a `number`. One that a client picked may be anything up
 *   to 2^63 - 1; it is saturated at ±(2^53 - 1), which no counter reaches, so comparisons keep their meaning.
 * - Identifiers (lease, watch, member, cluster, request) are `bigint`.
 * - Enums are plain numbers: a client may send values that no version knows, and etcd looks at them late.
 * - Decoded bytes are views of the input and live as long as it does.
 */

export const SortOrder = { None: 0, Ascend: 1, Descend: 2 } as const;
export const SortTarget = { Key: 0, Version: 1, Create: 2, Mod: 3, Value: 4 } as const;

export interface RangeRequest {
  key: Uint8Array;
  /** Empty: just `key`. One zero byte: every key from `key` on. */
  rangeEnd: Uint8Array;
  /** Most keys to return; 0 or less means all. */
  limit: number;
  /** Revision to read at; 0 or less means current. */
  revision: number;
  /** One of {@link SortOrder}, or an unknown number to be refused. */
  sortOrder: number;
  /** One of {@link SortTarget}, or an unknown number to be refused. */
  sortTarget: number;
  serializable: boolean;
  keysOnly: boolean;
  countOnly: boolean;
  minModRevision: number;
  maxModRevision: number;
  minCreateRevision: number;
  maxCreateRevision: number;
}

export interface PutRequest {
  key: Uint8Array;
  value: Uint8Array;
  /** 0n: no lease. */
  lease: bigint;
  prevKv: boolean;
  ignoreValue: boolean;
  ignoreLease: boolean;
}

export interface DeleteRangeRequest {
  key: Uint8Array;
  rangeEnd: Uint8Array;
  prevKv: boolean;
}

export const CompareResult = { Equal: 0, Greater: 1, Less: 2, NotEqual: 3 } as const;
export const CompareTarget = { Version: 0, Create: 1, Mod: 2, Value: 3, Lease: 4 } as const;

/** Field number of the `target_union` member that was given; 0 when none was. */
export type CompareOperand = 0 | 4 | 5 | 6 | 7 | 8;

/**
 * One condition of a transaction. Only the member named by `operand` was given; the others hold zero or empty, which is
 * also what etcd compares with when `target` and `operand` do not fit together.
 */
export interface Compare {
  /** One of {@link CompareResult}; unknown numbers hold always. */
  result: number;
  /** One of {@link CompareTarget}; for unknown numbers both sides are equal. */
  target: number;
  key: Uint8Array;
  rangeEnd: Uint8Array;
  operand: CompareOperand;
  version: number;
  createRevision: number;
  modRevision: number;
  value: Uint8Array;
  lease: bigint;
}

export type RequestOp =
  | { readonly kind: "range"; readonly range: RangeRequest }
  | { readonly kind: "put"; readonly put: PutRequest }
  | { readonly kind: "deleteRange"; readonly deleteRange: DeleteRangeRequest }
  | { readonly kind: "txn"; readonly txn: TxnRequest }
  | { readonly kind: "none" };

export interface TxnRequest {
  compare: Compare[];
  success: RequestOp[];
  failure: RequestOp[];
}

/** One stored pair, as `mvccpb.KeyValue`. A tombstone's value holds only the key. */
export interface KeyValue {
  key: Uint8Array;
  createRevision: number;
  modRevision: number;
  version: number;
  value: Uint8Array;
  /** 0n: no lease. */
  lease: bigint;
}

/** `kvs` are encoded {@link KeyValue}s, as the store keeps them (borrowed until the answer is written). */
export interface RangeResponse {
  kvs: readonly Uint8Array[];
  more: boolean;
  count: number;
}

export interface PutResponse {
  prevKv: Uint8Array | undefined;
}

export interface DeleteRangeResponse {
  deleted: number;
  prevKvs: readonly Uint8Array[];
}

/** `revision` is all that the header of an answer inside a transaction says; that of a nested transaction is empty. */
export type ResponseOp =
  | { readonly kind: "range"; readonly revision: number; readonly range: RangeResponse }
  | { readonly kind: "put"; readonly revision: number; readonly put: PutResponse }
  | { readonly kind: "deleteRange"; readonly revision: number; readonly deleteRange: DeleteRangeResponse }
  | { readonly kind: "txn"; readonly txn: TxnResponse };

export interface TxnResponse {
  succeeded: boolean;
  responses: readonly ResponseOp[];
}

export const EventType = { Put: 0, Delete: 1 } as const;
export type EventType = (typeof EventType)[keyof typeof EventType];

/** `events` are made by `encodeEvent` (watch.ts): complete fields, shared between all watchers that get the event. */
export interface WatchResponse {
  /** -1n answers a progress request and a refused create. */
  watchId: bigint;
  created: boolean;
  canceled: boolean;
  /** Set when the watch was cancelled because its start was compacted, else 0. */
  compactRevision: number;
  cancelReason: string;
  fragment: boolean;
  events: readonly Uint8Array[];
}

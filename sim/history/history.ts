/**
 * What clients did and saw, as plain data: the one input of all checkers. The simulator records it in virtual time, the
 * torture of real processes in real time; both write the same.
 *
 * An operation lasts from `call` to `return` on a clock that all clients share (milliseconds with fraction; virtual, or
 * monotonic of the one process that runs all clients). Its outcome is one of three:
 *
 * ```text
 *   ok        the answer came: it happened between call and return
 *   failed    it certainly did not happen (refused with a reason that says so)
 *   unknown   timed out, cut off, no leader: it may have happened at any time after call, or may still, or never
 * ```
 *
 * Keys and values are strings (of bytes, latin-1 or ASCII), revisions numbers, leases decimal strings, so that a history is JSON
 * lines. Workloads should never write the same value twice: an unknown write is then recognised by its value.
 */

/** A half-open range when `end` is given; `"\0"` as `end` means everything from `key` on, as in etcd. */
export interface KeyRange {
  readonly key: string;
  readonly end?: string | undefined;
}

export interface RangeRequest extends KeyRange {
  readonly kind: "range";
  /** Read at this revision; 0 or left out: the newest. */
  readonly revision?: number | undefined;
  readonly limit?: number | undefined;
  /** Served by the asked member from what it has: may be stale. */
  readonly isSerializable?: boolean | undefined;
}

export interface PutRequest {
  readonly kind: "put";
  readonly key: string;
  readonly value: string;
  readonly lease?: string | undefined;
}

export interface DeleteRequest extends KeyRange {
  readonly kind: "delete";
}

/** `version` 0 compares as "does not exist". */
export interface Compare {
  readonly key: string;
  readonly target: "value" | "modRevision" | "createRevision" | "version";
  readonly is: "=" | "!=" | "<" | ">";
  readonly to: string | number;
}

export interface TxnRequest {
  readonly kind: "txn";
  readonly compare: readonly Compare[];
  readonly success: readonly KvRequest[];
  readonly failure: readonly KvRequest[];
}

export interface CompactRequest {
  readonly kind: "compact";
  readonly revision: number;
}

export interface LeaseGrantRequest {
  readonly kind: "leaseGrant";
  readonly lease: string;
  readonly ttlSeconds: number;
}

export interface LeaseRevokeRequest {
  readonly kind: "leaseRevoke";
  readonly lease: string;
}

export interface LeaseKeepAliveRequest {
  readonly kind: "leaseKeepAlive";
  readonly lease: string;
}

export type KvRequest = RangeRequest | PutRequest | DeleteRequest | TxnRequest;
export type Request = KvRequest | CompactRequest | LeaseGrantRequest | LeaseRevokeRequest | LeaseKeepAliveRequest;

export interface Pair {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  /** `"0"` when none. */
  readonly lease: string;
}

/** Of the answer's header; 0 inside a transaction's responses. */
interface Answer {
  readonly revision: number;
}

export interface RangeResult extends Answer {
  readonly kind: "range";
  readonly pairs: readonly Pair[];
  /** All that are in the range, whatever the limit. */
  readonly count: number;
}

export interface PutResult extends Answer {
  readonly kind: "put";
  /** `null`: the key did not exist; left out: not asked for. */
  readonly previous?: Pair | null | undefined;
}

export interface DeleteResult extends Answer {
  readonly kind: "delete";
  readonly deleted: number;
}

export interface TxnResult extends Answer {
  readonly kind: "txn";
  readonly succeeded: boolean;
  readonly responses: readonly KvResult[];
}

/** Answers whose revision says nothing certain. */
export interface OtherResult extends Answer {
  readonly kind: "compact" | "leaseGrant" | "leaseRevoke" | "leaseKeepAlive";
  /** Of a keep-alive: what is left; 0 when the lease is gone. */
  readonly ttlSeconds?: number | undefined;
}

export type KvResult = RangeResult | PutResult | DeleteResult | TxnResult;
export type Result = KvResult | OtherResult;

/** Why it certainly did not happen, as far as a model can check it. */
export type FailureReason = "compacted" | "futureRevision" | "leaseNotFound" | "leaseExists" | "other";

export type Outcome =
  | { readonly kind: "ok"; readonly result: Result }
  | { readonly kind: "failed"; readonly reason: FailureReason; readonly message: string }
  | { readonly kind: "unknown"; readonly message: string };

export interface Operation {
  readonly client: number;
  readonly request: Request;
  readonly call: number;
  /** `null` when the outcome is unknown. */
  readonly return: number | null;
  readonly outcome: Outcome;
  /** Who was asked, for the reader. */
  readonly endpoint?: string | undefined;
}

export interface WatchEvent {
  readonly type: "put" | "delete";
  readonly key: string;
  /** Of a put. */
  readonly value?: string | undefined;
  readonly modRevision: number;
  readonly createRevision?: number | undefined;
  readonly version?: number | undefined;
  /** The pair before, when asked for and there was one. */
  readonly previous?: { readonly value: string; readonly modRevision: number } | undefined;
}

/** One message of a watch stream as it arrived. `revision` is the header's. */
export type WatchMessage =
  | { readonly kind: "created"; readonly at: number; readonly revision: number }
  /** `isFragment`: more of the same revision follow in the next message. */
  | {
      readonly kind: "events";
      readonly at: number;
      readonly revision: number;
      readonly events: readonly WatchEvent[];
      readonly isFragment?: boolean | undefined;
    }
  /** A bookmark: everything up to `revision` was delivered. */
  | { readonly kind: "progress"; readonly at: number; readonly revision: number }
  /** Cancelled by the server, since history before `compactRevision` is gone; 0: for another reason. */
  | { readonly kind: "cancelled"; readonly at: number; readonly compactRevision: number };

/** One watch on one stream. A watcher that resumes opens another with `startRevision` behind what it has. */
export interface WatchRecord extends KeyRange {
  readonly client: number;
  /** Watches of one logical watcher, which resumes, share it. */
  readonly watcher: number;
  /** 0: from now on. */
  readonly startRevision: number;
  readonly withPrevious?: boolean | undefined;
  /** Sent. */
  readonly call: number;
  readonly messages: readonly WatchMessage[];
  readonly endpoint?: string | undefined;
}

export interface History {
  readonly operations: readonly Operation[];
  readonly watches: readonly WatchRecord[];
}

/** What a checker found wrong. `story` is for the reader: the few facts that contradict each other. */
export interface Violation {
  readonly checker: string;
  readonly message: string;
  readonly story: readonly string[];
}

/** Whether `key` lies in `range`. */
export function covers(range: KeyRange, key: string): boolean {
  if (range.end === undefined || range.end === "") return key === range.key;
  return key >= range.key && (range.end === "\0" || key < range.end);
}

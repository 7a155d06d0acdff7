/** A range answer in slices: see the interface. */
export interface RangeCursor {
  /** Header revision of the answer. */
  readonly revision: number;
  /** Looks at up to `maxKeys` more keys; true when count, more, pairCount and bytes are known. */
  measure(maxKeys: number): boolean;
  readonly count: number;
  readonly more: boolean;
  readonly pairCount: number;
  /** Exact size of all `kvs` fields (number 2 of RangeResponse), tags and lengths included. */
  readonly bytes: number;
  /** The next encoded `kvs` fields, about `maxBytes` (at least one pair); owned by the caller. undefined at the end. */
  next(maxBytes: number): Uint8Array | undefined;
  /** Releases the pinned view. Idempotent. */
  close(): void;
}

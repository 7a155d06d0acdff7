/** The write transaction: see the interface. */
export interface WriteTxn {
  /** Revision that reads inside see: the begin revision, or one more once something changed. */
  readonly readRevision: number;
  readonly changeCount: number;
  /** Returns the main revision of the transaction. `key` and `value` are borrowed. */
  put(key: Uint8Array, value: Uint8Array, leaseId: bigint): number;
  /** Deletes the live keys of the range (etcd's conventions for `rangeEnd`); returns how many. */
  deleteRange(key: Uint8Array, rangeEnd: Uint8Array): number;
  /** Publishes the changes; returns the store's revision after it. */
  end(): number;
}

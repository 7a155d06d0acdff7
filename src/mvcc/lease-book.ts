/**
 * What the store needs from leases. The lessor (src/lease) implements it; the two layers do not import each other.
 *
 * An `item` is the store's own number for a key, stable while the key is attached: neither side makes strings of keys.
 */
export interface LeaseBook {
  /** Whether the lease is granted and not revoked. */
  has(leaseId: bigint): boolean;
  /** Returns false, and does nothing, when the lease is unknown. */
  attach(leaseId: bigint, item: number): boolean;
  detach(leaseId: bigint, item: number): boolean;
  /** 0n when the key is attached to none. */
  leaseOf(item: number): bigint;
  /** Called once, before the first attach: how the lessor comes back to keys. */
  bind(keys: LeasedKeys): void;
}

/** What the lessor may ask of the store. */
export interface LeasedKeys {
  /** The key of an attached item: a view of bytes nobody writes to. */
  keyOf(item: number): Uint8Array;
  /**
   * Deletes live keys in one write transaction, in the order given, and runs `alongside` before the transaction ends so
   * that its backend writes are part of it.
   */
  deleteKeys(keys: readonly Uint8Array[], alongside: () => void): void;
}

/** For a store without leases: knows none, so a put that names one is refused. */
export const noLeases: LeaseBook = {
  has: () => false,
  attach: () => false,
  detach: () => false,
  leaseOf: () => 0n,
  bind: () => undefined,
};

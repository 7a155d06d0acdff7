/** The lessor: see the class. */
import type { Backend } from "../storage/backend/backend.ts";

export interface LessorOptions {
  /** Shorter grants are raised to this: ceil(1.5 × election timeout). */
  readonly minTtlSeconds: number;
  /** Whether remaining TTLs of checkpoints are written to the lease's row (cluster version ≥ 3.6, or asked for). */
  persistCheckpoints: boolean;
  /** 0 (default): no checkpoints are scheduled. Otherwise 300 s in etcd. */
  readonly checkpointIntervalMs?: number;
  /** Pause before an expired lease is offered again. Default 3000. */
  readonly expiredRetryMs?: number;
}

/** What the outside may see of a lease. */
export interface Lease {
  readonly id: bigint;
  /** As granted and stored. */
  readonly ttlSeconds: number;
  /** From the last checkpoint; 0 when none. */
  readonly remainingTtlSeconds: number;
  readonly keyCount: number;
}

export interface LeaseCheckpoint {
  readonly id: bigint;
  readonly remainingTtlSeconds: number;
}

/** All `nowMs` are one monotonic clock's. */
export declare class Lessor {
  /** Reads the leases of the backend. Keys are attached when the store opens. */
  static open(backend: Backend, options: LessorOptions): Lessor;
  /** Applied entries. @throws {EtcdError} `leaseNotFound` (id 0), `leaseTtlTooLarge`, `leaseExists`. */
  grant(id: bigint, ttlSeconds: number, nowMs: number): Lease;
  /** Deletes the attached keys (sorted, one transaction) and the lease. @throws {EtcdError} `leaseNotFound`. */
  revoke(id: bigint): void;
  /** Unknown ids are ignored. */
  checkpoint(id: bigint, remainingTtlSeconds: number, nowMs: number): void;

  readonly isPrimary: boolean;
  readonly leaseCount: number;
  persistCheckpoints: boolean;
  promote(extendMs: number, nowMs: number): void;
  demote(): void;
  /**
   * Only on the primary.
   * @returns "expired" when the lease is over but its revocation is not applied yet: the caller waits for that
   *   (`onRevoked`) or for demotion; else the lease.
   * @throws {EtcdError} `notPrimary` is not an EtcdError here: check `isPrimary` first. `leaseNotFound`.
   */
  renew(id: bigint, nowMs: number): Lease | "expired";
  lookup(id: bigint): Lease | undefined;
  /** Time to live in whole seconds as etcd shows it (floor); -1 once over or unknown. */
  remainingSeconds(id: bigint, nowMs: number): number;
  /** Attached keys, sorted, owned copies. */
  keysOf(id: bigint): Uint8Array[];
  /** Every lease's id, soonest expiry first. */
  leaseIds(): bigint[];
  /** Called after a lease is gone (revoked). */
  onRevoked: ((id: bigint) => void) | undefined;
  /** Leases over at `nowMs`, at most `limit`; each is offered again after the retry pause until revoked. */
  takeExpired(nowMs: number, limit: number): bigint[];
  /** Checkpoints due at `nowMs`, at most `limit`. */
  takeCheckpoints(nowMs: number, limit: number): LeaseCheckpoint[];
}

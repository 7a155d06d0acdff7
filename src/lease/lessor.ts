/**
 * Leases: granted and revoked by applied log entries, equal on all members; expiry is only watched by the primary (the
 * leader), which proposes the revocations.
 *
 * Pure: every time is an argument, in milliseconds of one monotonic clock. The server calls {@link Lessor.takeExpired}
 * and {@link Lessor.takeCheckpoints} from its 500 ms tick and proposes what they give.
 *
 * A lease knows the keys attached to it by the store's numbers for them (see LeaseBook in src/mvcc). Nothing of expiry
 * is stored: after a restart or a change of leader a lease gets its whole TTL again, or what the last checkpoint left.
 * Source: etcd server/lease/{lessor,lease,lease_queue}.go.
 */
import { assert } from "../base/assert.ts";
import { compareBytes, copyBytes } from "../base/bytes.ts";
import { exponentialBounds, Histogram } from "../base/histogram.ts";
import { EtcdError } from "../wire/errors.ts";
import type { BackendReader } from "../storage/backend/bucket.ts";
import { DueHeap, type Due } from "./due-heap.ts";
import { deleteLeaseRow, readLeaseRows, writeLeaseRow, type LeaseBackend } from "./lease-rows.ts";

/** etcd's MaxLeaseTTL. */
const ttlSecondsMax = 9_000_000_000;
/** With more leases than this, promotion spreads expiries so that they do not come all at once. */
const revokesPerSecond = 1000;
const defaultExpiredRetryMs = 3000;

export interface LessorOptions {
  /** Shorter grants are raised to this: ceil(1.5 × election timeout). */
  readonly minTtlSeconds: number;
  /** Whether remaining TTLs of checkpoints go to the lease's row (cluster version ≥ 3.6, or configured). May change later. */
  readonly persistCheckpoints: boolean;
  /** Pause between checkpoints of a lease (etcd: 300,000); 0 (default): none are scheduled. */
  readonly checkpointIntervalMs?: number;
  /** Pause before an expired lease is offered again. Default 3000. */
  readonly expiredRetryMs?: number;
}

/** What the outside sees of a lease. */
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

/** What the lessor asks of the store; the shape of LeasedKeys in src/mvcc/lease-book.ts. */
interface AttachedKeys {
  keyOf(item: number): Uint8Array;
  deleteKeys(keys: readonly Uint8Array[], alongside: () => void): void;
}

class GrantedLease implements Lease {
  readonly id: bigint;
  readonly ttlSeconds: number;
  remainingTtlSeconds: number;
  readonly items = new Set<number>();
  /** Infinity while this member is not the primary. */
  expiryMs = Infinity;
  readonly expiry: Due;
  readonly checkpoint: Due;

  constructor(id: bigint, ttlSeconds: number, remainingTtlSeconds: number) {
    this.id = id;
    this.ttlSeconds = ttlSeconds;
    this.remainingTtlSeconds = remainingTtlSeconds;
    this.expiry = { leaseId: id, dueMs: 0, place: -1 };
    this.checkpoint = { leaseId: id, dueMs: 0, place: -1 };
  }

  get keyCount(): number {
    return this.items.size;
  }

  get effectiveTtlMs(): number {
    return (this.remainingTtlSeconds > 0 ? this.remainingTtlSeconds : this.ttlSeconds) * 1000;
  }
}

/** Leases that were read beside those in use; keys are attached to them as to a lessor. */
export class PreparedLeases {
  readonly leases: Map<bigint, GrantedLease>;
  readonly leaseByItem = new Map<number, bigint>();

  constructor(leases: Map<bigint, GrantedLease>) {
    this.leases = leases;
  }

  attach(leaseId: bigint, item: number): boolean {
    return attachTo(this.leases, this.leaseByItem, leaseId, item);
  }
}

function attachTo(
  leases: ReadonlyMap<bigint, GrantedLease>,
  leaseByItem: Map<number, bigint>,
  leaseId: bigint,
  item: number,
): boolean {
  const lease = leases.get(leaseId);
  if (lease === undefined) return false;
  lease.items.add(item);
  leaseByItem.set(item, leaseId);
  return true;
}

function readLeases(reader: BackendReader, minTtlSeconds: number): Map<bigint, GrantedLease> {
  const leases = new Map<bigint, GrantedLease>();
  for (const { id, ttlSeconds, remainingTtlSeconds } of readLeaseRows(reader)) {
    leases.set(id, new GrantedLease(id, Math.max(ttlSeconds, minTtlSeconds), remainingTtlSeconds));
  }
  return leases;
}

export class Lessor {
  readonly #backend: LeaseBackend;
  readonly #minTtlSeconds: number;
  readonly #checkpointIntervalMs: number;
  readonly #expiredRetryMs: number;
  #leases = new Map<bigint, GrantedLease>();
  #leaseByItem = new Map<number, bigint>();
  readonly #expiries = new DueHeap();
  readonly #checkpoints = new DueHeap();
  #keys: AttachedKeys | undefined = undefined;
  #isPrimary = false;

  /** For metrics: plain numbers that only grow, and the TTLs of grants. */
  readonly counters = { granted: 0, revoked: 0, renewed: 0, ttlSeconds: new Histogram(exponentialBounds(1, 2, 24)) };
  persistCheckpoints: boolean;
  /** Called after a lease is gone. Set by the server, for renewals that wait for a revocation. */
  onRevoked: ((id: bigint) => void) | undefined = undefined;

  private constructor(backend: LeaseBackend, options: LessorOptions) {
    this.#backend = backend;
    this.#minTtlSeconds = options.minTtlSeconds;
    this.#checkpointIntervalMs = options.checkpointIntervalMs ?? 0;
    this.#expiredRetryMs = options.expiredRetryMs ?? defaultExpiredRetryMs;
    this.persistCheckpoints = options.persistCheckpoints;
  }

  /** Reads the leases of the backend; keys are attached when the store opens. */
  static open(backend: LeaseBackend, options: LessorOptions): Lessor {
    const lessor = new Lessor(backend, options);
    lessor.#leases = readLeases(backend, options.minTtlSeconds);
    return lessor;
  }

  /** Reads the leases of the database of a snapshot, which is not in use yet; see {@link adopt}. */
  prepare(reader: BackendReader): PreparedLeases {
    return new PreparedLeases(readLeases(reader, this.#minTtlSeconds));
  }

  /** Goes on with what was prepared: the database was replaced by that one. The store, which adopts too, binds again. */
  adopt({ leases, leaseByItem }: PreparedLeases): void {
    this.demote();
    this.#leases = leases;
    this.#leaseByItem = leaseByItem;
    this.#keys = undefined;
  }

  get isPrimary(): boolean {
    return this.#isPrimary;
  }

  get leaseCount(): number {
    return this.#leases.size;
  }

  /**
   * Applies a grant. `ttlSeconds` may be anything a client sent.
   *
   * @throws {EtcdError} `leaseNotFound` (id 0), `leaseTtlTooLarge`, `leaseExists`; nothing is written.
   */
  grant(id: bigint, ttlSeconds: number, nowMs: number): Lease {
    if (id === 0n) throw new EtcdError("leaseNotFound");
    if (ttlSeconds > ttlSecondsMax) throw new EtcdError("leaseTtlTooLarge");
    if (this.#leases.has(id)) throw new EtcdError("leaseExists");
    const lease = new GrantedLease(id, Math.max(ttlSeconds, this.#minTtlSeconds), 0);
    this.#leases.set(id, lease);
    writeLeaseRow(this.#backend, lease);
    this.counters.granted++;
    this.counters.ttlSeconds.observe(lease.ttlSeconds);
    if (this.#isPrimary) {
      this.#refresh(lease, 0, nowMs);
      this.#scheduleCheckpoint(lease, nowMs);
    }
    return lease;
  }

  /**
   * Applies a revocation: the attached keys go in one write transaction, in key order (members must agree on subs), and
   * the lease's row with them.
   *
   * @throws {EtcdError} `leaseNotFound`.
   */
  revoke(id: bigint): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) throw new EtcdError("leaseNotFound");
    assert(this.#keys !== undefined, "lessor without a store");
    this.#keys.deleteKeys(this.#sortedKeys(lease), () => deleteLeaseRow(this.#backend, id));
    this.#leases.delete(id);
    this.#expiries.remove(lease.expiry);
    this.#checkpoints.remove(lease.checkpoint);
    this.counters.revoked++;
    this.onRevoked?.(id);
  }

  /** Applies a checkpoint: what is left counts from the next promotion on. Unknown ids are ignored. */
  checkpoint(id: bigint, remainingTtlSeconds: number, nowMs: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.remainingTtlSeconds = remainingTtlSeconds;
    if (this.persistCheckpoints) writeLeaseRow(this.#backend, lease);
    if (this.#isPrimary) this.#scheduleCheckpoint(lease, nowMs);
  }

  /** Makes this member watch expiry: every lease gets its time again, plus `extendMs` (the election timeout). */
  promote(extendMs: number, nowMs: number): void {
    this.#isPrimary = true;
    for (const lease of this.#leases.values()) {
      this.#refresh(lease, extendMs, nowMs);
      this.#scheduleCheckpoint(lease, nowMs);
    }
    if (this.#leases.size >= revokesPerSecond) this.#spreadExpiries(extendMs, nowMs);
  }

  demote(): void {
    this.#isPrimary = false;
    for (const lease of this.#leases.values()) lease.expiryMs = Infinity;
    this.#expiries.clear();
    this.#checkpoints.clear();
  }

  /**
   * Renews on the primary ({@link isPrimary} is the caller's to check). When checkpoints are on and
   * `remainingTtlSeconds` is set, the caller first proposes a checkpoint of 0 for it, as etcd does.
   *
   * @returns "expired" when it is over but not revoked yet: wait for {@link onRevoked} (then it is not found) or for demotion.
   * @throws {EtcdError} `leaseNotFound`.
   */
  renew(id: bigint, nowMs: number): Lease | "expired" {
    assert(this.#isPrimary, "renewal on a member that is not primary");
    const lease = this.#leases.get(id);
    if (lease === undefined) throw new EtcdError("leaseNotFound");
    if (lease.expiryMs <= nowMs) return "expired";
    this.#refresh(lease, 0, nowMs);
    this.counters.renewed++;
    return lease;
  }

  lookup(id: bigint): Lease | undefined {
    return this.#leases.get(id);
  }

  /** Whole seconds left, cut toward zero (so 0 or less once it is over); undefined for an unknown lease. */
  remainingSeconds(id: bigint, nowMs: number): number | undefined {
    const lease = this.#leases.get(id);
    return lease === undefined ? undefined : Math.trunc((lease.expiryMs - nowMs) / 1000);
  }

  /** Attached keys in byte order, owned; empty for an unknown lease. */
  keysOf(id: bigint): Uint8Array[] {
    const lease = this.#leases.get(id);
    return lease === undefined ? [] : this.#sortedKeys(lease).map(copyBytes);
  }

  /** As {@link keysOf}, in no order and as views: for looking at them before anything is written. */
  attachedKeys(id: bigint): Uint8Array[] {
    const keys = this.#keys;
    const lease = this.#leases.get(id);
    if (keys === undefined || lease === undefined) return [];
    return Array.from(lease.items, (item) => keys.keyOf(item));
  }

  /** Ids of all leases, soonest expiry first. */
  leaseIds(): bigint[] {
    const leases = [...this.#leases.values()];
    leases.sort((a, b) => (a.expiryMs === b.expiryMs ? 0 : a.expiryMs - b.expiryMs));
    return leases.map((lease) => lease.id);
  }

  /** Leases over at `nowMs`, at most `limit` (etcd: 500 per 500 ms); each is offered again after a pause until revoked. */
  takeExpired(nowMs: number, limit: number): bigint[] {
    const expired: bigint[] = [];
    while (expired.length < limit) {
      const entry = this.#expiries.peek();
      if (entry === undefined || entry.dueMs > nowMs) break;
      expired.push(entry.leaseId);
      this.#expiries.schedule(entry, nowMs + this.#expiredRetryMs);
    }
    return expired;
  }

  /** Whether a lease that was taken as expired still is: not if it was granted anew, or its primary changed since. */
  isExpired(id: bigint, nowMs: number): boolean {
    const lease = this.#leases.get(id);
    return lease !== undefined && lease.expiryMs <= nowMs;
  }

  /** Checkpoints due at `nowMs`, at most `limit` (etcd: 1000 an entry), to be proposed. */
  takeCheckpoints(nowMs: number, limit: number): LeaseCheckpoint[] {
    const due: LeaseCheckpoint[] = [];
    while (due.length < limit) {
      const entry = this.#checkpoints.peek();
      if (entry === undefined || entry.dueMs > nowMs) break;
      this.#checkpoints.remove(entry);
      const lease = this.#leases.get(entry.leaseId)!;
      const remainingTtlSeconds = Math.ceil((lease.expiryMs - nowMs) / 1000);
      if (remainingTtlSeconds <= 0 || remainingTtlSeconds >= lease.ttlSeconds) continue;
      due.push({ id: lease.id, remainingTtlSeconds });
    }
    return due;
  }

  /** For the store: whether the lease is granted. */
  has(leaseId: bigint): boolean {
    return this.#leases.has(leaseId);
  }

  /** For the store, once after each reading of the leases: how to come back to keys. */
  bind(keys: AttachedKeys): void {
    assert(this.#keys === undefined, "lessor bound to two stores");
    this.#keys = keys;
  }

  /** For the store. */
  attach(leaseId: bigint, item: number): boolean {
    return attachTo(this.#leases, this.#leaseByItem, leaseId, item);
  }

  /** For the store. */
  detach(leaseId: bigint, item: number): boolean {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return false;
    lease.items.delete(item);
    this.#leaseByItem.delete(item);
    return true;
  }

  /** For the store: 0n when the key is attached to none. */
  leaseOf(item: number): bigint {
    return this.#leaseByItem.get(item) ?? 0n;
  }

  #sortedKeys(lease: GrantedLease): Uint8Array[] {
    const keys = this.#keys;
    if (keys === undefined) return [];
    return Array.from(lease.items, (item) => keys.keyOf(item)).sort(compareBytes);
  }

  #refresh(lease: GrantedLease, extendMs: number, nowMs: number): void {
    lease.expiryMs = nowMs + extendMs + lease.effectiveTtlMs;
    this.#expiries.schedule(lease.expiry, lease.expiryMs);
  }

  #scheduleCheckpoint(lease: GrantedLease, nowMs: number): void {
    if (this.#checkpointIntervalMs === 0 || lease.effectiveTtlMs <= this.#checkpointIntervalMs) return;
    this.#checkpoints.schedule(lease.checkpoint, nowMs + this.#checkpointIntervalMs);
  }

  /** In any second at most three quarters of what can be revoked shall expire; later ones are pushed back. */
  #spreadExpiries(extendMs: number, nowMs: number): void {
    const leases = [...this.#leases.values()].sort((a, b) => a.expiryMs - b.expiryMs);
    const expiriesPerSecond = (3 * revokesPerSecond) / 4;
    let windowStart = leases[0].expiryMs - nowMs;
    let windowEnd = windowStart + 1000;
    let inWindow = 0;
    for (const lease of leases) {
      const remaining = lease.expiryMs - nowMs;
      if (remaining > windowEnd) {
        windowStart = remaining;
        windowEnd = windowStart + 1000;
        inWindow = 1;
        continue;
      }
      inWindow++;
      if (inWindow <= expiriesPerSecond) continue;
      const delay = 1000 * (inWindow / expiriesPerSecond) - (remaining - windowStart);
      windowEnd = windowStart + delay;
      this.#refresh(lease, delay + extendMs, nowMs);
      this.#scheduleCheckpoint(lease, nowMs);
    }
  }
}

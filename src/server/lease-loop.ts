/**
 * The primary's side of leases: revokes those that have run out, checkpoints long ones, renews what clients keep alive.
 * Expiry is decided here and takes effect through the log; renewals stay local and cost no entry.
 *
 * Every 500 ms at most 500 expired leases are taken and revoked, 16 at a time, and only after this member has made sure
 * that it still leads: a leader that was stopped for a while must not revoke what the next one has kept alive, nor say
 * that it renewed what the next one revokes. Revocations ask the others each time; a renewal only when the leader is not
 * sure anyway (see leader-lease.ts), as there may be hundreds of thousands a second.
 * Source: etcd server/lease/lessor.go and `revokeExpiredLeases`, `LeaseRenew` in server/etcdserver.
 */
import type { FailpointSlots } from "../base/failpoints.ts";
import type { Lessor } from "../lease/lessor.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { EtcdError } from "../wire/errors.ts";
import { LeaseCheckpointRequest, LeaseRevokeRequest } from "../wire/gen/etcdserverpb/rpc.ts";
import type { RequestKind } from "../wire/hot/raft-request.ts";
import type { ProposalCallback, ReadCallback } from "./member.ts";

const CHECK_INTERVAL_MS = 500;
const EXPIRED_PER_CHECK = 500;
const REVOKES_IN_FLIGHT_MAX = 16;
const CHECKPOINTS_PER_ENTRY = 1_000;

export type RenewCallback = (error: EtcdError | undefined, ttlSeconds: number) => void;

interface Renewal {
  readonly id: bigint;
  readonly callback: RenewCallback;
  /** Another member is the primary, or has become it. */
  readonly elsewhere: () => void;
}

export interface LeaseLoopParts {
  readonly lessor: Lessor;
  readonly clock: Clock;
  readonly log: Logger;
  readonly checkpoints: boolean;
  readonly failpoints: FailpointSlots;
  /** Renews at the primary, wherever it is. @param renewHere - once it is here. */
  readonly forward: (id: bigint, renewHere: () => Promise<number>) => Promise<number>;
  /** Proposes in the member's own name: it may revoke any lease. */
  readonly propose: (kind: RequestKind, request: Uint8Array, callback: ProposalCallback) => void;
  readonly readIndex: (callback: ReadCallback) => void;
  /** What a linearizable read would find out; false when that takes one. */
  readonly isSureToLead: () => boolean;
}

export class LeaseLoop {
  readonly #parts: LeaseLoopParts;
  readonly #timer: Timer;
  /** Taken from the lessor and not yet proposed. */
  #toRevoke: bigint[] = [];
  #revokesInFlight = 0;
  #isStopped = false;
  /** Renewals of leases that are over and not revoked yet. */
  readonly #waitingForRevoke = new Map<bigint, (() => void)[]>();
  /** Leases revoked because they ran out. */
  expired = 0;

  constructor(parts: LeaseLoopParts) {
    this.#parts = parts;
    this.#timer = parts.clock.setTicker(() => this.#check(), CHECK_INTERVAL_MS);
    parts.lessor.onRevoked = (id) => this.#wake(id);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer.cancel();
    this.demoted();
  }

  /** This member is no longer the primary: who waits for a revocation looks for another one. */
  demoted(): void {
    this.#toRevoke = [];
    for (const id of this.#waitingForRevoke.keys()) this.#wake(id);
  }

  /** The fast way: no object, no callback, no turn of the loop. @see Member.renewLeaseAtOnce */
  renewAtOnce(id: bigint): number | undefined {
    const { lessor, clock, checkpoints, isSureToLead } = this.#parts;
    if (this.#isStopped || !lessor.isPrimary || !isSureToLead()) return undefined;
    const lease = lessor.lookup(id);
    if (lease === undefined) return 0;
    this.#parts.failpoints.beforeCheckpointInLeaseRenew?.hit();
    if (lease.remainingTtlSeconds > 0 && checkpoints) return undefined;
    return lessor.renew(id, clock.monotonic()) === "expired" ? undefined : lease.ttlSeconds;
  }

  /** @see Member.renewLease */
  renew(id: bigint, callback: RenewCallback): void {
    this.#renew({ id, callback, elsewhere: () => void this.#forward(id, callback) });
  }

  /** For another member, which takes this one for the primary. Also `notPrimaryLessor`: it looks for the right one. */
  renewForOther(id: bigint, callback: RenewCallback): void {
    this.#renew({ id, callback, elsewhere: () => callback(new EtcdError("notPrimaryLessor"), 0) });
  }

  #renew(renewal: Renewal): void {
    const { lessor, readIndex } = this.#parts;
    const { callback, elsewhere } = renewal;
    if (this.#isStopped) return callback(new EtcdError("stopped"), 0);
    if (!lessor.isPrimary) return elsewhere();
    if (this.#parts.isSureToLead()) return this.#renewAsLeader(renewal);
    // A primary that was cut off or stopped does not know yet that another one counts the time of its leases.
    readIndex((error) => {
      if (this.#isStopped) return callback(new EtcdError("stopped"), 0);
      if (!lessor.isPrimary) return elsewhere();
      if (error !== undefined) return callback(new EtcdError("notPrimaryLessor", { cause: error }), 0);
      this.#renewAsLeader(renewal);
    });
  }

  #renewAsLeader(renewal: Renewal): void {
    const { id, callback, elsewhere } = renewal;
    const known = this.#parts.lessor.lookup(id);
    if (known === undefined) return callback(new EtcdError("leaseNotFound"), 0);
    this.#parts.failpoints.beforeCheckpointInLeaseRenew?.hit();
    if (known.remainingTtlSeconds === 0 || !this.#parts.checkpoints) return this.#renewInMemory(renewal);
    // A renewal gives what was left at the last checkpoint. To give the whole time, here and under the next leader, the
    // checkpoint is taken back first.
    this.#proposeCheckpoints([{ ID: id, remainingTTL: 0n }], (error) => {
      if (error !== undefined) return callback(error, 0);
      if (!this.#parts.lessor.isPrimary) return elsewhere();
      this.#renewInMemory(renewal);
    });
  }

  #renewInMemory(renewal: Renewal): void {
    const { lessor, clock } = this.#parts;
    const { id, callback } = renewal;
    if (lessor.lookup(id) === undefined) return callback(new EtcdError("leaseNotFound"), 0);
    const renewed = lessor.renew(id, clock.monotonic());
    if (renewed !== "expired") return callback(undefined, renewed.ttlSeconds);
    const waiting = this.#waitingForRevoke.get(id) ?? [];
    waiting.push(() => this.#renew(renewal));
    this.#waitingForRevoke.set(id, waiting);
  }

  async #forward(id: bigint, callback: RenewCallback): Promise<void> {
    const renewHere = (): Promise<number> =>
      new Promise((resolve, reject) => {
        this.renew(id, (error, ttlSeconds) => (error === undefined ? resolve(ttlSeconds) : reject(error)));
      });
    let ttlSeconds = 0;
    let failure: EtcdError | undefined;
    try {
      ttlSeconds = await this.#parts.forward(id, renewHere);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      failure = error;
    }
    callback(failure, ttlSeconds);
  }

  #wake(id: bigint): void {
    const waiting = this.#waitingForRevoke.get(id);
    if (waiting === undefined) return;
    this.#waitingForRevoke.delete(id);
    // Not at once: this runs while an entry is applied, or on the way down.
    this.#parts.clock.nextTurn(() => {
      for (const retry of waiting) retry();
    });
  }

  #check(): void {
    const { lessor, clock, readIndex, log } = this.#parts;
    if (!lessor.isPrimary || this.#toRevoke.length > 0) return;
    const nowMs = clock.monotonic();
    const expired = lessor.takeExpired(nowMs, EXPIRED_PER_CHECK);
    const checkpoints = this.#parts.checkpoints ? lessor.takeCheckpoints(nowMs, CHECKPOINTS_PER_ENTRY) : [];
    if (expired.length === 0 && checkpoints.length === 0) return;
    readIndex((error) => {
      if (error !== undefined || !lessor.isPrimary) {
        log.warn("Ignore the lease revoking request because current member isn't a leader");
        return;
      }
      // Meanwhile leadership may have gone and come back, and with it new time for every lease.
      this.#toRevoke = expired.filter((id) => lessor.isExpired(id, clock.monotonic()));
      this.#revokeMore();
      if (checkpoints.length > 0) {
        const due = checkpoints.map(({ id, remainingTtlSeconds }) => ({
          ID: id,
          remainingTTL: BigInt(remainingTtlSeconds),
        }));
        this.#proposeCheckpoints(due, (failure) => {
          if (failure !== undefined) log.debug("failed to checkpoint leases", { error: failure });
        });
      }
    });
  }

  #revokeMore(): void {
    while (this.#revokesInFlight < REVOKES_IN_FLIGHT_MAX) {
      const id = this.#toRevoke.shift();
      if (id === undefined) return;
      this.#revokesInFlight++;
      this.#parts.propose("leaseRevoke", LeaseRevokeRequest.encode({ ID: id }).finish(), (error) => {
        this.#revokesInFlight--;
        if (error === undefined) this.expired++;
        else if (error.reason !== "stopped") {
          const leaseId = BigInt.asUintN(64, id).toString(16).padStart(16, "0");
          this.#parts.log.warn("failed to revoke lease", { "lease-id": leaseId, error });
        }
        if (!this.#isStopped) this.#revokeMore();
      });
    }
  }

  #proposeCheckpoints(checkpoints: LeaseCheckpointRequest["checkpoints"], callback: ProposalCallback): void {
    this.#parts.propose("leaseCheckpoint", LeaseCheckpointRequest.encode({ checkpoints }).finish(), callback);
  }
}
